//go:build linux && !mips && !mips64 && !ppc64 && !s390x

package equic

import (
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
)

// Gateway is a running program, attached to its interfaces or at the place that
// Options.Mode names. Its methods may be called from any goroutine.
type Gateway struct {
	options Options  // complete
	at      attached // nil in tests that need no interface
	counts
	events  *notifier // nil if Options.Events is nil
	pin     *pin      // nil if Options.Pin is empty
	owner   *owner    // nil if Options.Pin is empty
	allowed *List
	denied  *List

	allows  atomic.Bool // the program reads the list Allowed
	telling sync.Mutex  // held during attachmentChanged
	ending  sync.Mutex  // held during end

	mu           sync.RWMutex // guards the fields below; taken after the mutexes of the lists
	closed       bool
	objs         *objects
	mapped       mappings
	applications []gatewayApplication // in the order of options.Ports
	ports        []Port               // the same, with the limits in force
	heirs        int                  // owners of a predecessor that have not yet claimed all they have
}

// Inc counts one more connection of a client of a port, without regard to the quota.
// Once the count reaches the quota, the client is blocked according to the port's policy.
// This is in force when Inc returns: the kernel reads the count in shared memory, so there is no
// system call.
//
// Each Inc needs a Dec, except after an error (ErrFull, ErrPort, ErrClosed): then
// nothing is counted.
func (g *Gateway) Inc(port uint16, addr netip.Addr) error { return g.inc(port, addr) }

// Claim counts a connection that the gateway's predecessor counted, and that still exists
// (Options.Inherit). It returns false if there is none: then nothing is counted. Each
// connection that it counts needs a Dec.
func (g *Gateway) Claim(port uint16, addr netip.Addr) bool { return g.claim(port, addr) }

// Inherited returns the number of connections that a predecessor counted and that are not
// claimed yet. They are in force, but not among Clients: their client is known only when they
// are claimed.
func (g *Gateway) Inherited() int { return g.clients.inheritedNow() }

// SetOwners sets the number of processes that have connections counted here. If the gateway
// is handed over, its successor knows how many have to claim theirs.
func (g *Gateway) SetOwners(n int) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.pin == nil || g.closed {
		return nil
	}
	g.pin.now.Owners = n
	return g.note()
}

// Claimed reports that one of the predecessor's owners has claimed all that it has. When all
// have, the wait of Options.Inherit ends at once.
func (g *Gateway) Claimed() {
	g.mu.Lock()
	g.heirs--
	last := g.heirs == 0
	g.mu.Unlock()
	if last {
		g.each((*table).disinheritAll)
	}
}

// TryInc counts one more connection as Inc does, but only if the client is below the
// port's quota, or on the list Allowed. It is for a server that itself refuses the
// connections that the kernel let pass. However many goroutines call it at once, no
// more connections than the quota are admitted.
//
// An admitted connection is counted and needs a Dec. Otherwise nothing is counted, with
// or without an error.
func (g *Gateway) TryInc(port uint16, addr netip.Addr) (admitted bool, err error) {
	if !g.isAllowed(addr) {
		return g.tryInc(port, addr)
	}
	err = g.inc(port, addr)
	return err == nil, err
}

// MustValidate reports whether to send a Retry (RFC 9000, 8.1.2) in answer to an attempt to
// open a connection, if it comes from an address that the server has not validated. It
// returns true if this client, or all clients together, have too many handshakes in
// progress (Options.HalfOpen). Call it in the function of the server that decides on a
// Retry.
func (g *Gateway) MustValidate(port uint16, addr netip.Addr) bool {
	return g.clients.mustValidate(port, addr, g.isAllowed(addr))
}

// Begin counts a handshake. validated reports whether the server has validated the address.
// Call Begin when the server reads the first packet of an attempt, before the handshake
// costs anything. The error is ErrOverQuota if the client's quota allows no more handshakes
// in progress; otherwise ErrFull, ErrPort or ErrClosed. After an error nothing is counted.
//
// An address is validated if it has returned a token that is some seconds old at most, such
// as that of a Retry. An older one (NEW_TOKEN) may be replayed by another host that had the
// address before.
func (g *Gateway) Begin(port uint16, from netip.AddrPort, validated bool) (Handshake, error) {
	return g.begin(port, from, validated, g.isAllowed(from.Addr()))
}

// HalfOpen returns how many of the handshakes that Begin counted are still in progress.
func (g *Gateway) HalfOpen() HalfOpen { return g.clients.halfOpenNow() }

// isAllowed reports whether an address is on the list Allowed.
func (g *Gateway) isAllowed(addr netip.Addr) bool {
	return g.isListed(prefixKey{Length: 128, Address: plain(addr).As16()})
}

// isListed reports whether all addresses of a prefix are on the list Allowed, according to
// the kernel's copy of it.
func (g *Gateway) isListed(key prefixKey) bool {
	if !g.allows.Load() {
		return false
	}
	g.mu.RLock()
	defer g.mu.RUnlock()
	if g.closed {
		return false
	}
	var listed origin
	return g.objs.Allowed.Lookup(key, &listed) == nil && listed != 0
}

// Dec removes one connection from a client's count, and forgets the client at zero. If
// the client has no connection, or after Close, it returns an error and changes
// nothing.
func (g *Gateway) Dec(port uint16, addr netip.Addr) error { return g.dec(port, addr) }

// Count returns the number of counted connections of a client of a port.
func (g *Gateway) Count(port uint16, addr netip.Addr) int { return g.clients.count(port, addr) }

// Quota returns the quota of a port that is in force, or zero if the port is not
// protected.
func (g *Gateway) Quota(port uint16) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := g.application(port); i >= 0 {
		return g.ports[i].Quota
	}
	return 0
}

// Ports returns the protected ports, with the limits in force.
func (g *Gateway) Ports() []Port {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.ports)
}

// Clients iterates over the clients that have connections at the time of the call, in
// no particular order. It works on a copy.
func (g *Gateway) Clients() iter.Seq[Client] {
	list := g.clients.counted()
	for i := range list {
		c := &list[i]
		c.Blocked = c.Blocked && !g.isListed(keyOf(c.Prefix))
	}
	return slices.Values(list)
}

// Networks iterates over the networks that have connections, as Clients does. Without
// Options.Networks there are none.
func (g *Gateway) Networks() iter.Seq[Client] {
	if g.networks == nil {
		return func(func(Client) bool) {}
	}
	return slices.Values(g.networks.counted())
}

// Mode returns the mode in force, as reported by the kernel after attaching: never
// Auto.
func (g *Gateway) Mode() Mode {
	if all := g.Attachments(); len(all) > 0 {
		return all[0].Mode // they all have the same
	}
	return ""
}

// Attachments reports whether the kernel runs the program on each of the interfaces, in the
// order of Options.Interfaces. In a mode that has no interface, there is one element. It is
// at most one second old.
//
// If an interface is deleted and created again, or the program is detached from it,
// the gateway attaches it again, in the same mode. Until then nothing is dropped there in
// the kernel, and only the server's own refusals protect it. Options.OnAttachment is called
// on both changes.
func (g *Gateway) Attachments() []Attachment {
	if g.at == nil {
		return nil
	}
	return g.at.attachments()
}

// attachmentChanged sends an event, and calls Options.OnAttachment, one call at a time.
func (g *Gateway) attachmentChanged(now Attachment) {
	g.telling.Lock()
	defer g.telling.Unlock()
	g.events.attachment(now)
	if g.options.OnAttachment != nil {
		g.options.OnAttachment(now)
	}
}

// Allowed returns the list of prefixes whose packets are never dropped.
func (g *Gateway) Allowed() *List { return g.allowed }

// Denied returns the list of prefixes whose packets to a protected port are dropped, if
// the program can read them. A prefix that is also on Allowed is not dropped.
func (g *Gateway) Denied() *List { return g.denied }

// SetQuota changes the quota of a port. The change is in force for all clients when it
// returns.
func (g *Gateway) SetQuota(port uint16, quota int) error {
	if err := validQuota(quota); err != nil {
		return fmt.Errorf("set quota of port %d: %w", port, err)
	}
	n := uint32(quota) // validated
	err := g.clients.setQuota(port, n, func() error {
		return g.change(port, func(a *gatewayApplication, p *Port) { a.Quota, p.Quota = n, quota })
	})
	if err != nil {
		return fmt.Errorf("set quota of port %d: %w", port, err)
	}
	return nil
}

// SetRate changes the rate limit of a port: how many packets that open a connection each
// client may send per second, and how many of them at once. See Options.InitialsPerSecond
// and Burst, which also give the defaults.
func (g *Gateway) SetRate(port uint16, initialsPerSecond float64, burst int) error {
	r, err := newRate(initialsPerSecond, burst)
	if err == nil {
		err = g.change(port, func(a *gatewayApplication, p *Port) {
			a.setRate(r)
			p.InitialsPerSecond, p.Burst = initialsPerSecond, burst
		})
	}
	if err != nil {
		return fmt.Errorf("set rate of port %d: %w", port, err)
	}
	return nil
}

// SetMonitor turns monitor mode on or off. The change is in force when it returns. In
// monitor mode the gateway has no effect on clients: the kernel drops no packet, TryInc,
// Begin and Complete admit clients at their quota, and MustValidate asks for no Retry.
// Everything else is as usual. Counts.WouldDrop and TurnedAway count what the gateway
// would have done, and events report it. If the table has no room for a client, the
// error still is ErrFull. Handshakes above HalfOpenLimits.Total are counted only when they
// are complete: a flood of them must not fill the table.
func (g *Gateway) SetMonitor(on bool) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return fmt.Errorf("set monitor mode: %w", ErrClosed)
	}
	var value uint8
	if on {
		value = 1
	}
	if err := g.objs.Monitoring.Set(value); err != nil {
		return fmt.Errorf("set monitor mode: %w", err)
	}
	g.each(func(t *table) { t.monitoring.Store(on) })
	return g.note()
}

// note writes down what is in force, so that a successor can read it. It does nothing if
// there can be no successor. Callers hold mu.
func (g *Gateway) note() error {
	if g.pin == nil || g.at == nil { // attach writes it
		return nil
	}
	g.pin.now.Ports, g.pin.now.Monitor = g.ports, g.clients.monitoring.Load()
	return g.pin.save()
}

// Monitor reports whether monitor mode is on.
func (g *Gateway) Monitor() bool { return g.clients.monitoring.Load() }

// TurnedAway returns, for each port, the number of times that a client was turned away,
// in the kernel or by an answer of the gateway, because it was at its quota. All its
// packets and attempts until it is below its quota again count as one time. In monitor
// mode, it is the number of times that a client would have been turned away. The numbers
// never decrease. Each call looks at all clients.
func (g *Gateway) TurnedAway() map[uint16]uint64 {
	n := g.clients.turnedAway()
	times := make(map[uint16]uint64, len(g.options.Ports))
	for _, p := range g.options.Ports {
		times[p.Number] = n[g.clients.limitOf[p.Number]]
	}
	return times
}

// change changes the settings of an application in the kernel.
func (g *Gateway) change(port uint16, how func(*gatewayApplication, *Port)) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := g.application(port)
	if i < 0 {
		return fmt.Errorf("%w: %d", ErrPort, port)
	}
	a, p := g.applications[i], g.ports[i]
	how(&a, &p)
	if err := g.write(i, a); err != nil {
		return err
	}
	g.ports[i] = p
	return g.note()
}

// changeLists makes the program read a list, or ignore it if it is empty.
func (g *Gateway) changeLists(list uint16, empty bool) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, a := range g.applications {
		a.Lists |= list
		if empty {
			a.Lists &^= list
		}
		if err := g.write(i, a); err != nil {
			return err
		}
	}
	if list == listAllowed {
		g.allows.Store(!empty)
	}
	return nil
}

// write writes the settings of an application to the kernel. Callers hold mu.
func (g *Gateway) write(i int, a gatewayApplication) error {
	if g.closed {
		return ErrClosed
	}
	before := g.applications
	g.applications = slices.Clone(before)
	g.applications[i] = a
	err := g.noteLongestDebt(append(before, a)) // while it changes
	if err == nil {
		err = g.objs.Applications.Put(uint32(i+1), a) // at most MaxPorts
	}
	if err == nil {
		err = g.noteLongestDebt(g.applications)
	}
	if err != nil {
		g.applications = before
		return fmt.Errorf("write settings: %w", err)
	}
	return nil
}

// noteLongestDebt writes the longest debt that the rates allow, where the program reads it.
func (g *Gateway) noteLongestDebt(applications []gatewayApplication) error {
	none := gatewayApplication{BurstNs: longestDebt(applications)}
	return g.objs.Applications.Put(uint32(0), none)
}

// application returns the index of a port, or a negative number if it is not protected.
func (g *Gateway) application(port uint16) int {
	return slices.IndexFunc(g.options.Ports, func(p Port) bool { return p.Number == port })
}

// Stats returns the counters since Attach; those of the program (Packets, WouldDrop and
// EventsLost) since the first Attach with the same Options.Pin. The CPUs' counters are not
// read at the same instant: on a busy interface the sum may be off by a few packets. After
// Close the error is ErrClosed.
func (g *Gateway) Stats() (Stats, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return Stats{}, ErrClosed
	}
	s, err := readStats(g.objs.Packets, g.objs.EventsLost, g.options.Ports)
	s.EventsLost += g.events.lostEvents()
	g.each(func(t *table) { s.Full += t.full.Load() })
	s.HalfOpen, s.HalfOpenLimit = g.HalfOpen(), g.options.HalfOpen.Total
	return s, err
}

// Close detaches the program and frees its maps, those in Options.Pin too. Further calls do
// nothing. Options.OnAttachment must not call it.
func (g *Gateway) Close() error {
	return g.end(func() error {
		err := g.at.close()
		if g.pin != nil {
			err = errors.Join(err, g.pin.removeAll())
		}
		return err
	})
}

// Leave ends the gateway as Close does, but everything in Options.Pin stays in force for a
// successor, with the program attached. Without Options.Pin it is the same as Close.
func (g *Gateway) Leave() error {
	return g.end(func() error { return g.at.close() })
}

// freeze makes changes fail, and stops the timers and the goroutine that make changes by
// themselves. The gateway need not be complete.
func (g *Gateway) freeze() {
	if g.clients != nil {
		g.each((*table).close)
	}
	for _, l := range []*List{g.allowed, g.denied} {
		if l != nil {
			l.close()
		}
	}
	g.owner.close()
}

// end ends the gateway, with or without detaching the program. It waits for OnAttachment,
// which may need mu.
func (g *Gateway) end(detach func() error) error {
	g.ending.Lock()
	defer g.ending.Unlock()
	g.freeze()
	g.mu.Lock()
	again := g.closed
	g.closed = true
	g.mu.Unlock()
	if again {
		return nil
	}
	return errors.Join(detach(), g.events.close(), g.mapped.close(), g.objs.Close(), g.pin.close())
}
