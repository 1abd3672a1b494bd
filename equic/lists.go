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
