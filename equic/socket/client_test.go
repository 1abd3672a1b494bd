package socket

import (
	"context"
	"errors"
	"io"
	"iter"
	"log/slog"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/equic-bench/equic-bench/equic"
	"github.com/equic-bench/equic-bench/equic/control"
	"github.com/equic-bench/equic-bench/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	alice = netip.MustParseAddr("192.0.2.10")
	bob   = netip.MustParseAddr("2001:db8::b")
	carol = netip.MustParseAddr("192.0.2.12")
)

// counting is a gateway without a kernel.
type counting struct{ *equic.UserSpace }

func (c counting) Inc(port uint16, addr netip.Addr) error {
	_, err := c.TryInc(port, addr)
	return err
}

func (c counting) Claim(uint16, netip.Addr) bool      { return false }
func (c counting) Claimed()                           {}
func (c counting) Inherited() int                     { return 0 }
func (c counting) Networks() iter.Seq[equic.Client]   { return nil }
func (c counting) SetOwners(int) error                { return nil }
func (c counting) Ports() []equic.Port                { return nil }
func (c counting) SetQuota(uint16, int) error         { return nil }
func (c counting) SetRate(uint16, float64, int) error { return nil }
func (c counting) Monitor() bool                      { return false }
func (c counting) SetMonitor(bool) error              { return nil }
func (c counting) TurnedAway() map[uint16]uint64      { return nil }
func (c counting) Attachments() []equic.Attachment    { return nil }
func (c counting) Stats() (equic.Stats, error)        { return equic.Stats{}, nil }
func (c counting) Clients() iter.Seq[equic.Client]    { return c.UserSpace.Clients() }

// gateway is a running gateway with a socket.
type gateway struct {
	counting
	path string
	stop func()
}

func newGateway(t *testing.T, path string) *gateway {
	t.Helper()
	return newGatewayFor(t, path, 443, 8443)
}

func newGatewayFor(t *testing.T, path string, ports ...uint16) *gateway {
	t.Helper()
	var protected []equic.Port
	for _, port := range ports {
		protected = append(protected, equic.Port{Number: port})
	}
	g := &gateway{counting: counting{equic.NewUserSpace(2)}, path: path}
	listener, err := control.Listen(t.Context(), path)
	testkit.Must(t, err)
	server := control.NewServer(control.Options{
		Gateway: g.counting, Ports: protected,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, listener) }()
	g.stop = sync.OnceFunc(func() {
		cancel()
		testkit.Must(t, <-done)
	})
	t.Cleanup(g.stop)
	return g
}

func mustDial(t *testing.T, path string) *Client {
	t.Helper()
	c, err := Dial(path)
	testkit.Must(t, err)
	t.Cleanup(func() { testkit.Must(t, c.Close()) })
	return c
}

func TestTwoClientsShareTheQuota(t *testing.T) {
	g := newGateway(t, filepath.Join(t.TempDir(), "socket"))
	one, two := mustDial(t, g.path), mustDial(t, g.path)
	for i, c := range []*Client{one, two, one, two} {
		admitted, err := c.TryInc(443, alice)
		if want := i < 2; admitted != want || err != nil {
			t.Errorf("try %d: %v, %v; want %v", i, admitted, err, want)
		}
	}
	if admitted, err := one.TryInc(8443, alice); !admitted || err != nil {
		t.Errorf("another port: %v, %v", admitted, err)
	}
	if admitted, err := one.TryInc(443, bob); !admitted || err != nil {
		t.Errorf("another client: %v, %v", admitted, err)
	}
	testkit.Must(t, one.Dec(443, alice))
	if err := one.Dec(443, alice); err == nil {
		t.Error("released what the other has counted")
	}
	if admitted, err := two.TryInc(443, alice); !admitted || err != nil {
		t.Errorf("after a release: %v, %v", admitted, err)
	}
	testkit.Must(t, two.Close())
	testkit.Await(t, "what the second counted is released", func() bool { return g.Count(443, alice) == 0 })
	if _, err := two.TryInc(443, alice); !errors.Is(err, equic.ErrClosed) {
		t.Errorf("after Close: %v, want ErrClosed", err)
	}
	if _, err := one.TryInc(80, alice); err == nil {
		t.Error("a port that is not protected was counted under")
	}
}

func TestAClientOutlivesItsGatewayAndCountsAnewWhatIsOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	g := newGateway(t, path)
	c := mustDial(t, path)
	for range 2 {
		_, err := c.TryInc(443, alice)
		testkit.Must(t, err)
	}
	g.stop()
	for range 2 {
		if _, err := c.TryInc(443, bob); !errors.Is(err, ErrGone) {
			t.Errorf("without a gateway: %v, want ErrGone", err)
		}
	}
	testkit.Must(t, c.Dec(443, alice))
	g = newGateway(t, path)
	testkit.AwaitFor(t, time.Minute, "the client is back", func() bool {
		_, err := c.TryInc(443, bob)
		return err == nil
	})
	if alice, bob := g.Count(443, alice), g.Count(443, bob); alice != 1 || bob != 1 {
		t.Errorf("the new gateway counts %d and %d, want 1 and 1", alice, bob)
	}
}

func TestAClientComesBackToAGatewayThatCannotCountAll(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	g := newGateway(t, path)
	c := mustDial(t, path)
	for _, port := range []uint16{443, 8443} {
		_, err := c.TryInc(port, alice)
		testkit.Must(t, err)
	}
	g.stop()
	g = newGatewayFor(t, path, 443)
	testkit.AwaitFor(t, time.Minute, "the client is back", func() bool {
		_, err := c.TryInc(443, bob)
		return err == nil
	})
	if n := g.Count(443, alice); n != 1 || c.Uncounted() != 1 {
		t.Errorf("%d connections, and %d not counted; want 1 and 1", n, c.Uncounted())
	}
	testkit.Must(t, c.Dec(8443, alice))
	if c.Uncounted() != 0 {
		t.Errorf("%d are not counted after their end", c.Uncounted())
	}
}

func TestThereMustBeAGateway(t *testing.T) {
	if _, err := Dial(filepath.Join(t.TempDir(), "socket")); !errors.Is(err, ErrGone) {
		t.Errorf("error %v, want ErrGone", err)
	}
}
