//go:build linux && !mips && !mips64 && !ppc64 && !s390x

package equic

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// lookAgain is how often to ask the kernel what is attached, even if it has announced
// no change.
const lookAgain = time.Second

// keeper keeps a program attached to the interface of a given name. It attaches the
// program again if the interface is created again, or if the program was detached.
type keeper struct {
	name    string
	mode    Mode
	program *ebpf.Program
	id      uint32          // the program's
	pinned  string          // path of the link in a BPF file system; empty if it is not pinned
	created bool            // this keeper created the link
	ns      netns.NsHandle  // the namespace of the interface
	kernel  *netlink.Handle // for requests about ns
	changed func(Attachment)

	changes chan netlink.LinkUpdate
	stop    chan struct{}
	done    chan struct{} // closed when run has ended

	mu    sync.Mutex
	link  link.Link // nil if the program is not attached
	index int       // of the interface
	now   Attachment
}

// keepers keep a program attached to several interfaces.
type keepers []*keeper

// prepareAll checks all interfaces of the options, and attaches nothing yet. In a mode that
// has none, there are no keepers.
func prepareAll(program *ebpf.Program, o *Options, changed func(Attachment)) (all keepers, err error) {
	if o.Mode == Netfilter || o.Mode == Socket {
		return nil, nil
	}
	for _, name := range o.Interfaces {
		k, err := prepare(program, name, o, changed)
		if err != nil {
			all.free()
			return nil, fmt.Errorf("attach to %s: %w", name, err)
		}
		all = append(all, k)
	}
	return all, nil
}

// begin attaches the program to all interfaces or, after an error, to no more than before.
func (all keepers) begin() error {
	for i, k := range all {
		if err := k.begin(); err != nil {
			err = fmt.Errorf("attach to %s: %w", k.name, err)
			for _, begun := range all[:i] {
				err = errors.Join(err, begun.undo())
			}
			all[i:].free()
			return err
		}
	}
	return nil
}

// free releases keepers that have not begun.
func (all keepers) free() {
	for _, k := range all {
		k.free()
	}
}

func (all keepers) attachments() []Attachment {
	now := make([]Attachment, len(all))
	for i, k := range all {
		now[i] = k.attachment()
	}
	return now
}

func (all keepers) close() (err error) {
	for _, k := range all {
		err = errors.Join(err, k.close())
	}
	return err
}

// prepare checks an interface of the caller's network namespace.
func prepare(program *ebpf.Program, name string, o *Options, changed func(Attachment)) (_ *keeper, err error) {
	k := &keeper{
		name: name, mode: o.Mode, program: program, pinned: o.linkFile(name), changed: changed, ns: netns.None(),
		changes: make(chan netlink.LinkUpdate), stop: make(chan struct{}), done: make(chan struct{}),
	}
	info, err := program.Info()
	if err != nil {
		return nil, err
	}
	id, ok := info.ID()
	if !ok {
		return nil, errors.New("the kernel gives programs no id")
	}
	k.id = uint32(id)
	if k.kernel, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return nil, fmt.Errorf("open a netlink socket: %w", err)
	}
	defer func() {
		if err != nil {
			k.free()
		}
	}()
	if k.ns, err = netns.Get(); err != nil {
		return nil, fmt.Errorf("open the network namespace: %w", err)
	}
	iface, err := k.find()
	if err != nil {
		return nil, err
	}
	k.index = iface.Attrs().Index
	if !o.AllowTunnels {
		if err := k.refuseTunnels(o.Interfaces); err != nil {
			return nil, err
		}
	}
	if err := k.refuseWithoutEthernet(k.index); err != nil {
		return nil, &modeError{k.mode, err}
	}
	return k, nil
}

// begin attaches the program, and keeps it attached from then on.
func (k *keeper) begin() error {
	iface, err := k.find()
	if err != nil {
		return err
	}
	if err := k.attachTo(iface); err != nil {
		return err
	}
	if err := netlink.LinkSubscribe(k.changes, k.stop); err != nil {
		err = errors.Join(fmt.Errorf("watch the interface: %w", err), k.link.Close())
		if k.created && k.pinned != "" {
			err = errors.Join(err, os.Remove(k.pinned))
		}
		return err
	}
	go k.run()
	return nil
}

// undo ends what begin did. A program that was attached before it stays attached.
func (k *keeper) undo() error {
	err := k.close()
	if k.created && k.pinned != "" {
		detachPinned(k.pinned)
		err = errors.Join(err, os.Remove(k.pinned))
	}
	return err
}

func (k *keeper) free() {
	k.kernel.Close()
	if k.ns.IsOpen() {
		_ = k.ns.Close()
	}
}

// find returns the interface with the name.
func (k *keeper) find() (netlink.Link, error) {
	iface, err := k.kernel.LinkByName(k.name)
	if err == nil {
		return iface, nil
	}
	all, listErr := k.kernel.LinkList()
	if listErr != nil {
		return nil, errors.Join(err, listErr)
	}
	names := make([]string, len(all))
	for i, l := range all {
		names[i] = l.Attrs().Name
	}
	return nil, fmt.Errorf("no such interface among %q: %w", names, err)
}

// tunnels are the kinds of devices whose packets arrive inside others. The program does
// not look into those.
var tunnels = []string{
	"amt", "bareudp", "erspan", "geneve", "gre", "gretap", "gtp", "ip6erspan", "ip6gre", "ip6gretap", "ip6tnl", "ipip",
	"macsec", "ovpn", "ppp", "sit", "vti", "vti6", "vxlan", "wireguard", "xfrm",
}

// refuseTunnels returns an error if packets may reach the server through a tunnel that is not
// protected itself. The device below a tunnel does not matter: most kinds accept packets
// from any.
func (k *keeper) refuseTunnels(protected []string) error {
	all, err := k.kernel.LinkList()
	if err != nil {
		return fmt.Errorf("look for tunnels: %w", err)
	}
	for _, l := range all {
		a := l.Attrs()
		if a.Flags&net.FlagUp != 0 && slices.Contains(tunnels, l.Type()) && !slices.ContainsFunc(protected, isNameOf(a)) {
			return fmt.Errorf("packets in the tunnel %s (%s) are not seen: bring it down, protect it too, or allow tunnels",
				a.Name, l.Type())
		}
	}
	return nil
}

// refuseWithoutEthernet returns an error if packets of an interface begin with their IP
// header, as on a tun device: the programs of interfaces expect an Ethernet header.
func (k *keeper) refuseWithoutEthernet(index int) error {
	iface, err := k.kernel.LinkByIndex(index)
	if err != nil {
		return err
	}
	switch kind := iface.Attrs().EncapType; kind {
	case "ether", "loopback":
		return nil
	default:
		return fmt.Errorf("its packets have no Ethernet header (link type %q): use mode %s or %s", kind, Netfilter, Socket)
	}
}

// isNameOf returns a function that reports whether an interface has a name.
func isNameOf(a *netlink.LinkAttrs) func(string) bool {
	return func(name string) bool { return name == a.Name || slices.Contains(a.AltNames, name) }
}

// run maintains the attachment until stop is closed.
func (k *keeper) run() {
	defer close(k.done)
	// The thread may switch to the interface's namespace and stay there. It ends with
	// the goroutine.
	runtime.LockOSThread()
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	changes := k.changes
	for {
		select {
		case <-k.stop:
			for range k.changes { // until the subscription has ended
			}
			return
		case _, ok := <-changes:
			if !ok {
				changes = nil // no more messages from the kernel: look every second
			}
		case <-tick.C:
		}
		k.look()
	}
}

// look restores the attachment, and calls changed if it is different.
func (k *keeper) look() {
	k.mu.Lock()
	before := k.now
	k.now = k.restore()
	now := k.now
	k.mu.Unlock()
	if now.Attached != before.Attached || now.Interface != before.Interface || now.Since != before.Since && now.Attached {
		k.changed(now)
	}
}

// restore attaches the program again if necessary. Callers hold mu.
func (k *keeper) restore() Attachment {
	now := k.now
	iface, err := k.kernel.LinkByIndex(k.index)
	attached := err == nil && k.link != nil && k.modeOn(iface, k.link) != ""
	if attached {
		now.Interface = iface.Attrs().Name
	}
	if attached && now.Interface == k.name {
		return now.again()
	}
	// The interface or the program is gone, or the name now belongs to another
	// interface.
	named, err := k.find()
	if attached && (err != nil || named.Attrs().Index == k.index) { // k.name may be another name of it
		return now.again()
	}
	old := k.link
	if err == nil {
		err = k.enter()
	}
	if err == nil {
		err = k.attachTo(named)
	}
	if err == nil {
		if old != nil {
			_ = old.Close() // its interface is gone, or no longer has the name
		}
		return k.now
	}
	if attached { // to the interface that had the name before: that of the name is not protected
		now.Interface = k.name
	} else if old != nil {
		_ = old.Close()
		k.link = nil
	}
	if now.Attached {
		now.Since = time.Now()
	}
	now.Attached, now.Err = false, err
	return now
}

// again returns an attachment that is there, perhaps after it was not.
func (a Attachment) again() Attachment {
	if !a.Attached {
		a.Attached, a.Since = true, time.Now()
	}
	a.Err = nil
	return a
}

// enter switches the thread to the interface's namespace: a program is attached in the
// caller's namespace.
func (k *keeper) enter() error {
	here, err := netns.Get()
	if err != nil {
		return err
	}
	defer here.Close()
	if here.Equal(k.ns) {
		return nil
	}
	return netns.Set(k.ns)
}

func (k *keeper) attachment() Attachment {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.now
}

// close detaches the program, unless it is pinned. After it returns, nothing changes any
// more.
func (k *keeper) close() error {
	close(k.stop)
	<-k.done
	k.mu.Lock()
	defer k.mu.Unlock()
	var err error
	if k.link != nil {
		err = k.link.Close()
	}
	k.now.Attached, k.now.Since, k.now.Err = false, time.Now(), ErrClosed
	k.free()
	return err
}

// mayMerge reports whether several datagrams may come as one packet. In the driver that
// does not happen, except for a tap device: its packets are made by a guest.
func (o *Options) mayMerge() bool {
	return o.Mode != Native || slices.ContainsFunc(o.Interfaces, func(name string) bool {
		iface, err := netlink.LinkByName(name)
		return err == nil && iface.Type() == "tuntap"
	})
}
