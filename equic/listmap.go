//go:build linux && !mips && !mips64 && !ppc64 && !s390x

package equic

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/cilium/ebpf"
)

// prefixMap is what a list needs of an ebpf.Map.
type prefixMap interface {
	Put(key, value any) error
	BatchUpdate(keys, values any, opts *ebpf.BatchOptions) (int, error)
	BatchDelete(keys any, opts *ebpf.BatchOptions) (int, error)
}

// origin is why a prefix is on a list: the value of the kernel's map. The program only
// checks whether it is zero. The remaining bits are the Unix time in seconds at
// which AddFor ends, or zero.
type origin uint64

const (
	originAdded origin = 1 << iota
	originFeed
	originTime = iota // bits to shift
)

// originAt returns the origin of a prefix that AddFor lists until a given time.
func originAt(until time.Time) origin {
	return origin(until.Add(time.Second-1).Unix()) << originTime
}

// origin returns why a prefix is on the list. Callers hold mu.
func (l *List) origin(p netip.Prefix) (o origin) {
	if until, timed := l.timed[p]; timed {
		o = originAt(until)
	}
	if l.added[p] {
		o |= originAdded
	}
	if l.feed[p] {
		o |= originFeed
	}
	return o
}

// inherit takes over a prefix that a predecessor put on the list.
func (l *List) inherit(p netip.Prefix, o origin) {
	if o&originAdded != 0 {
		l.added[p] = true
	}
	if o&originFeed != 0 {
		l.feed[p] = true
	}
	if seconds := int64(o >> originTime); seconds != 0 {
		l.timed[p] = time.Unix(seconds, 0)
	}
}

// allIPv4 is always in the kernel's map. Its value is zero unless it is on the list. So
// an IPv6 prefix that contains it, such as ::/0, does not match IPv4.
var allIPv4 = prefixKey{Length: mapped, Address: netip.IPv4Unspecified().As16()}

// prefixKey is a key of the kernel's map (struct prefix in bpf/maps.h).
type prefixKey struct {
	Length  uint32
	Address [16]byte
}

// insert puts prefixes into the kernel's map, if they are not on the list, and makes the
// program read the list. After an error the map and the list agree. Callers hold mu.
func (l *List) insert(prefixes []netip.Prefix, why origin) error {
	if l.closed {
		return ErrClosed
	}
	prefixes = slices.DeleteFunc(prefixes, l.isListed)
	n := len(prefixes) + l.count()
	if n > l.room {
		return fmt.Errorf("%w: it would have %d prefixes, and MaxPrefixes is %d", ErrListFull, n, l.room)
	}
	written, err := l.write(prefixes, func(netip.Prefix) origin { return why })
	if err == nil && n > 0 {
		err = l.use(true)
	}
	if err != nil {
		return errors.Join(err, l.takeBack(prefixes[:written]))
	}
	return nil
}

// takeBack takes prefixes that are not on the list out of the kernel's map again. Those
// that the kernel keeps go on the list, as part of the feed: so they are seen, and the
// next SetFeed removes them. Callers hold mu.
func (l *List) takeBack(prefixes []netip.Prefix) error {
	n, err := l.delete(prefixes)
	if err == nil {
		return nil
	}
	for _, p := range prefixes[n:] {
		l.feed[p] = true
	}
	return fmt.Errorf("prefixes that stay on the list until its next feed: %d: %w", len(prefixes)-n, err)
}

// erase takes prefixes that are on the list out of the kernel's map. The caller takes
// them off the list if there is no error; after one, the map and the list agree. If
// these are all prefixes of the list, the program ignores it from now on. Callers hold
// mu.
func (l *List) erase(prefixes []netip.Prefix, all bool) (err error) {
	if l.closed {
		return ErrClosed
	}
	if len(prefixes) == 0 {
		return nil
	}
	if all {
		err = l.use(false)
	}
	n := 0
	if err == nil {
		n, err = l.delete(prefixes)
	}
	if err != nil {
		return errors.Join(err, l.putBack(prefixes[:n]))
	}
	return nil
}

// putBack puts prefixes that are on the list into the kernel's map again. Those that the
// kernel refuses leave the list. Callers hold mu.
func (l *List) putBack(prefixes []netip.Prefix) error {
	n, err := l.write(prefixes, l.origin)
	for _, p := range prefixes[n:] {
		delete(l.added, p)
		delete(l.timed, p)
		delete(l.feed, p)
	}
	if err != nil {
		err = fmt.Errorf("prefixes that have left the list all the same: %d: %w", len(prefixes)-n, err)
	}
	return errors.Join(err, l.use(true))
}

// use makes the program read the list, or ignore it. Callers hold mu.
func (l *List) use(on bool) error {
	if on && l.inUse {
		return nil
	}
	l.inUse = false // after an error, for some ports at least
	err := l.changed(!on)
	l.inUse = on && err == nil
	return err
}

// write puts prefixes into the kernel's map. After an error, only the first n are in it.
func (l *List) write(prefixes []netip.Prefix, why func(netip.Prefix) origin) (n int, err error) {
	if len(prefixes) == 0 {
		return 0, nil
	}
	values := make([]origin, len(prefixes))
	for i, p := range prefixes {
		values[i] = why(p)
	}
	n, err = l.kernel.BatchUpdate(keysOf(prefixes), values, nil)
	return min(n, len(prefixes)), err
}

// delete takes prefixes out of the kernel's map, and may change their order. After an
// error, only the first n have left it.
func (l *List) delete(prefixes []netip.Prefix) (n int, err error) {
	keys := keysOf(prefixes)
	if i := slices.Index(keys, allIPv4); i >= 0 {
		if err := l.kernel.Put(allIPv4, origin(0)); err != nil {
			return 0, err
		}
		keys[0], keys[i] = keys[i], keys[0]
		prefixes[0], prefixes[i] = prefixes[i], prefixes[0]
		n = 1
	}
	for n < len(keys) {
		deleted, err := l.kernel.BatchDelete(keys[n:], nil)
		n = min(n+deleted, len(keys))
		switch {
		case err == nil:
			return len(keys), nil
		case !errors.Is(err, ebpf.ErrKeyNotExist):
			return n, err
		}
		n++ // that one is gone already
	}
	return len(keys), nil
}

func keysOf(prefixes []netip.Prefix) []prefixKey {
	keys := make([]prefixKey, len(prefixes))
	for i, p := range prefixes {
		keys[i] = keyOf(p)
	}
	return keys
}

// prefix returns the prefix of a kernel's key.
func (k prefixKey) prefix() netip.Prefix {
	a := netip.AddrFrom16(k.Address)
	if k.Length >= mapped && a.Is4In6() {
		return netip.PrefixFrom(a.Unmap(), int(k.Length)-mapped)
	}
	return netip.PrefixFrom(a, int(k.Length))
}

// keyOf returns the kernel's key of a prefix in that form.
func keyOf(p netip.Prefix) prefixKey {
	key := prefixKey{Length: uint32(p.Bits()), Address: p.Addr().As16()} // 0 to 128
	if p.Addr().Is4() {
		key.Length += mapped
	}
	return key
}
