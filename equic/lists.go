//go:build linux && !mips && !mips64 && !ppc64 && !s390x

package equic

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"

	"github.com/cilium/ebpf"
)

// List is a set of address prefixes in the kernel: Gateway.Allowed or Gateway.Denied.
// Its methods may be called from any goroutine. Changes are in force when they return.
type List struct {
	kernel  *ebpf.Map
	changed func(empty bool) error // called with mu held

	mu       sync.Mutex // taken before the gateway's
	closed   bool
	prefixes map[netip.Prefix]bool
}

func newList(kernel *ebpf.Map, changed func(empty bool) error) (*List, error) {
	l := &List{kernel: kernel, changed: changed, prefixes: make(map[netip.Prefix]bool)}
	if err := kernel.Put(allIPv4, uint8(0)); err != nil {
		return nil, fmt.Errorf("begin a list: %w", err)
	}
	return l, nil
}

// allIPv4 is always in the kernel's map. Its value is zero unless it is on the list. So
// an IPv6 prefix that contains it, such as ::/0, does not match IPv4.
var allIPv4 = prefixKey{Length: mapped, Address: netip.IPv4Unspecified().As16()}

// prefixKey is a key of the kernel's map (struct prefix in bpf/equic.bpf.c).
type prefixKey struct {
	Length  uint32
	Address [16]byte
}

// Add puts a prefix on the list. IPv4, IPv4 mapped into IPv6 and IPv4 behind NAT64
// (64:ff9b::/96) are the same. Bits beyond the length are ignored. Adding a prefix that
// is on the list is not an error.
func (l *List) Add(p netip.Prefix) error {
	p, key, err := listed(p)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return fmt.Errorf("list %s: %w", p, ErrClosed)
	}
	if err := l.kernel.Put(key, uint8(1)); err != nil {
		return fmt.Errorf("list %s: %w", p, err)
	}
	l.prefixes[p] = true
	if len(l.prefixes) == 1 {
		return l.changed(false)
	}
	return nil
}

// Remove takes a prefix off the list. It is an error if that same prefix is not on the
// list; narrower or wider prefixes do not count.
func (l *List) Remove(p netip.Prefix) error {
	p, key, err := listed(p)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return fmt.Errorf("remove %s: %w", p, ErrClosed)
	}
	if !l.prefixes[p] {
		return fmt.Errorf("remove %s: it is not on the list", p)
	}
	if key == allIPv4 {
		err = l.kernel.Put(key, uint8(0))
	} else {
		err = l.kernel.Delete(key)
	}
	if err != nil {
		return fmt.Errorf("remove %s: %w", p, err)
	}
	delete(l.prefixes, p)
	if len(l.prefixes) == 0 {
		return l.changed(true)
	}
	return nil
}

// close makes later changes fail. It returns once no change is in progress.
func (l *List) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
}

// Prefixes returns the prefixes on the list, sorted.
func (l *List) Prefixes() []netip.Prefix {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.SortedFunc(maps.Keys(l.prefixes), func(a, b netip.Prefix) int { return a.Compare(b) })
}

// listed returns a prefix in the form that the list stores, and the kernel's key.
func listed(p netip.Prefix) (netip.Prefix, prefixKey, error) {
	if !p.IsValid() {
		return p, prefixKey{}, fmt.Errorf("prefix %q is not valid", p)
	}
	if a := plain(p.Addr()); a.Is4() && !p.Addr().Is4() && p.Bits() >= mapped {
		p = netip.PrefixFrom(a, p.Bits()-mapped)
	}
	p = p.Masked()
	key := prefixKey{Length: uint32(p.Bits()), Address: p.Addr().As16()} // 0 to 128
	if p.Addr().Is4() {
		key.Length += mapped
	}
	return p, key, nil
}
