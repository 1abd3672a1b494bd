package equic

import (
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// Attach loads the program into the kernel and attaches it to an interface of
// the caller's network namespace. It fails, and leaves nothing behind, if the
// options are wrong, a capability is missing (the error names it), another
// XDP program is attached, or the mode in force is not the one asked for.
func Attach(options Options) (_ *Gateway, err error) {
	o, err := options.complete()
	if err != nil {
		return nil, fmt.Errorf("options of the gateway: %w", err)
	}
	iface, err := findInterface(o.Interface)
	if err != nil {
		return nil, fmt.Errorf("attach XDP to %s: %w", o.Interface, err)
	}
	objs, err := load(o)
	if err != nil {
		return nil, fmt.Errorf("load XDP program: %w", err)
	}
	g := &Gateway{options: o, objs: objs, clients: newLedger(objs.Clients, uint32(o.Quota))}
	defer func() {
		if err != nil {
			err = errors.Join(err, objs.Close())
		}
	}()
	if g.link, g.mode, err = attach(objs.Equic, iface, o.Mode); err != nil {
		return nil, fmt.Errorf("attach XDP to %s: %w", o.Interface, err)
	}
	return g, nil
}

// load makes the program and its maps from complete options.
func load(o Options) (*gatewayObjects, error) {
	spec, err := loadGateway()
	if err != nil {
		return nil, err
	}
	var specs gatewaySpecs
	if err := spec.Assign(&specs); err != nil {
		return nil, err
	}
	specs.Clients.MaxEntries = uint32(o.MaxClients)
	if err := errors.Join(specs.ServerPort.Set(o.Port), specs.Quota.Set(uint32(o.Quota))); err != nil {
		return nil, err
	}
	objs := new(gatewayObjects)
	if err := spec.LoadAndAssign(objs, nil); err != nil {
		return nil, explainPermission(err)
	}
	return objs, nil
}

// attach tries the modes that were asked for, and returns the one in force.
func attach(prog *ebpf.Program, iface *net.Interface, want Mode) (link.Link, Mode, error) {
	if want != Auto {
		return attachAs(prog, iface, want)
	}
	l, mode, err := attachAs(prog, iface, Native)
	if err == nil || taken(err) || errors.Is(err, unix.EPERM) {
		return l, mode, err
	}
	l, mode, genericErr := attachAs(prog, iface, Generic)
	if genericErr != nil {
		return nil, "", errors.Join(err, genericErr)
	}
	return l, mode, nil
}

func attachAs(prog *ebpf.Program, iface *net.Interface, want Mode) (_ link.Link, _ Mode, err error) {
	flags := link.XDPDriverMode
	if want == Generic {
		flags = link.XDPGenericMode
	}
	l, err := link.AttachXDP(link.XDPOptions{Program: prog, Interface: iface.Index, Flags: flags})
	if err != nil {
		return nil, "", fmt.Errorf("mode %s: %w", want, explain(err))
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.Close())
		}
	}()
	got, err := modeInForce(prog, iface.Index)
	if err != nil {
		return nil, "", fmt.Errorf("verify the mode in force: %w", err)
	}
	if got != want {
		return nil, "", fmt.Errorf("mode in force is %s, not %s", got, want)
	}
	return l, got, nil
}

// explain adds to the kernel's refusal of an attachment what the user can do.
func explain(err error) error {
	switch {
	case taken(err):
		return fmt.Errorf("another XDP program is attached already (`bpftool net` shows it): %w", err)
	case errors.Is(err, unix.ERANGE):
		return fmt.Errorf("the MTU is too large for native XDP (veth takes about 3500 bytes, at both ends): lower it, or use mode %s: %w", Generic, err)
	case errors.Is(err, unix.EOPNOTSUPP):
		return fmt.Errorf("the driver has no native XDP: use mode %s: %w", Generic, err)
	}
	return explainPermission(err)
}

// explainPermission adds to EPERM which capability is missing.
func explainPermission(err error) error {
	if !errors.Is(err, unix.EPERM) {
		return err
	}
	return fmt.Errorf("%s: %w", missingCapabilities(), err)
}

// taken says whether an interface has a program: EBUSY is the kernel's answer
// where that runs in the same mode, EEXIST where it runs in another.
func taken(err error) bool {
	return errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EEXIST)
}

// missingCapabilities says which capabilities the calling thread lacks, as
// the begin of an error message.
func missingCapabilities() string {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return "needs CAP_BPF and CAP_NET_ADMIN"
	}
	has := func(capability int) bool {
		return sets[capability/32].Effective&(1<<(capability%32)) != 0
	}
	var missing []string
	if !has(unix.CAP_BPF) && !has(unix.CAP_SYS_ADMIN) {
		missing = append(missing, "CAP_BPF (or CAP_SYS_ADMIN)")
	}
	if !has(unix.CAP_NET_ADMIN) {
		missing = append(missing, "CAP_NET_ADMIN")
	}
	if len(missing) == 0 {
		return "capabilities are sufficient, so a seccomp profile, a security module or a user namespace forbids bpf(2)"
	}
	return "missing " + strings.Join(missing, " and ")
}
