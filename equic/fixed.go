//go:build linux && !mips && !mips64 && !ppc64 && !s390x

package equic

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// attached is a program that is attached somewhere.
type attached interface {
	attachments() []Attachment
	close() error // what is pinned stays attached
}

var (
	_ attached = keepers(nil)
	_ attached = (*fixed)(nil)
)

// fixed is a program that stays attached until it is closed. If another process
// detaches it (bpftool link detach), it still counts as attached.
type fixed struct {
	detach func() error

	mu  sync.Mutex
	now Attachment
}

func newFixed(m Mode, detach func() error) *fixed {
	return &fixed{detach: detach, now: Attachment{Attached: true, Mode: m, Since: time.Now()}}
}

func (f *fixed) attachments() []Attachment {
	f.mu.Lock()
	defer f.mu.Unlock()
	return []Attachment{f.now}
}

func (f *fixed) close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now.Attached, f.now.Since, f.now.Err = false, time.Now(), ErrClosed
	return f.detach()
}

// beforeDefrag is a priority before the reassembly of fragments
// (NF_IP_PRI_CONNTRACK_DEFRAG is -400).
const beforeDefrag = -401

// attachNetfilter attaches a program to the prerouting hooks of the caller's network
// namespace.
func attachNetfilter(program *ebpf.Program) (*fixed, error) {
	var links []link.Link
	detach := func() (err error) {
		for _, l := range links {
			err = errors.Join(err, l.Close())
		}
		return err
	}
	for _, family := range []link.NetfilterProtocolFamily{link.NetfilterProtoIPv4, link.NetfilterProtoIPv6} {
		l, err := link.AttachNetfilter(link.NetfilterOptions{
			Program: program, ProtocolFamily: family, Hook: link.NetfilterInetPreRouting, Priority: beforeDefrag,
		})
		if errors.Is(err, unix.EAFNOSUPPORT) && len(links) > 0 {
			continue // a kernel without IPv6
		}
		if err != nil {
			return nil, errors.Join(&modeError{Netfilter, explain(err)}, detach())
		}
		links = append(links, l)
	}
	return newFixed(Netfilter, detach), nil
}

// attachSockets attaches a program to sockets of protected ports.
func attachSockets(program *ebpf.Program, o *Options) (*fixed, error) {
	var attached []syscall.Conn
	detach := func() (err error) {
		for _, s := range attached {
			if off := link.DetachSocketFilter(s); !errors.Is(off, net.ErrClosed) && !errors.Is(off, unix.ENOENT) {
				err = errors.Join(err, off)
			}
		}
		return err
	}
	for _, s := range o.Sockets {
		if err := attachSocket(program, s, o.Ports); err != nil {
			return nil, errors.Join(&modeError{Socket, err}, detach())
		}
		attached = append(attached, s)
	}
	return newFixed(Socket, detach), nil
}

func attachSocket(program *ebpf.Program, socket syscall.Conn, ports []Port) error {
	if local, ok := socket.(interface{ LocalAddr() net.Addr }); ok {
		udp, ok := local.LocalAddr().(*net.UDPAddr)
		if !ok || !slices.ContainsFunc(ports, func(p Port) bool { return int(p.Number) == udp.Port }) {
			return fmt.Errorf("%w: the socket is of %s, not of a protected UDP port", ErrOptions, local.LocalAddr())
		}
	}
	if filtered, err := hasFilter(socket); err != nil || filtered {
		return errors.Join(err, errors.New("the socket has a filter already"))
	}
	return explainPermission(link.AttachSocketFilter(socket, program))
}

// hasFilter reports whether a socket has a filter. For a classic filter the kernel
// returns its length, for another one EACCES.
func hasFilter(socket syscall.Conn) (has bool, err error) {
	raw, err := socket.SyscallConn()
	if err != nil {
		return false, err
	}
	var length uint32
	var errno unix.Errno
	err = raw.Control(func(fd uintptr) {
		_, _, errno = unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_GET_FILTER, 0,
			uintptr(unsafe.Pointer(&length)), 0)
	})
	return length > 0 || errno == unix.EACCES, err
}
