package control

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/equic-bench/equic-bench/equic"
	"github.com/equic-bench/equic-bench/internal/testkit"
)

// TestMain runs the tests, or a server that one of them kills.
func TestMain(m *testing.M) {
	if socket := os.Getenv(countingVariable); socket != "" {
		countForEver(socket)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// fake is a gateway without a kernel.
type fake struct {
	mu      sync.Mutex
	counts  map[client]int
	quotas  map[uint16]int
	rates   map[uint16]equic.Port
	full    netip.Addr // a client for which there is no room
	closed  bool
	monitor bool
	crowded int // further clients in the reply to `clients`

	ports     []uint16
	inherited map[client]int // from a predecessor
	owners    int

	begun map[client]int // handshakes in progress
	notes []string       // how they ended
}

func newFake() *fake {
	return &fake{
		counts: make(map[client]int),
		begun:  make(map[client]int),
		quotas: map[uint16]int{443: 2, 8443: 2},
		rates:  make(map[uint16]equic.Port),
		full:   netip.MustParseAddr("203.0.113.1"),

		inherited: make(map[client]int),
	}
}

func (f *fake) Inc(port uint16, addr netip.Addr) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.add(client{port, addr})
}

func (f *fake) TryInc(port uint16, addr netip.Addr) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c := (client{port, addr}); f.counts[c] >= f.quotas[port] {
		return false, nil
	} else if err := f.add(c); err != nil {
		return false, err
	}
	return true, nil
}

func (f *fake) add(c client) error {
	if err := f.lack(c); err != nil {
		return err
	}
	f.counts[c]++
	return nil
}

// lack returns the error if a client cannot be counted.
func (f *fake) lack(c client) error {
	switch {
	case f.closed:
		return equic.ErrClosed
	case c.addr == f.full:
		return fmt.Errorf("count a connection of %s: %w", c.addr, equic.ErrFull)
	}
	return nil
}

func (f *fake) Dec(port uint16, addr netip.Addr) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := client{port, addr}
	if f.counts[c] == 0 {
		return fmt.Errorf("release a connection of %s: it has none", addr)
	}
	if f.counts[c]--; f.counts[c] == 0 {
		delete(f.counts, c)
	}
	return nil
}

func (f *fake) Claim(port uint16, addr netip.Addr) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := client{port, addr}
	if f.inherited[c] == 0 {
		return false
	}
	f.inherited[c]--
	f.counts[c]++
	return true
}

func (f *fake) Networks() iter.Seq[equic.Client] {
	return slices.Values([]equic.Client{{Prefix: netip.MustParsePrefix("2001:db8::/48"), Port: 443, Connections: 9}})
}

func (f *fake) Inherited() (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, connections := range f.inherited {
		n += connections
	}
	return n
}

func (f *fake) Claimed() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.inherited)
}

func (f *fake) SetOwners(n int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.owners = n
	return nil
}

func (f *fake) Ports() (all []equic.Port) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, number := range f.ports {
		p := f.rates[number]
		p.Number, p.Quota, p.Policy = number, f.quotas[number], equic.PolicyNew
		all = append(all, p)
	}
	return all
}

func (f *fake) SetQuota(port uint16, quota int) error {
	if quota < 1 {
		return fmt.Errorf("set quota of port %d: quota is %d", port, quota)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.quotas[port] = quota
	return nil
}

func (f *fake) SetRate(port uint16, perSecond float64, burst int) error {
	if burst < 0 {
		return fmt.Errorf("set rate of port %d: burst is %d", port, burst)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rates[port] = equic.Port{InitialsPerSecond: perSecond, Burst: burst}
	return nil
}

func (f *fake) Monitor() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.monitor
}

func (f *fake) SetMonitor(on bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return equic.ErrClosed
	}
	f.monitor = on
	return nil
}

func (f *fake) TurnedAway() map[uint16]uint64 { return map[uint16]uint64{443: 6} }

func (f *fake) Attachments() []equic.Attachment {
	return []equic.Attachment{
		{Interface: "eth0", Attached: true, Mode: equic.Native, Since: time.Unix(1e9, 0)},
		{Interface: "eth1", Mode: equic.Native, Since: time.Unix(2e9, 0), Err: errors.New("it is gone")},
	}
}

func (f *fake) Stats() (equic.Stats, error) {
	if f.closed {
		return equic.Stats{}, equic.ErrClosed
	}
	of := equic.Counts{
		Seen: 7, Passed: 4, Dropped: 3,
		Packets:   map[string]uint64{equic.PassEstablished: 3, equic.DropOverQuota: 3},
		WouldDrop: map[string]uint64{equic.DropDenied: 1},
	}
	all := of
	all.Seen, all.Passed = 8, 5
	all.Packets = map[string]uint64{equic.PassNotIP: 1, equic.PassEstablished: 3, equic.DropOverQuota: 3}
	return equic.Stats{
		Counts: all, Ports: map[uint16]equic.Counts{443: of},
		HalfOpen: equic.HalfOpen{Unvalidated: 3}, HalfOpenLimit: 48, Full: 1, EventsLost: 2,
	}, nil
}

func (f *fake) Clients() iter.Seq[equic.Client] {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []equic.Client
	for c, n := range f.counts {
		list = append(list, equic.Client{
			Prefix: netip.PrefixFrom(c.addr, c.addr.BitLen()), Port: c.port, Connections: n, Blocked: n >= f.quotas[c.port],
		})
	}
	slices.SortFunc(list, func(a, b equic.Client) int { return a.Prefix.Compare(b.Prefix) })
	for range f.crowded {
		list = append(list, equic.Client{Prefix: netip.MustParsePrefix("2001:db8::/64"), Port: 443, Connections: 1})
	}
	return slices.Values(list)
}

// total returns the number of counted connections.
func (f *fake) total() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, m := range f.counts {
		n += m
	}
	return n
}

// fakeList is a list of prefixes without a kernel. Nothing leaves it by itself.
type fakeList struct {
	mu   sync.Mutex
	list []equic.Listing
	feed int
}

func (l *fakeList) Add(p netip.Prefix) error { return l.add(equic.Listing{Prefix: p}) }

func (l *fakeList) AddFor(p netip.Prefix, d time.Duration) error {
	return l.add(equic.Listing{Prefix: p, Until: time.Now().Add(d)})
}

func (l *fakeList) add(p equic.Listing) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, p)
	return nil
}

func (l *fakeList) Remove(p netip.Prefix) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.IndexFunc(l.list, func(on equic.Listing) bool { return on.Prefix == p })
	if i < 0 {
		return fmt.Errorf("remove %s: it is not on the list", p)
	}
	l.list = slices.Delete(l.list, i, i+1)
	return nil
}

func (l *fakeList) Added() []equic.Listing {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.list)
}

func (l *fakeList) FeedSize() int { return l.feed }

// controlled is a fake gateway with a socket.
type controlled struct {
	*fake
	path   string
	server *Server
	stop   func() // stops the server, and waits for it
}

// control serves a fake gateway with the given ports until the test ends.
func control(tb testing.TB, ports ...uint16) controlled {
	tb.Helper()
	c := prepare(tb, ports...)
	c.start(tb)
	return c
}

// prepare sets up a server without starting it.
func prepare(tb testing.TB, ports ...uint16) controlled {
	tb.Helper()
	f := newFake()
	f.ports = ports
	o := Options{
		Gateway: f, Allowed: new(fakeList), Denied: new(fakeList),
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	for _, p := range ports {
		o.Ports = append(o.Ports, equic.Port{Number: p, Quota: 2, Policy: equic.PolicyNew})
	}
	return controlled{fake: f, path: filepath.Join(tb.TempDir(), "socket"), server: NewServer(o)}
}

func (c *controlled) start(tb testing.TB) {
	tb.Helper()
	l, err := Listen(tb.Context(), c.path)
	testkit.Must(tb, err)
	c.serve(tb, l)
}

func (c *controlled) serve(tb testing.TB, l net.Listener) {
	tb.Helper()
	ctx, cancel := context.WithCancel(tb.Context())
	done := make(chan error, 1)
	go func() { done <- c.server.Serve(ctx, l) }()
	c.stop = sync.OnceFunc(func() {
		cancel()
		testkit.Must(tb, <-done)
	})
	tb.Cleanup(c.stop)
}

// peer is one connection to a socket.
type peer struct {
	net.Conn
	in *bufio.Reader
}

func dial(tb testing.TB, path string) peer {
	tb.Helper()
	var d net.Dialer
	conn, err := d.DialContext(tb.Context(), "unix", path)
	testkit.Must(tb, err)
	testkit.Must(tb, conn.SetDeadline(time.Now().Add(30*time.Second))) // a server that hangs must not hang the test
	tb.Cleanup(func() { _ = conn.Close() })
	return peer{Conn: conn, in: bufio.NewReader(conn)}
}

// send writes the text as it is.
func (p peer) send(tb testing.TB, text string) {
	tb.Helper()
	_, err := io.WriteString(p, text)
	testkit.Must(tb, err)
}

// reply reads one line.
func (p peer) reply(tb testing.TB) string {
	tb.Helper()
	line, err := p.in.ReadString('\n')
	testkit.Must(tb, err)
	return strings.TrimSuffix(line, "\n")
}

// ask sends a line and reads the reply.
func (p peer) ask(tb testing.TB, line string) string {
	tb.Helper()
	p.send(tb, line+"\n")
	return p.reply(tb)
}

// want sends a line, and fails if the reply differs.
func (p peer) want(t *testing.T, line, reply string) {
	t.Helper()
	if got := p.ask(t, line); got != reply {
		t.Fatalf("%s: got %q, want %q", line, got, reply)
	}
}
