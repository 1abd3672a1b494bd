//go:build linux && !mips && !mips64 && !ppc64 && !s390x

package equic

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Attach loads a program into the kernel and attaches it to interfaces of the
// caller's network namespace, or at the place that Options.Mode names. It fails, and
// leaves nothing behind, if the options are invalid, a capability is missing (the error
// names it), another XDP program is attached, or the kernel attached it in another mode
// than requested. Keep a reference to the Gateway for as long as it is needed. Otherwise the
// garbage collector detaches the program.
func Attach(options Options) (*Gateway, error) {
	o, err := options.complete()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOptions, err)
	}
	if o.Pin == "" {
		return attachAny(o, nil)
	}
	for range changesAtMost {
		var g *Gateway
		if g, err = attachPinned(o); !errors.Is(err, errAnother) {
			return g, err
		}
	}
	return nil, err
}

// changesAtMost is how often the gateway in a folder may change while Attach waits for it.
const changesAtMost = 5

// attachPinned takes over the gateway in the folder of the options, or begins one.
func attachPinned(o Options) (_ *Gateway, err error) {
	p, err := openPin(o.Pin)
	if err != nil {
		return nil, fmt.Errorf("pin the gateway: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()
	if err = p.refuseForeign(); err != nil {
		return nil, fmt.Errorf("pin the gateway: %w", err)
	}
	if err = p.read(); err == nil {
		err = p.check(&o)
	}
	if err != nil {
		return nil, fmt.Errorf("take over the gateway: %w", err)
	}
	return attachAny(o, p)
}

// attachAny attaches in the first mode that works.
func attachAny(o Options, p *pin) (*Gateway, error) {
	var failed error
	for _, m := range o.candidates() {
		o.Mode = m
		g, err := attach(o, p)
		if err == nil {
			return g, nil
		}
		failed = errors.Join(failed, err)
		if _, ofMode := errors.AsType[*modeError](err); !ofMode || isTaken(err) || errors.Is(err, unix.EPERM) {
			break
		}
	}
	return nil, failed
}

// modeError is the error of a mode that does not work here. Another mode may work.
type modeError struct {
	mode Mode
	err  error
}

func (e *modeError) Error() string { return fmt.Sprintf("mode %s: %v", e.mode, e.err) }
func (e *modeError) Unwrap() error { return e.err }

// attach loads and attaches the program in one mode. If there is a pinned gateway, the
// program works with its maps. Nothing of that gateway is changed before the program is
// loaded and the gateway is ours.
func attach(o Options, p *pin) (_ *Gateway, err error) {
	loaded, err := load(o, p)
	if err != nil {
		return nil, fmt.Errorf("load the program: %w", &modeError{o.Mode, err})
	}
	g := &Gateway{options: o, objs: loaded.objs, mapped: loaded.mapped, pin: p}
	all, err := prepareAll(loaded.objs.Program, &g.options, g.attachmentChanged)
	if err == nil && p != nil {
		err = p.acquire(&g.options)
	}
	if err != nil {
		all.free()
		return nil, errors.Join(err, loaded.close())
	}
	inherits := p != nil && p.state != nil
	defer func() {
		if err == nil {
			return
		}
		g.freeze()
		err = errors.Join(err, g.events.close(), loaded.close())
		if p != nil && !inherits {
			err = errors.Join(err, p.abandon())
		}
	}()
	if err := g.takeUp(loaded, inherits); err != nil {
		all.free()
		return nil, fmt.Errorf("set up the program: %w", err)
	}
	if err := g.attach(all); err != nil {
		return nil, err
	}
	if p != nil {
		if err := errors.Join(p.save(), p.dropLinks(&o)); err != nil {
			return nil, errors.Join(fmt.Errorf("pin the gateway: %w", err), g.at.close())
		}
	}
	return g, nil
}

// takeUp puts a loaded program in the state in which it can be attached: that of the
// options, or of a predecessor.
func (g *Gateway) takeUp(l *loaded, inherits bool) (err error) {
	o, p := &g.options, g.pin
	heirs := 0
	if p != nil {
		if heirs = p.now.Owners; p.lapsed {
			o.Inherit = 0 // the counts are too old
		}
		p.carryOver(o, l.key)
		if err := p.fill(l); err != nil {
			return err
		}
		if g.owner, err = startOwner(g.objs, p); err != nil {
			return err
		}
	}
	g.ports = slices.Clone(o.Ports)
	g.counts = l.tables(*o)
	if inherits {
		g.each(func(t *table) { t.inherit(o.Inherit) })
		g.heirs = heirs
	}
	return g.configure()
}

// attach attaches the program at the place that the options name.
func (g *Gateway) attach(all keepers) (err error) {
	o, program := &g.options, g.objs.Program
	switch o.Mode {
	case Netfilter:
		if g.at, err = attachNetfilter(program); err != nil {
			return fmt.Errorf("attach to netfilter: %w", err)
		}
	case Socket:
		if g.at, err = attachSockets(program, o); err != nil {
			return fmt.Errorf("attach to sockets: %w", err)
		}
	default:
		if err := all.begin(); err != nil {
			return err
		}
		g.at = all
	}
	return nil
}

// configure writes the options to the maps of a loaded program.
func (g *Gateway) configure() (err error) {
	o, objs := &g.options, g.objs
	by := newPrefixes(o.IPv4Prefix, o.IPv6Prefix)
	if g.events, err = newNotifier(o.Events, by, objs.Events); err != nil {
		return err
	}
	g.applications = o.applications()
	for i, a := range g.applications {
		var now gatewayApplication // that of a predecessor, whose program reads it
		if err := objs.Applications.Lookup(uint32(i+1), &now); err != nil {
			return fmt.Errorf("read settings: %w", err)
		}
		a.Lists = now.Lists
		if err := g.write(i, a); err != nil {
			return err
		}
	}
	g.clients.letIn = g.events.letIn
	if err := g.SetMonitor(o.Monitor); err != nil {
		return err
	}
	allowed := func(empty bool) error { return g.changeLists(listAllowed, empty) }
	if g.allowed, err = newList(objs.Allowed, allowed); err != nil {
		return err
	}
	denied := func(empty bool) error { return g.changeLists(listDenied, empty) }
	if g.denied, err = newList(objs.Denied, denied); err != nil {
		return err
	}
	err = errors.Join(g.allowed.fill(o.Allowed, o.AllowedFeed), g.denied.fill(o.Denied, o.DeniedFeed))
	o.AllowedFeed, o.DeniedFeed = nil, nil // they may be long, and the lists have them
	return err
}

// The numbers of policies and lists in the program (enum policy, enum lists in
// bpf/maps.h).
const (
	policyClient = 0
	policyNew    = 1
	listAllowed  = 1
	listDenied   = 2
)

// applications returns the ports of complete options in the program's format.
func (o *Options) applications() []gatewayApplication {
	list := make([]gatewayApplication, len(o.Ports))
	for i, p := range o.Ports {
		list[i] = gatewayApplication{ // validated
			Quota: uint32(p.Quota), Policy: policyClient, NetworkQuota: uint32(o.Networks.Quota),
		}
		if p.Policy == PolicyNew {
			list[i].Policy = policyNew
		}
		r, _ := newRate(p.InitialsPerSecond, p.Burst) // validated
		list[i].setRate(r)
	}
	return list
}

// longestDebt returns the longest debt of a token bucket, in nanoseconds.
func longestDebt(applications []gatewayApplication) (longest uint64) {
	for _, a := range applications {
		longest = max(longest, a.BurstNs+a.IntervalNs)
	}
	return longest
}

func (a *gatewayApplication) setRate(r rate) {
	a.IntervalNs, a.BurstNs = uint64(r.interval), uint64(r.burst)
}

// hook is what differs between the programs of the modes.
type hook struct {
	name string // of the program in bpf/equic.bpf.c
	drop uint32 // its return value for a packet that is dropped
}

// The return values of hooks that drop a packet.
const (
	xdpDrop    = 1 // enum xdp_action
	tcxDrop    = 2 // enum tcx_action_base
	nfDrop     = 0 // linux/netfilter.h
	socketDrop = 0 // of the packet, the socket keeps 0 bytes
)

func hookOf(m Mode) hook {
	switch m {
	case TC:
		return hook{"equic_tc", tcxDrop}
	case Netfilter:
		return hook{"equic_netfilter", nfDrop}
	case Socket:
		return hook{"equic_socket", socketDrop}
	default:
		return hook{"equic", xdpDrop}
	}
}

// explain adds advice to the kernel's error from an attachment.
func explain(err error) error {
	switch {
	case isTaken(err):
		return fmt.Errorf("another program is attached already (`bpftool net` and `bpftool link` show it): detach it, or use mode %s, "+
			"which works beside it: %w", TC, err)
	case errors.Is(err, unix.ERANGE):
		return fmt.Errorf("the MTU is too large for native XDP with this driver: lower it, or use mode %s: %w", TC, err)
	case errors.Is(err, unix.EOPNOTSUPP):
		return fmt.Errorf("the driver has no native XDP: use mode %s or %s: %w", TC, Generic, err)
	}
	return explainPermission(err)
}

// explainPermission names the missing capability. The library would blame RLIMIT_MEMLOCK,
// which does not apply to BPF on Linux 5.18 or newer.
func explainPermission(err error) error {
	if !errors.Is(err, unix.EPERM) {
		return err
	}
	return fmt.Errorf("%s: %w", missingCapabilities(), unix.EPERM)
}

// isTaken reports whether another program is attached to the interface. The kernel
// returns EBUSY if that one runs in the same mode, and EEXIST if it runs in another
// mode.
func isTaken(err error) bool {
	return errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EEXIST)
}

// capabilities are those of a thread that are in effect.
type capabilities [2]unix.CapUserData

// effectiveCapabilities returns those of the calling thread.
func effectiveCapabilities() (c capabilities, err error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	return c, unix.Capget(&header, &c[0])
}

func (c *capabilities) has(capability int) bool {
	return c[capability/32].Effective&(1<<(capability%32)) != 0
}

// missingCapabilities names the capabilities that the calling thread lacks, as the
// beginning of an error message.
func missingCapabilities() string {
	capabilities, err := effectiveCapabilities()
	if err != nil {
		return "needs CAP_BPF and CAP_NET_ADMIN"
	}
	var missing []string
	if !capabilities.has(unix.CAP_BPF) && !capabilities.has(unix.CAP_SYS_ADMIN) {
		missing = append(missing, "CAP_BPF (or CAP_SYS_ADMIN)")
	}
	if !capabilities.has(unix.CAP_NET_ADMIN) {
		missing = append(missing, "CAP_NET_ADMIN")
	}
	if len(missing) == 0 {
		return "capabilities are sufficient, so a seccomp profile, a security module or a user namespace forbids bpf(2)"
	}
	return "missing " + strings.Join(missing, " and ")
}
