package docker

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/client"
)

// newClient makes a client of the engine that the docker command would use: from
// DOCKER_HOST, DOCKER_CONTEXT, the current context, or the local one.
func newClient() (*client.Client, error) {
	options := []client.Opt{client.FromEnv, client.WithAPIVersionNegotiation()}
	if host := os.Getenv(client.EnvOverrideHost); host != "" {
		if err := checkHost("DOCKER_HOST", host); err != nil {
			return nil, err
		}
	} else {
		ofContext, err := contextOptions()
		if err != nil {
			return nil, err
		}
		options = append(options, ofContext...)
	}
	engine, err := client.NewClientWithOpts(append(options, tellDialed)...)
	if err != nil {
		return nil, fmt.Errorf("%w: read the environment for the engine: %w; correct DOCKER_HOST and its related variables",
			ErrRefused, err)
	}
	return engine, nil
}

// checkHost refuses engines that are reached through a program.
func checkHost(source, host string) error {
	if !strings.HasPrefix(host, "ssh://") {
		return nil
	}
	return fmt.Errorf("%w: %s names %s: an engine over SSH is on another machine; run equic-bench there, or "+
		"use the local engine (docker context use default, and no DOCKER_HOST)", ErrRefused, source, host)
}

// contextOptions returns the options of the docker command's context, none for the default one.
func contextOptions() ([]client.Opt, error) {
	dir := cmp.Or(os.Getenv("DOCKER_CONFIG"), filepath.Join(os.Getenv("HOME"), ".docker"))
	name := os.Getenv("DOCKER_CONTEXT")
	if name == "" {
		var config struct{ CurrentContext string }
		err := readJSON(filepath.Join(dir, "config.json"), &config)
		// Another user's folder: the docker command goes on with the default, too.
		absent := errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)
		if err != nil && !absent {
			return nil, noContext("read the configuration of docker", err)
		}
		name = config.CurrentContext
	}
	if name == "" || name == "default" {
		return nil, nil
	}
	sum := sha256.Sum256([]byte(name))
	id := hex.EncodeToString(sum[:])
	var meta struct {
		Endpoints map[string]struct {
			Host          string
			SkipTLSVerify bool
		}
	}
	if err := readJSON(filepath.Join(dir, "contexts", "meta", id, "meta.json"), &meta); err != nil {
		return nil, noContext(fmt.Sprintf("read the context %q of docker", name), err)
	}
	endpoint := meta.Endpoints["docker"]
	source := fmt.Sprintf("the context %q of docker", name)
	switch {
	case endpoint.Host == "":
		return nil, noContext("use "+source, errors.New("it has no engine"))
	case endpoint.SkipTLSVerify:
		return nil, noContext("use "+source, errors.New("it does not verify the engine's certificate"))
	}
	if err := checkHost(source, endpoint.Host); err != nil {
		return nil, err
	}
	options := []client.Opt{client.WithHost(endpoint.Host)}
	tls := filepath.Join(dir, "contexts", "tls", id, "docker")
	if _, err := os.Stat(filepath.Join(tls, "cert.pem")); err == nil {
		options = append(options, client.WithTLSClientConfig(
			filepath.Join(tls, "ca.pem"), filepath.Join(tls, "cert.pem"), filepath.Join(tls, "key.pem")))
	}
	return options, nil
}

func readJSON(path string, into any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func noContext(tried string, err error) error {
	return fmt.Errorf("%w: %s: %w; choose another (docker context use default), or set DOCKER_HOST", ErrRefused, tried, err)
}

// refusePodman refuses engines that only look like Docker's.
func refusePodman(ctx context.Context, engine *client.Client) error {
	version, err := engine.ServerVersion(ctx)
	if err != nil {
		return noEngine("ask the engine at "+engine.DaemonHost(), err)
	}
	if !slices.ContainsFunc(version.Components, func(c types.ComponentVersion) bool {
		return strings.Contains(c.Name, "Podman")
	}) {
		return nil
	}
	return fmt.Errorf("%w: Podman answers at %s, and equic-bench is not tested with it; use Docker's engine, or --runtime "+
		"netns as root", ErrRefused, engine.DaemonHost())
}
