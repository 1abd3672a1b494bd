package equic

import (
	"iter"
	"math"
	"net/netip"
	"slices"
)

// UserSpace counts clients as a Gateway does, but without a kernel program. It is for a
// server that cannot use the kernel, and itself refuses clients that are over quota.
// Clients are distinguished by the default prefixes. Its methods may be called from any
// goroutine.
type UserSpace struct{ clients *table }

// NewUserSpace makes a counter that admits quota connections per client and port, for
// up to DefaultMaxClients clients. With a quota of zero it admits none.
func NewUserSpace(quota int) *UserSpace {
	groups := make([]group, groupsFor(DefaultMaxClients))
	t := newTable(groups, DefaultMaxClients, newPrefixes(DefaultIPv4Prefix, DefaultIPv6Prefix), newHashKey())
	t.limits[0].quota.Store(uint32(min(uint64(max(0, quota)), math.MaxUint32)))
	return &UserSpace{clients: t}
}

// TryInc counts a connection if its client is below the quota. The error is ErrFull, or
// reports that the address is not valid. After an error, nothing is counted.
func (u *UserSpace) TryInc(port uint16, addr netip.Addr) (admitted bool, err error) {
	return u.clients.tryInc(port, addr)
}

// Dec removes one connection. It is an error if the client has none.
func (u *UserSpace) Dec(port uint16, addr netip.Addr) error { return u.clients.dec(port, addr) }

// MustValidate does the same as that of a Gateway.
func (u *UserSpace) MustValidate(port uint16, addr netip.Addr) bool {
	return u.clients.mustValidate(port, addr, false)
}

// Begin does the same as that of a Gateway.
func (u *UserSpace) Begin(port uint16, from netip.AddrPort, validated bool) (Handshake, error) {
	h, err := u.clients.begin(port, from, validated, false)
	if err != nil {
		return nil, err
	}
	return h, nil
}

// LimitHalfOpen sets the limits on handshakes in progress from addresses that are not
// validated. Call it before the first handshake begins.
func (u *UserSpace) LimitHalfOpen(limits HalfOpenLimits) error {
	limits = limits.complete()
	if err := limits.validate(); err != nil {
		return err
	}
	u.clients.halfOpen = limits
	return nil
}

// HalfOpen returns the number of handshakes in progress.
func (u *UserSpace) HalfOpen() HalfOpen { return u.clients.halfOpenNow() }

// Count returns the number of counted connections of a client of a port.
func (u *UserSpace) Count(port uint16, addr netip.Addr) int { return u.clients.count(port, addr) }

// Clients iterates over the clients that have connections at the time of the call, in
// no particular order. It works on a copy. None of them is blocked: only the kernel
// blocks.
func (u *UserSpace) Clients() iter.Seq[Client] {
	list := u.clients.counted()
	for i := range list {
		list[i].Blocked = false
	}
	return slices.Values(list)
}
