//go:build linux && !mips && !mips64 && !ppc64 && !s390x

package equic

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
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
		if err := k.refuseTunnels(k.index); err != nil {
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

// refuseTunnels returns an error if packets may reach the server through a tunnel over
// an interface.
func (k *keeper) refuseTunnels(over int) error {
	all, err := k.kernel.LinkList()
	if err != nil {
		return fmt.Errorf("look for tunnels: %w", err)
	}
	for _, l := range all {
		a := l.Attrs()
		if a.Flags&net.FlagUp != 0 && slices.Contains(tunnels, l.Type()) && (a.ParentIndex == 0 || a.ParentIndex == over) {
			return fmt.Errorf("packets in the tunnel %s (%s) are not seen: bring it down, give it a gateway of its own, "+
				"or allow tunnels", a.Name, l.Type())
		}
	}
	return nil
}

// attachTo attaches the program to an interface. Callers hold mu, or run before k is
// shared.
func (k *keeper) attachTo(iface netlink.Link) error {
	l, err := k.attach(iface.Attrs().Index)
	if err != nil {
		return &modeError{k.mode, err}
	}
	if err := k.pinLink(l); err != nil {
		return errors.Join(err, l.Close())
	}
	k.link, k.index = l, iface.Attrs().Index
	k.now = Attachment{Interface: iface.Attrs().Name, Attached: true, Mode: k.mode, Since: time.Now()}
	return nil
}

// pinLink pins a link, if links are pinned, in place of one that is attached elsewhere.
func (k *keeper) pinLink(l link.Link) error {
	if k.pinned == "" || !k.created {
		return nil
	}
	if err := os.Remove(k.pinned); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("pin the link: %w", err)
	}
	if err := l.Pin(k.pinned); err != nil {
		return fmt.Errorf("pin the link: %w", err)
	}
	return nil
}

func (k *keeper) attach(index int) (_ link.Link, err error) {
	if err := k.refuseWithoutEthernet(index); err != nil {
		return nil, err
	}
	l, err := k.takeOver(index)
	k.created = l == nil && err == nil // else it is pinned already
	if k.created {
		l, err = k.linkTo(index)
	}
	if isTaken(err) {
		return nil, fmt.Errorf("%s%w", k.programOn(index), explain(err))
	}
	if err != nil {
		return nil, explain(err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.Close())
		}
	}()
	iface, err := k.kernel.LinkByIndex(index)
	if err != nil {
		return nil, fmt.Errorf("verify the mode in force: %w", err)
	}
	if got := k.modeOn(iface, l); got != k.mode {
		return nil, fmt.Errorf("mode in force is %q", got)
	}
	return l, nil
}

// dispatcher is the name of the program with which libxdp (xdp-loader) runs several others.
const dispatcher = "xdp_dispatcher"

// programOn names the XDP program of an interface, as the beginning of an error message; it
// is empty if that is not known.
func (k *keeper) programOn(index int) string {
	iface, err := k.kernel.LinkByIndex(index)
	if err != nil || iface.Attrs().Xdp == nil {
		return ""
	}
	p, err := ebpf.NewProgramFromID(ebpf.ProgramID(iface.Attrs().Xdp.ProgId))
	if err != nil {
		return ""
	}
	defer p.Close()
	info, err := p.Info()
	if err != nil {
		return ""
	}
	if info.Name == dispatcher {
		return "it has the dispatcher of libxdp, which this program cannot join: "
	}
	return fmt.Sprintf("it has the program %q: ", info.Name)
}

// takeOver replaces the program of the pinned link that is attached to the interface. Not a
// single packet passes unseen. It returns nil if there is no such link. After an error the link
// has the same program as before.
func (k *keeper) takeOver(index int) (link.Link, error) {
	if k.pinned == "" {
		return nil, nil
	}
	path, l, err := k.pinnedOn(index)
	if l == nil || err != nil {
		return nil, err
	}
	if path != k.pinned {
		err = rename(path, k.pinned)
	}
	if err == nil {
		err = l.Update(k.program)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("replace the program: %w", err), l.Close())
	}
	return l, nil
}

// rename renames a file. If there is one with the new name, which is another interface's link,
// it gets the old one.
func rename(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_EXCHANGE)
	if errors.Is(err, unix.ENOENT) {
		return os.Rename(from, to)
	}
	return os.NewSyscallError("renameat2", err)
}

// pinnedOn opens the pinned link that is attached to an interface. Its file has the name of the
// interface, or another name that the interface had before. It returns nil if there is none.
func (k *keeper) pinnedOn(index int) (path string, l link.Link, err error) {
	dir := filepath.Dir(k.pinned)
	all, err := os.ReadDir(dir)
	if err != nil {
		return "", nil, fmt.Errorf("look for the pinned link: %w", err)
	}
	for _, f := range all {
		if !strings.HasPrefix(f.Name(), linkPrefix) {
			continue
		}
		path := filepath.Join(dir, f.Name())
		l, err := link.LoadPinnedLink(path, nil)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return "", nil, fmt.Errorf("open the pinned link: %w", err)
		case interfaceOf(l) == index:
			return path, l, nil
		}
		if err := l.Close(); err != nil {
			return "", nil, err
		}
	}
	return "", nil, nil
}

// interfaceOf returns the interface of a link by its index, or zero if it is gone.
func interfaceOf(l link.Link) int {
	info, err := l.Info()
	if err != nil {
		return 0
	}
	if xdp := info.XDP(); xdp != nil {
		return int(xdp.Ifindex)
	}
	if tcx := info.TCX(); tcx != nil {
		return int(tcx.Ifindex)
	}
	return 0
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

func (k *keeper) linkTo(index int) (link.Link, error) {
	flags := link.XDPDriverMode
	switch k.mode {
	case TC:
		return link.AttachTCX(link.TCXOptions{
			Program: k.program, Interface: index, Attach: ebpf.AttachTCXIngress, Anchor: link.Head(),
		})
	case Generic:
		flags = link.XDPGenericMode
	}
	return link.AttachXDP(link.XDPOptions{Program: k.program, Interface: index, Flags: flags})
}

// modeOn returns the mode in which the kernel runs the program on an interface, or the
// empty mode if it does not. The information on an XDP link does not include a mode.
func (k *keeper) modeOn(iface netlink.Link, l link.Link) Mode {
	if k.mode == TC {
		info, err := l.Info()
		if err == nil && info.TCX() != nil && int(info.TCX().Ifindex) == iface.Attrs().Index {
			return TC
		}
		return ""
	}
	const attachedDriver, attachedGeneric = 1, 2 // enum of IFLA_XDP_ATTACHED
	xdp := iface.Attrs().Xdp
	switch {
	case xdp == nil || xdp.ProgId != k.id:
	case xdp.AttachMode == attachedDriver:
		return Native
	case xdp.AttachMode == attachedGeneric:
		return Generic
	}
	return ""
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
		if now.Interface == k.name {
			return now
		}
	}
	// The interface or the program is gone, or the name now belongs to another
	// interface.
	named, err := k.find()
	if attached && (err != nil || named.Attrs().Index == k.index) { // k.name may be another name of it
		return now
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
	if attached {
		return now
	}
	if old != nil {
		_ = old.Close()
		k.link = nil
	}
	if now.Attached {
		now.Since = time.Now()
	}
	now.Attached, now.Err = false, err
	return now
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
