//go:build linux && !mips && !mips64 && !ppc64 && !s390x

package equic

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/cilium/ebpf"
)

// List is a set of address prefixes in the kernel: Gateway.Allowed or Gateway.Denied.
// Its methods may be called from any goroutine. Changes are in force when they return.
//
// A prefix is on the list until everything that put it there has ended: Add ends with
// Remove, AddFor with its time or with Remove, and SetFeed with the next SetFeed that
// does not contain the prefix.
type List struct {
	kernel  prefixMap
	room    int                    // for prefixes
	changed func(empty bool) error // called with mu held

	mu     sync.Mutex // taken before the gateway's
	closed bool
	inUse  bool // the program reads the list, for every port
	added  map[netip.Prefix]bool
	timed  map[netip.Prefix]time.Time // when they end; none of them is in added
	feed   map[netip.Prefix]bool
	timer  *time.Timer
	next   time.Time // when the timer fires; zero if it does not run
}

// prefixMap is what a list needs of an ebpf.Map.
type prefixMap interface {
	Put(key, value any) error
	BatchUpdate(keys, values any, opts *ebpf.BatchOptions) (int, error)
	BatchDelete(keys any, opts *ebpf.BatchOptions) (int, error)
}

// newList makes a List for a map in the kernel, and takes over the prefixes in the map.
func newList(kernel *ebpf.Map, changed func(empty bool) error) (*List, error) {
	l := &List{
		kernel: kernel, room: int(kernel.MaxEntries()) - 1, changed: changed,
		added: make(map[netip.Prefix]bool), timed: make(map[netip.Prefix]time.Time), feed: make(map[netip.Prefix]bool),
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var key prefixKey
	var value origin
	all := kernel.Iterate()
	for all.Next(&key, &value) {
		l.inherit(key.prefix(), value)
	}
	err := all.Err()
	if err == nil && l.count() > 0 {
		err = l.use(true)
	}
	if err == nil && !l.isListed(allIPv4.prefix()) {
		err = kernel.Put(allIPv4, origin(0))
	}
	if err != nil {
		return nil, fmt.Errorf("create a list: %w", err)
	}
	for _, until := range l.timed {
		l.schedule(until)
	}
	return l, nil
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

// fill puts the prefixes of Options on the list. If there is no feed, that of a predecessor
// stays.
func (l *List) fill(added, feed []netip.Prefix) error {
	for _, p := range added {
		if err := l.Add(p); err != nil {
			return err
		}
	}
	if feed == nil {
		return nil
	}
	return l.SetFeed(feed)
}

// Add puts a prefix on the list. IPv4, IPv4 mapped into IPv6 and IPv4 behind NAT64
// (64:ff9b::/96) are the same. Bits beyond the length are ignored. Adding a prefix that
// is on the list is not an error. If the list has no room, the error is ErrListFull.
func (l *List) Add(p netip.Prefix) error { return l.add(p, time.Time{}) }

// AddFor puts a prefix on the list for a time. A second call for the same prefix
// replaces the time. A prefix that Add has put on the list stays there. The time ends
// with the gateway, unless Options.Pin keeps it for a successor.
func (l *List) AddFor(p netip.Prefix, d time.Duration) error {
	if d <= 0 {
		return fmt.Errorf("list %s: the time is %v: give one above zero", p, d)
	}
	return l.add(p, time.Now().Add(d))
}

// add puts a prefix on the list until a time, or without an end if that is zero.
func (l *List) add(p netip.Prefix, until time.Time) error {
	p, err := ListedPrefix(p)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	why := originAdded
	if !until.IsZero() {
		why = originAt(until)
	}
	if err := l.insert([]netip.Prefix{p}, why); err != nil {
		return fmt.Errorf("list %s: %w", p, err)
	}
	switch {
	case until.IsZero():
		l.added[p] = true
		delete(l.timed, p)
	case !l.added[p]:
		l.timed[p] = until
		l.schedule(until)
	}
	return l.note(p)
}

// note writes to the kernel why prefixes are on the list, for a successor. Callers hold mu.
func (l *List) note(prefixes ...netip.Prefix) error {
	for _, p := range prefixes {
		if err := l.kernel.Put(keyOf(p), l.origin(p)); err != nil {
			return fmt.Errorf("note why %s is listed: %w", p, err)
		}
	}
	return nil
}

// Remove ends what Add or AddFor did for a prefix. It is an error if neither put that
// same prefix on the list; narrower or wider prefixes do not count.
func (l *List) Remove(p netip.Prefix) error {
	p, err := ListedPrefix(p)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, timed := l.timed[p]; !timed && !l.added[p] {
		if l.feed[p] {
			return fmt.Errorf("remove %s: it comes from the feed of the list: take it out there", p)
		}
		return fmt.Errorf("remove %s: it is not on the list", p)
	}
	if err := l.remove([]netip.Prefix{p}); err != nil {
		return fmt.Errorf("remove %s: %w", p, err)
	}
	return nil
}

// remove ends what Add or AddFor did for prefixes. Callers hold mu.
func (l *List) remove(prefixes []netip.Prefix) error {
	only := slices.DeleteFunc(slices.Clone(prefixes), func(p netip.Prefix) bool { return l.feed[p] })
	if err := l.erase(only, len(only) == l.count()); err != nil {
		return err
	}
	var stay []netip.Prefix
	for _, p := range prefixes {
		delete(l.added, p)
		delete(l.timed, p)
		if l.feed[p] {
			stay = append(stay, p)
		}
	}
	return l.note(stay...)
}

// SetFeed replaces the feed of the list: prefixes that come as a whole from elsewhere,
// such as from a file. Those of Add and AddFor stay. New prefixes are added before old
// ones are removed, so an address that both feeds contain is on the list all the time.
// The list must have room for both feeds, or the error is ErrListFull. After an error
// no prefix of the earlier feed has left the list, unless the error reports that: then the
// removed prefixes could not be put back into the kernel's map.
func (l *List) SetFeed(prefixes []netip.Prefix) error {
	feed := make(map[netip.Prefix]bool, len(prefixes))
	for _, p := range prefixes {
		p, err := ListedPrefix(p)
		if err != nil {
			return fmt.Errorf("set a feed: %w", err)
		}
		feed[p] = true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.insert(slices.Collect(maps.Keys(feed)), originFeed); err != nil {
		return fmt.Errorf("set a feed: %w", err)
	}
	var gone []netip.Prefix
	for p := range l.feed {
		if !feed[p] && !l.isOther(p) {
			gone = append(gone, p)
		}
	}
	err := l.erase(gone, len(feed)+len(l.added)+len(l.timed) == 0)
	if err != nil {
		maps.Copy(feed, l.feed) // they are still in the kernel
		err = fmt.Errorf("set a feed: %w", err)
	}
	before := l.feed
	l.feed = feed
	for p := range l.others() {
		if before[p] != feed[p] {
			err = errors.Join(err, l.note(p))
		}
	}
	return err
}

// isOther reports whether Add or AddFor put a prefix on the list. Callers hold mu.
func (l *List) isOther(p netip.Prefix) bool {
	_, timed := l.timed[p]
	return timed || l.added[p]
}

// others iterates over what Add and AddFor put on the list. Callers hold mu.
func (l *List) others() iter.Seq[netip.Prefix] {
	return func(yield func(netip.Prefix) bool) {
		for p := range l.added {
			if !yield(p) {
				return
			}
		}
		for p := range l.timed {
			if !yield(p) {
				return
			}
		}
	}
}

// isListed reports whether a prefix is on the list. Callers hold mu.
func (l *List) isListed(p netip.Prefix) bool { return l.feed[p] || l.isOther(p) }

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

// expiryRetry is how long to wait after an error before the next attempt to remove a
// prefix.
const expiryRetry = time.Second

// schedule makes the timer fire at a time, unless it fires earlier. Callers hold mu.
func (l *List) schedule(at time.Time) {
	if !l.next.IsZero() && !at.Before(l.next) {
		return
	}
	if l.timer != nil {
		l.timer.Stop()
	}
	l.next = at
	l.timer = time.AfterFunc(time.Until(at), l.expire)
}

// expire removes the prefixes whose time is over.
func (l *List) expire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	now := time.Now()
	var over []netip.Prefix
	for p, until := range l.timed {
		if !until.After(now) {
			over = append(over, p)
		}
	}
	if err := l.remove(over); err != nil {
		for _, p := range over {
			if _, listed := l.timed[p]; listed {
				l.timed[p] = now.Add(expiryRetry)
			}
		}
	}
	l.next = time.Time{}
	for _, until := range l.timed {
		l.schedule(until)
	}
}

// close makes later changes fail. It returns once no change is in progress.
func (l *List) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.timer != nil {
		l.timer.Stop()
	}
}

// Prefixes returns the prefixes on the list, sorted.
func (l *List) Prefixes() []netip.Prefix {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.SortedFunc(maps.Keys(l.all()), netip.Prefix.Compare)
}

// sizes returns the number of prefixes in the feed, and of the others on the list.
func (l *List) sizes() (feed, others int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.feed), l.count() - len(l.feed)
}

// count returns the number of prefixes on the list. Callers hold mu.
func (l *List) count() int {
	n := len(l.feed)
	for p := range l.others() {
		if !l.feed[p] {
			n++
		}
	}
	return n
}

// all returns the prefixes on the list. Callers hold mu.
func (l *List) all() map[netip.Prefix]bool {
	all := maps.Clone(l.feed)
	for p := range l.others() {
		all[p] = true
	}
	return all
}

// Added returns the prefixes that Add and AddFor have put on the list, sorted.
func (l *List) Added() []Listing {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []Listing
	for p := range l.added {
		list = append(list, Listing{Prefix: p})
	}
	for p, until := range l.timed {
		list = append(list, Listing{Prefix: p, Until: until})
	}
	slices.SortFunc(list, func(a, b Listing) int { return a.Prefix.Compare(b.Prefix) })
	return list
}

// FeedSize returns the number of prefixes in the feed.
func (l *List) FeedSize() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.feed)
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
