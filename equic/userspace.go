package equic

import (
	"iter"
	"math"
	"net/netip"
	"slices"
)

// UserSpace counts clients as a Gateway does, without a kernel: for a server that
// has none, and that turns away by itself who is over quota. Clients are told apart
// by the default prefixes. Its methods may be called from any goroutine.
type UserSpace struct{ clients *table }

// NewUserSpace makes a counter that admits quota connections of each client of
// each port, of DefaultMaxClients clients; with zero it admits nobody.
func NewUserSpace(quota int) *UserSpace {
	t := newTable(nil, DefaultMaxClients, newPrefixes(DefaultIPv4Prefix, DefaultIPv6Prefix), newHashKey())
	t.limits[0].quota.Store(uint32(min(uint64(max(0, quota)), math.MaxUint32)))
	return &UserSpace{clients: t}
}

// TryInc counts a connection if its client is below the quota. The error is
// ErrFull, or tells of an address that is not valid; then nothing is counted.
func (u *UserSpace) TryInc(port uint16, addr netip.Addr) (admitted bool, err error) {
	return u.clients.tryInc(port, addr)
}

// Dec counts one connection less. It is an error if the client has none.
func (u *UserSpace) Dec(port uint16, addr netip.Addr) error { return u.clients.dec(port, addr) }

// MustValidate is as that of a Gateway.
func (u *UserSpace) MustValidate(port uint16, addr netip.Addr) bool {
	return u.clients.mustValidate(port, addr)
}

// Begin is as that of a Gateway.
func (u *UserSpace) Begin(port uint16, from netip.AddrPort, validated bool) (Handshake, error) {
	h, err := u.clients.begin(port, from, validated, false)
	if err != nil {
		return nil, err
	}
	return h, nil
}

// HalfOpen is how many handshakes are in progress.
func (u *UserSpace) HalfOpen() HalfOpen { return u.clients.halfOpenNow() }

// Count is how many connections of a client of a port are counted.
func (u *UserSpace) Count(port uint16, addr netip.Addr) int { return u.clients.count(port, addr) }

// Clients iterates over a copy of who has connections at the time of the call, in
// no order. None is blocked: that is the kernel's.
func (u *UserSpace) Clients() iter.Seq[Client] {
	list := u.clients.counted()
	for i := range list {
		list[i].Blocked = false
	}
	return slices.Values(list)
}
