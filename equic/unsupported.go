//go:build !linux || mips || mips64 || ppc64 || s390x

package equic

import (
	"context"
	"iter"
	"net/http"
	"net/netip"
	"time"
)

// Gateway is a running program. It is not supported on this system.
type Gateway struct{}

// Unpin returns ErrUnsupported on this system.
func Unpin(string) error { return ErrUnsupported }

// Attach returns ErrUnsupported on this system.
func Attach(Options) (*Gateway, error) { return nil, ErrUnsupported }

// Inc returns ErrUnsupported on this system.
func (*Gateway) Inc(uint16, netip.Addr) error { return ErrUnsupported }

// TryInc returns ErrUnsupported.
func (*Gateway) TryInc(uint16, netip.Addr) (bool, error) { return false, ErrUnsupported }

// Dec returns ErrUnsupported.
func (*Gateway) Dec(uint16, netip.Addr) error { return ErrUnsupported }

// Claim returns false.
func (*Gateway) Claim(uint16, netip.Addr) bool { return false }

// Inherited returns zero.
func (*Gateway) Inherited() int { return 0 }

// SetOwners does nothing.
func (*Gateway) SetOwners(int) error { return nil }

// Claimed does nothing.
func (*Gateway) Claimed() {}

// MustValidate returns false.
func (*Gateway) MustValidate(uint16, netip.Addr) bool { return false }

// Begin returns ErrUnsupported.
func (*Gateway) Begin(uint16, netip.AddrPort, bool) (Handshake, error) { return nil, ErrUnsupported }

// HalfOpen returns zero.
func (*Gateway) HalfOpen() HalfOpen { return HalfOpen{} }

// Count returns zero.
func (*Gateway) Count(uint16, netip.Addr) int { return 0 }

// Quota returns zero.
func (*Gateway) Quota(uint16) int { return 0 }

// Leave returns nil.
func (*Gateway) Leave() error { return nil }

// Ports returns nil.
func (*Gateway) Ports() []Port { return nil }

// SetQuota returns ErrUnsupported.
func (*Gateway) SetQuota(uint16, int) error { return ErrUnsupported }

// SetRate returns ErrUnsupported.
func (*Gateway) SetRate(uint16, float64, int) error { return ErrUnsupported }

// SetMonitor returns ErrUnsupported.
func (*Gateway) SetMonitor(bool) error { return ErrUnsupported }

// Monitor returns false.
func (*Gateway) Monitor() bool { return false }

// TurnedAway returns nil.
func (*Gateway) TurnedAway() map[uint16]uint64 { return nil }

// Clients returns an empty sequence.
func (*Gateway) Clients() iter.Seq[Client] { return func(func(Client) bool) {} }

// Networks returns an empty sequence.
func (*Gateway) Networks() iter.Seq[Client] { return func(func(Client) bool) {} }

// Mode returns the empty mode.
func (*Gateway) Mode() Mode { return "" }

// Attachments returns one with ErrUnsupported.
func (*Gateway) Attachments() []Attachment { return []Attachment{{Err: ErrUnsupported}} }

// Stats returns ErrUnsupported.
func (*Gateway) Stats() (Stats, error) { return Stats{}, ErrUnsupported }

// MeasureDrop returns ErrUnsupported.
func (*Gateway) MeasureDrop(context.Context) (DropCost, error) { return DropCost{}, ErrUnsupported }

// Allowed returns an empty list.
func (*Gateway) Allowed() *List { return &List{} }

// Denied returns an empty list.
func (*Gateway) Denied() *List { return &List{} }

// Close does nothing.
func (*Gateway) Close() error { return nil }

// List is a set of address prefixes in the kernel. It is not supported on this system.
type List struct{}

// Add returns ErrUnsupported.
func (*List) Add(netip.Prefix) error { return ErrUnsupported }

// AddFor returns ErrUnsupported.
func (*List) AddFor(netip.Prefix, time.Duration) error { return ErrUnsupported }

// SetFeed returns ErrUnsupported.
func (*List) SetFeed([]netip.Prefix) error { return ErrUnsupported }

// Remove returns ErrUnsupported.
func (*List) Remove(netip.Prefix) error { return ErrUnsupported }

// Prefixes returns nil.
func (*List) Prefixes() []netip.Prefix { return nil }

// Added returns nil.
func (*List) Added() []Listing { return nil }

// FeedSize returns zero.
func (*List) FeedSize() int { return 0 }

// MetricsHandler returns a handler that answers 503.
func MetricsHandler(*Gateway) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, ErrUnsupported.Error(), http.StatusServiceUnavailable)
	})
}
