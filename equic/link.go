//go:build linux && !mips && !mips64 && !ppc64 && !s390x

package equic

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

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
