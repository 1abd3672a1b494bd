//go:build linux && !mips && !mips64 && !ppc64 && !s390x

package equic

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// attached is a program where it runs.
type attached interface {
	attachment() Attachment
	close() error
}

var (
	_ attached = (*keeper)(nil)
	_ attached = (*fixed)(nil)
)

// fixed is a program that stays where it is until it is closed.
type fixed struct {
	detach func() error

	mu  sync.Mutex
	now Attachment
}

func newFixed(m Mode, detach func() error) *fixed {
	return &fixed{detach: detach, now: Attachment{Attached: true, Mode: m, Since: time.Now()}}
}

func (f *fixed) attachment() Attachment {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

func (f *fixed) close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now.Attached, f.now.Since, f.now.Err = false, time.Now(), ErrClosed
	return f.detach()
}

// beforeDefrag is the priority in front of whatever puts fragments together
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

// attachSockets attaches a program to sockets.
func attachSockets(program *ebpf.Program, sockets []syscall.Conn) (*fixed, error) {
	detach := func() (err error) {
		for _, s := range sockets {
			if off := link.DetachSocketFilter(s); !errors.Is(off, net.ErrClosed) && !errors.Is(off, unix.ENOENT) {
				err = errors.Join(err, off)
			}
		}
		return err
	}
	for _, s := range sockets {
		if err := link.AttachSocketFilter(s, program); err != nil {
			return nil, errors.Join(fmt.Errorf("socket filter: %w", explainPermission(err)), detach())
		}
	}
	return newFixed(Socket, detach), nil
}
