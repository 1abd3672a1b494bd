package socket

import (
	"errors"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/equic-bench/equic-bench/equic"
	"github.com/equic-bench/equic-bench/equic/quicguard"
	"github.com/equic-bench/equic-bench/internal/testkit"
)

var _ quicguard.Admission = (*Client)(nil)

func mustBegin(t *testing.T, c *Client, addr netip.Addr, validated bool) equic.Handshake {
	t.Helper()
	h, err := c.Begin(443, netip.AddrPortFrom(addr, 50000), validated)
	testkit.Must(t, err)
	return h
}

// completes reports whether a complete handshake was admitted.
func completes(t *testing.T, h equic.Handshake) bool {
	t.Helper()
	admitted, err := h.Complete()
	testkit.Must(t, err)
	return admitted
}

func TestHandshakesOfTwoClientsShareTheQuota(t *testing.T) {
	g := newGateway(t, filepath.Join(t.TempDir(), "socket"))
	one, two := mustDial(t, g.path), mustDial(t, g.path)
	first, second := mustBegin(t, one, alice, true), mustBegin(t, two, alice, true)
	mustBegin(t, one, bob, false).Cancel()
	if _, err := one.Begin(443, netip.AddrPortFrom(alice, 1), true); !errors.Is(err, equic.ErrOverQuota) {
		t.Errorf("the third: %v, want ErrOverQuota", err)
	}
	if !two.MustValidate(443, alice) || two.MustValidate(443, bob) {
		t.Error("want a Retry for alice, and none for bob")
	}
	mustBegin(t, two, alice, false).Cancel() // two workers that were told to begin may overlap
	if got, want := one.HalfOpen(), (equic.HalfOpen{Validated: 1}); got != want {
		t.Errorf("half open %+v, want %+v", got, want)
	}
	first.Hello()
	for range 2 {
		if !completes(t, first) || g.Count(443, alice) != 1 {
			t.Errorf("%d connections, want 1", g.Count(443, alice))
		}
	}
	second.Cancel()
	second.Close()
	if completes(t, second) || g.HalfOpen() != (equic.HalfOpen{}) || two.HalfOpen() != (equic.HalfOpen{}) {
		t.Errorf("half open %+v and %+v, want none", g.HalfOpen(), two.HalfOpen())
	}
	first.Close()
	first.Close()
	if got := g.Count(443, alice); got != 0 {
		t.Errorf("%d connections after the end, want 0", got)
	}
	if _, err := one.Begin(80, netip.AddrPortFrom(alice, 1), true); err == nil {
		t.Error("a port that is not protected was counted under")
	}
}

func TestWhatIsCompleteTooLateIsTurnedAway(t *testing.T) {
	g := newGateway(t, filepath.Join(t.TempDir(), "socket"))
	c := mustDial(t, g.path)
	h := mustBegin(t, c, alice, false)
	for range 2 {
		_, err := c.TryInc(443, alice)
		testkit.Must(t, err)
	}
	for range 2 {
		if completes(t, h) || g.Count(443, alice) != 2 {
			t.Errorf("%d connections, want 2", g.Count(443, alice))
		}
		h.Close() // releases nothing
	}
}

func TestAClientThatEndsLeavesNoHandshake(t *testing.T) {
	g := newGateway(t, filepath.Join(t.TempDir(), "socket"))
	c := mustDial(t, g.path)
	mustBegin(t, c, alice, true)
	mustBegin(t, c, bob, false)
	if got, want := g.HalfOpen(), (equic.HalfOpen{Validated: 1, Unvalidated: 1}); got != want {
		t.Errorf("half open %+v, want %+v", got, want)
	}
	testkit.Must(t, c.Close())
	testkit.Await(t, "its handshakes are gone", func() bool { return g.HalfOpen() == (equic.HalfOpen{}) })
}

func TestAHandshakeOutlivesItsGateway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	g := newGateway(t, path)
	c := mustDial(t, path)
	lost, early := mustBegin(t, c, alice, true), mustBegin(t, c, alice, true)
	stays := mustBegin(t, c, carol, false)
	late, tooLate := mustBegin(t, c, bob, false), mustBegin(t, c, bob, false)
	failed := mustBegin(t, c, carol, false)
	if !completes(t, early) {
		t.Error("a connection under quota was turned away")
	}
	g.stop()
	lost.Hello()
	for _, h := range []equic.Handshake{lost, stays} {
		if _, err := h.Complete(); !errors.Is(err, ErrGone) {
			t.Errorf("without a gateway: %v, want ErrGone", err)
		}
	}
	lost.Close()
	if got := c.Uncounted(); got != 2 {
		t.Errorf("%d are not counted, want early and stays", got)
	}
	g = newGateway(t, path)
	testkit.AwaitFor(t, time.Minute, "the client is back", func() bool {
		_, err := c.TryInc(443, bob)
		return err == nil
	})
	if !completes(t, late) || completes(t, tooLate) {
		t.Error("want the second connection of bob, and not the third")
	}
	failed.Close()
	for addr, want := range map[netip.Addr]int{alice: 1, bob: 2, carol: 1} {
		if got := g.Count(443, addr); got != want {
			t.Errorf("the new gateway counts %d of %s, want %d", got, addr, want)
		}
	}
	early.Close()
	late.Close()
	stays.Close()
	if got := g.Count(443, carol); got != 0 || c.Uncounted() != 0 {
		t.Errorf("%d of carol and %d that are not counted, want none", got, c.Uncounted())
	}
	if alice, bob := g.Count(443, alice), g.Count(443, bob); alice != 0 || bob != 1 {
		t.Errorf("after their end it counts %d and %d, want 0 and 1", alice, bob)
	}
	if got := c.HalfOpen(); got != (equic.HalfOpen{}) {
		t.Errorf("half open %+v, want none", got)
	}
}
