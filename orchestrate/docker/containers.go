package docker

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"

	"github.com/equic-bench/equic-bench/host"
	"github.com/equic-bench/equic-bench/orchestrate"
)

// Capabilities let a node load eBPF programs, trace system calls and attach XDP to its
// own interface.
func Capabilities() []string { return []string{"BPF", "NET_ADMIN", "PERFMON"} }

// OlderCapabilities returns those for engines and kernels from before CAP_BPF, which
// was then part of CAP_SYS_ADMIN.
func OlderCapabilities() []string { return []string{"SYS_ADMIN", "NET_ADMIN"} }

// createContainer makes one node, with fewer, larger capabilities if the engine is too
// old for the smaller ones.
func (r *Runtime) createContainer(
	ctx context.Context, spec orchestrate.Spec, n orchestrate.NodeSpec, net string,
) (string, error) {
	id, err := r.create(ctx, spec, n, net)
	if err != nil && n.Kernel && UnknownCapability(err.Error()) && r.fallBack() {
		id, err = r.create(ctx, spec, n, net)
	}
	if n.Image != "" && errdefs.IsNotFound(err) && strings.Contains(err.Error(), n.Image) {
		return "", fmt.Errorf("create container %s: %w: %s: pull it, or build it (equic-bench downloads nothing)", n.Name,
			ErrNoImage, n.Image)
	}
	if err == nil && n.Image != "" {
		err = r.equip(ctx, id, n)
	}
	if err != nil {
		return "", fmt.Errorf("create container %s: %w", n.Name, err)
	}
	return id, nil
}

// filesDir is the folder of NodeSpec.Files, and of the probe, in a container of another
// image.
const filesDir = "/equic-bench"

// equip puts the probe and the node's files into a container of another image.
func (r *Runtime) equip(ctx context.Context, id string, n orchestrate.NodeSpec) error {
	r.mu.Lock()
	files := []file{{path.Join(filesDir, "equic-probe"), r.probe}}
	r.mu.Unlock()
	for _, f := range n.Files {
		files = append(files, file{path.Join(filesDir, f.Name), f.Data})
	}
	archive, err := pack(files)
	if err != nil {
		return fmt.Errorf("pack the files of %s: %w", n.Name, err)
	}
	return r.engine.CopyToContainer(ctx, id, "/", archive, container.CopyToContainerOptions{})
}

// fallBack chooses the older capabilities; it returns false if they were chosen before.
func (r *Runtime) fallBack() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.older {
		return false
	}
	r.kernel, r.older = OlderCapabilities(), true
	return true
}

// UnknownCapability reports whether an engine's error is about a capability that it does not
// know. It looks at the text, because the error has no code of its own.
func UnknownCapability(text string) bool {
	text = strings.ToLower(text)
	return strings.Contains(text, "capability") || strings.Contains(text, "capadd")
}

func (r *Runtime) create(
	ctx context.Context, spec orchestrate.Spec, n orchestrate.NodeSpec, net string,
) (string, error) {
	r.mu.Lock()
	image, capAdd := r.image, slices.Clone(r.kernel)
	r.mu.Unlock()
	if !n.Kernel {
		capAdd = nil
	}
	user, health := "", (*container.HealthConfig)(nil) // those of the image
	if n.Image != "" {
		image, user = n.Image, "0"                               // the probe needs its capabilities
		health = &container.HealthConfig{Test: []string{"NONE"}} // it would be measured
	}
	made, err := r.engine.ContainerCreate(ctx,
		&container.Config{
			Image:        image,
			User:         user,
			Healthcheck:  health,
			Hostname:     n.Name,
			Entrypoint:   n.Command,
			Env:          n.Env,
			Labels:       r.engine.Labels(spec, n.Role),
			AttachStdout: true,
			AttachStderr: true,
		},
		hostConfig(n, net, capAdd),
		&network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{
			net: {IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: n.Address.String()}},
		}},
		nil, ResourceName(spec, n.Name))
	return made.ID, err
}

// hostConfig removes everything that a node of ours does not need. Output goes only to us: a
// log driver would write it to disk a second time.
func hostConfig(n orchestrate.NodeSpec, net string, capAdd []string) *container.HostConfig {
	capDrop := []string{"ALL"}
	if n.Image != "" {
		capDrop = nil // its server may need the usual ones
	}
	return &container.HostConfig{
		NetworkMode:    container.NetworkMode(net),
		CapDrop:        capDrop,
		CapAdd:         capAdd,
		ReadonlyRootfs: n.Image == "",
		SecurityOpt:    []string{"no-new-privileges"},
		RestartPolicy:  container.RestartPolicy{Name: container.RestartPolicyDisabled},
		LogConfig:      container.LogConfig{Type: "none"},
		Resources: container.Resources{
			CpusetCpus: host.FormatCPUs(n.CPUs),
			Memory:     n.MemoryBytes,
			MemorySwap: n.MemoryBytes, // memory and swap together: no swap
			Ulimits:    Ulimits(n.OpenFiles),
		},
	}
}

// leastOpenFiles is the usual limit of a process: a node never gets less.
const leastOpenFiles = 1024

// Ulimits set the number of open files explicitly: an engine's default may be lower.
func Ulimits(openFiles int) []*container.Ulimit {
	if openFiles == 0 {
		return nil
	}
	n := int64(max(openFiles, leastOpenFiles))
	return []*container.Ulimit{{Name: "nofile", Soft: n, Hard: n}}
}

// limited adds the remedy to the error of an engine that may not set a limit, such as
// one without root. The error has no code of its own.
func limited(err error, openFiles int) error {
	if !strings.Contains(strings.ToLower(err.Error()), "rlimit") {
		return err
	}
	return fmt.Errorf("%w for %d of them: %w; raise the engine's own limit (LimitNOFILE= of its service), or lower "+
		"clients.parallel.max_in_flight", ErrOpenFiles, openFiles, err)
}
