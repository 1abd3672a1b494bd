package quicguard

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/equic-bench/equic-bench/equic"
	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/internal/testkit/netkit"
	"github.com/equic-bench/equic-bench/internal/testkit/quickit"
)

// guardedServer is a server made by Listen, with a count of the handshakes that it
// performed.
type guardedServer struct {
	*Listener
	begun *atomic.Int64
}

// listenGuarded runs a server on a transport for the duration of the test, and counts
// the handshakes that it begins.
func listenGuarded(
	t *testing.T, tr *quic.Transport, config *quic.Config, counter Admission, begun *atomic.Int64,
	watch ...func(*quic.ClientInfo),
) guardedServer {
	t.Helper()
	s := guardedServer{begun: begun}
	tr.ConnContext = func(ctx context.Context, info *quic.ClientInfo) (context.Context, error) {
		for _, seen := range watch {
			seen(info)
		}
		s.begun.Add(1)
		return ctx, nil
	}
	var err error
	s.Listener, err = Listen(tr, serverTLS(t), config, counter, Options{})
	testkit.Must(t, err)
	s.inner = &watched{QUICListener: s.inner, closed: make(chan struct{})}
	greet(t, s.Listener)
	return s
}

func listenBehind(t *testing.T, o equic.Options) (*equic.Gateway, guardedServer) {
	t.Helper()
	o.Interfaces, o.Ports = []string{netkit.ServerInterface}, []equic.Port{{Number: serverPort}}
	gateway, err := equic.Attach(o)
	testkit.Must(t, err)
	t.Cleanup(func() { testkit.Must(t, gateway.Close()) })
	socket, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(serverAddress, serverPort)))
	testkit.Must(t, err)
	return gateway, listenGuarded(t, transportOn(t, socket), nil, gateway, new(atomic.Int64))
}

func TestListenAdmitsAsManyAsTheQuota(t *testing.T) {
	for name, config := range map[string]*quic.Config{"Listen": nil, "ListenEarly": {Allow0RTT: true}} {
		t.Run(name, func(t *testing.T) {
			counter := NewUserSpace(2)
			s := listenGuarded(t, transport(t, localhost), config, counter, new(atomic.Int64))
			conns := mustDial(t, 2, localhost, s.Addr())
			var refused *quic.TransportError
			if _, err := dial(t, transport(t, localhost), s.Addr()); !errors.As(err, &refused) ||
				refused.ErrorCode != quic.ConnectionRefused {
				t.Errorf("one over quota: %v, want CONNECTION_REFUSED", err)
			}
			if got := s.Stats(); got.RefusedEarly == 0 || got.Retried == 0 || s.begun.Load() != 2 {
				t.Errorf("%+v and %d handshakes; want a Retry, a refusal and 2", got, s.begun.Load())
			}
			hangUp(conns[0])
			testkit.Await(t, "the close is released", func() bool {
				return counter.Count(portOf(s.Addr()), localhost) == 1 && counter.HalfOpen() == equic.HalfOpen{}
			})
			tr := transport(t, localhost)
			// A late packet of the refused attempt may have taken the place, until that handshake times out.
			testkit.Await(t, "another connection is admitted", func() bool {
				_, err := dial(t, tr, s.Addr())
				return err == nil
			})
			hangUp(conns[1])
		})
	}
}

func TestATransportCanListenAgain(t *testing.T) {
	tr, counter := transport(t, localhost), NewUserSpace(2)
	first, err := Listen(tr, serverTLS(t), nil, counter, Options{})
	testkit.Must(t, err)
	testkit.Must(t, first.Close())
	s := listenGuarded(t, tr, nil, counter, new(atomic.Int64))
	for _, conn := range mustDial(t, 2, localhost, s.Addr()) {
		defer hangUp(conn)
	}
	if got := counter.HalfOpen(); got != (equic.HalfOpen{}) {
		t.Errorf("half open %+v, want none: a handshake was counted twice", got)
	}
}

// tokens is a store of tokens that reports each one.
type tokens struct {
	quic.TokenStore
	put chan struct{}
}

func (s tokens) Put(key string, token *quic.ClientToken) {
	s.TokenStore.Put(key, token)
	s.put <- struct{}{}
}

func TestATokenValidatesAnAddressForSecondsOnly(t *testing.T) {
	for name, given := range map[string]time.Duration{"by default": 0, "as given": time.Nanosecond} {
		t.Run(name, func(t *testing.T) {
			tr := transport(t, localhost)
			tr.MaxTokenAge = given
			var validated atomic.Bool
			s := listenGuarded(t, tr, nil, NewUserSpace(2), new(atomic.Int64), func(info *quic.ClientInfo) {
				validated.Store(info.AddrVerified)
			})
			if given == 0 && tr.MaxTokenAge != maxTokenAge {
				t.Errorf("tokens are valid for %v, want %v", tr.MaxTokenAge, maxTokenAge)
			}
			client, store := transport(t, localhost), tokens{quic.NewLRUTokenStore(1, 4), make(chan struct{}, 8)}
			for range 2 {
				conn, err := client.Dial(t.Context(), s.Addr(), clientTLS(), &quic.Config{TokenStore: store})
				testkit.Must(t, err)
				defer hangUp(conn)
				<-store.put
			}
			if validated.Load() != (given == 0) {
				t.Errorf("the token validated the address: %v", validated.Load())
			}
		})
	}
}

// A client repeatedly starts 128 handshakes at once. Only as many as its quota get
// through. The rest is answered with a Retry, or dropped in the kernel.
func TestHandshakesOfOneClientCostTheServerNoMoreThanItsQuotaAllows(t *testing.T) {
	const quota, dialers, perSecond = 5, 128, 10
	n := newNetwork(t)
	gateway, s := listenBehind(t, equic.Options{Quota: quota})
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	var clients sync.WaitGroup
	for range dialers {
		tr := n.transport(t, alice)
		clients.Go(func() {
			for ctx.Err() == nil {
				if conn, err := tr.Dial(ctx, s.Addr(), clientTLS(), nil); err == nil {
					hangUp(conn) // so that another one fits
				}
			}
		})
	}
	_, err := n.dial(t, bob, s.Addr())
	testkit.Must(t, err)
	clients.Wait()
	most := int64(perSecond * (time.Since(began).Seconds() + 1))
	stats, err := gateway.Stats()
	testkit.Must(t, err)
	if got := s.begun.Load(); got > most {
		t.Errorf("%d handshakes, want %d at most", got, most)
	}
	if stats.Packets[equic.DropOverQuota] == 0 {
		t.Errorf("%v; want packets dropped in the kernel", stats.Packets)
	}
	t.Logf("%d handshakes, %+v, %v", s.begun.Load(), s.Stats(), stats.Packets)
}

func TestInMonitorModeNoConnectionIsTurnedAway(t *testing.T) {
	const quota, dials = 1, 4
	n := newNetwork(t)
	gateway, s := listenBehind(t, equic.Options{Quota: quota, Monitor: true})
	for range dials {
		_, err := n.dial(t, alice, s.Addr())
		testkit.Must(t, err)
	}
	if got, want := s.Stats(), (Stats{Admitted: dials, Open: dials}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	stats, err := gateway.Stats()
	testkit.Must(t, err)
	if stats.Dropped != 0 || stats.WouldDrop[equic.DropOverQuota] == 0 || gateway.TurnedAway()[serverPort] != 1 {
		t.Errorf("%+v; want no packet dropped, some that would have been, and one client", stats)
	}
	testkit.Must(t, gateway.SetMonitor(false))
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if _, err := n.transport(t, alice).Dial(ctx, s.Addr(), clientTLS(), nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("one over quota: %v, want no answer", err)
	}
}

func TestUnfinishedHandshakesOfOneAddressAreBounded(t *testing.T) {
	const quota, attempts = 5, 200
	counter := NewUserSpace(quota)
	s := listenGuarded(t, transport(t, localhost), nil, counter, new(atomic.Int64))
	var d net.Dialer
	socket, err := d.DialContext(t.Context(), "udp", s.Addr().String())
	testkit.Must(t, err)
	defer socket.Close()
	for _, p := range quickit.Initials(t, attempts, http3.NextProtoH3) {
		_, err := socket.Write(p)
		testkit.Must(t, err)
		time.Sleep(time.Millisecond) // the server's queue is finite
	}
	testkit.Await(t, "attempts are answered with a Retry", func() bool { return s.Stats().Retried > 0 })
	if got := s.Stats().HalfOpen; got.Unvalidated > quota || s.begun.Load() > quota {
		t.Errorf("half open %+v and %d handshakes, want %d at most", got, s.begun.Load(), quota)
	}
	// Another client at the same address is admitted, because it answers the Retry.
	mustDial(t, 1, localhost, s.Addr())
}

func TestListenCallsWhatWasSetBefore(t *testing.T) {
	tr := transport(t, localhost)
	var verified, told, hello atomic.Int32
	tr.VerifySourceAddress = func(net.Addr) bool { verified.Add(1); return false }
	tr.ConnContext = func(context.Context, *quic.ClientInfo) (context.Context, error) {
		if told.Add(1) > 1 { // a ClientHello may be two packets, and each one calls this
			return nil, errors.New("no more")
		}
		return context.Background(), nil // not derived from the guard's context
	}
	config := serverTLS(t)
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { hello.Add(1); return nil, nil }
	counter := NewUserSpace(9)
	l, err := Listen(tr, config, nil, counter, Options{})
	testkit.Must(t, err)
	l.inner = &watched{QUICListener: l.inner, closed: make(chan struct{})}
	greet(t, l)
	mustDial(t, 1, localhost, l.Addr())
	if _, err := dial(t, transport(t, localhost), l.Addr()); err == nil {
		t.Error("the second was not refused by what was set before")
	}
	if verified.Load() == 0 || hello.Load() == 0 {
		t.Errorf("called %d and %d times", verified.Load(), hello.Load())
	}
	if got := counter.Count(portOf(l.Addr()), localhost); got != 1 {
		t.Errorf("%d connections, want 1", got)
	}
	testkit.Await(t, "what was refused is no longer in progress", func() bool {
		return counter.HalfOpen() == (equic.HalfOpen{})
	})
}

func TestAnAttemptThatTheServerItselfRefusesCountsForNothing(t *testing.T) {
	tr := transport(t, localhost)
	counter := NewUserSpace(9)
	var asked, most atomic.Int64 // the transport calls this in one goroutine
	tr.ConnContext = func(context.Context, *quic.ClientInfo) (context.Context, error) {
		asked.Add(1)
		most.Store(max(most.Load(), int64(counter.HalfOpen().Unvalidated)))
		return nil, errors.New("not today")
	}
	l, err := Listen(tr, serverTLS(t), nil, counter, Options{})
	testkit.Must(t, err)
	l.inner = &watched{QUICListener: l.inner, closed: make(chan struct{})}
	greet(t, l)
	for range 2 {
		if _, err := dial(t, transport(t, localhost), l.Addr()); err == nil {
			t.Error("the server refused nobody")
		}
	}
	if asked.Load() < 2 || most.Load() != 1 {
		t.Errorf("of %d attempts up to %d were in progress, want 1", asked.Load(), most.Load())
	}
}

func TestListenRefusesConnectionIDsThatAClientMayChoose(t *testing.T) {
	tr := transport(t, localhost)
	tr.ConnectionIDLength = 8
	if _, err := Listen(tr, serverTLS(t), nil, nil, Options{}); err == nil {
		t.Error("want an error")
	}
	tr.ConnectionIDLength, tr.ConnectionIDGenerator = 0, longIDs{}
	if _, err := Listen(tr, serverTLS(t), nil, nil, Options{}); err == nil {
		t.Error("of a generator: want an error")
	}
}

// longIDs makes connection IDs as a load balancer may want them.
type longIDs struct{}

func (longIDs) ConnectionIDLen() int { return 8 }

func (longIDs) GenerateConnectionID() (quic.ConnectionID, error) {
	return quic.ConnectionIDFromBytes(make([]byte, 8)), nil
}

func TestListenAddrClosesWhatItOpened(t *testing.T) {
	l, err := ListenAddr("127.0.0.1:0", serverTLS(t), nil, nil)
	testkit.Must(t, err)
	address := l.Addr().String()
	server := &http3.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "hello")
	})}
	served := make(chan error, 1)
	go func() { served <- server.ServeListener(l) }()
	client := &http3.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	if body, err := get(t, client, "https://"+address); body != "hello" || err != nil {
		t.Errorf("%q, %v", body, err)
	}
	testkit.Must(t, errors.Join(client.Close(), server.Close()))
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		t.Errorf("ServeListener: %v, want ErrServerClosed", err)
	}
	testkit.Must(t, l.Close())
	l.Wait()
	again, err := ListenAddr(address, serverTLS(t), nil, nil)
	testkit.Must(t, err)
	testkit.Must(t, again.Close())
	again.Wait()
	for _, bad := range []string{"nowhere.invalid:443", "127.0.0.1:99999"} {
		if _, err := ListenAddr(bad, serverTLS(t), nil, nil); err == nil {
			t.Errorf("listened on %s", bad)
		}
	}
}
