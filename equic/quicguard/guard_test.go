package quicguard

import (
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/equic-bench/equic-bench/equic"
	"github.com/equic-bench/equic-bench/internal/testkit"
)

func TestAnHTTP3ServerTakesAGuardedListener(t *testing.T) {
	for name, listener := range map[string]*watched{"Listen": listen(t, false, nil), "ListenEarly": listen(t, true, nil)} {
		t.Run(name, func(t *testing.T) {
			guarded := Wrap(listener, NewUserSpace(1))
			server := &http3.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, "hello")
			})}
			served := make(chan error, 1)
			go func() { served <- server.ServeListener(guarded) }()

			first := &http3.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
			if body, err := get(t, first, "https://"+guarded.Addr().String()); body != "hello" || err != nil {
				t.Errorf("under quota: %q, %v", body, err)
			}
			second := &http3.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
			_, err := get(t, second, "https://"+guarded.Addr().String())
			h3, own := errors.AsType[*http3.Error](err)
			app, transports := errors.AsType[*quic.ApplicationError](err) // if the connection ended before the request
			refused := own && h3.Remote && h3.ErrorCode == http3.ErrCodeExcessiveLoad ||
				transports && app.Remote && app.ErrorCode == quic.ApplicationErrorCode(http3.ErrCodeExcessiveLoad)
			if !refused {
				t.Errorf("over quota: %v, want H3_EXCESSIVE_LOAD", err)
			}

			testkit.Must(t, guarded.Close())
			if err := <-served; !errors.Is(err, http.ErrServerClosed) {
				t.Errorf("ServeListener: %v, want ErrServerClosed", err)
			}
			testkit.Must(t, errors.Join(first.Close(), second.Close()))
			testkit.Must(t, server.Close())
			guarded.Wait()
		})
	}
}

func get(t *testing.T, tr *http3.Transport, url string) (string, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	testkit.Must(t, err)
	resp, err := tr.RoundTrip(r)
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(resp.Body)
	return string(body), errors.Join(err, resp.Body.Close())
}

func TestTheQuotaHoldsUnderConcurrentDials(t *testing.T) {
	const quota, dials = 5, 64
	for name, early := range map[string]bool{"Listen": false, "ListenEarly": true} {
		t.Run(name, func(t *testing.T) {
			counter := NewUserSpace(quota)
			guarded := Wrap(listen(t, early, nil), counter)
			conns := greet(t, guarded)
			var mu sync.Mutex
			var admitted []*quic.Conn
			var clients sync.WaitGroup
			for range dials {
				tr := transport(t, localhost)
				clients.Go(func() {
					conn, err := dial(t, tr, guarded.Addr())
					if err == nil {
						mu.Lock()
						admitted = append(admitted, conn)
						mu.Unlock()
					}
				})
			}
			clients.Wait()
			got := guarded.Stats()
			if len(admitted) != quota || len(conns) != quota || got.Admitted != quota || got.Open != quota {
				t.Errorf("%d clients were greeted, %d connections accepted, %+v; want %d of each", len(admitted), len(conns), got,
					quota)
			}
			if got.Refused == 0 || got.Failed != 0 || got.Uncounted != 0 {
				t.Errorf("%+v; want some refused, none failed", got)
			}
			for _, conn := range admitted {
				hangUp(conn)
			}
			guarded.Wait()
			if n := counter.Count(portOf(guarded.Addr()), localhost); n != 0 {
				t.Errorf("%d still counted, want none: a refused connection must release nothing", n)
			}
			testkit.Must(t, guarded.Close())
		})
	}
}

func TestOtherClientsAreNotTouchedByOneAtItsQuota(t *testing.T) {
	guarded := Wrap(listen(t, false, nil), NewUserSpace(1))
	greet(t, guarded)
	mustDial(t, 1, localhost, guarded.Addr())
	if _, err := dial(t, transport(t, localhost), guarded.Addr()); !isRefusal(err) {
		t.Errorf("one over quota: %v, want a refusal", err)
	}
	mustDial(t, 1, netip.MustParseAddr("127.0.0.2"), guarded.Addr())
}

func TestAConnectionIsReleasedHoweverItEnds(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(t *testing.T, client, server *quic.Conn, tr *quic.Transport)
		is   func(error) bool
	}{
		{
			"the client closes", func(_ *testing.T, client, _ *quic.Conn, _ *quic.Transport) { hangUp(client) },
			func(err error) bool {
				var e *quic.ApplicationError
				return errors.As(err, &e) && e.Remote
			},
		},
		{
			"the server closes", func(_ *testing.T, _, server *quic.Conn, _ *quic.Transport) { hangUp(server) },
			func(err error) bool {
				var e *quic.ApplicationError
				return errors.As(err, &e) && !e.Remote
			},
		},
		{"the client vanishes, and the idle timeout ends it", func(t *testing.T, _, _ *quic.Conn, tr *quic.Transport) {
			t.Helper()
			testkit.Must(t, tr.Close()) // it sends nothing
		}, func(err error) bool {
			var e *quic.IdleTimeoutError
			return errors.As(err, &e)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			counter := NewUserSpace(1)
			causes := make(chan error, 1)
			guarded := WrapWith(listen(t, false, &quic.Config{MaxIdleTimeout: 300 * time.Millisecond}), counter, Options{
				OnRelease: func(conn *quic.Conn, _ netip.Addr) {
					if counter.Count(portOf(conn.LocalAddr()), localhost) != 1 {
						t.Error("released before OnRelease")
					}
					causes <- causeOf(conn)
				},
			})
			conns := greet(t, guarded)
			tr := transport(t, localhost)
			client, err := dial(t, tr, guarded.Addr())
			testkit.Must(t, err)
			c.end(t, client, <-conns, tr)
			testkit.Await(t, "the connection is released", func() bool {
				return counter.Count(portOf(guarded.Addr()), localhost) == 0
			})
			if err := <-causes; !c.is(err) {
				t.Errorf("released when the connection had ended by %v", err)
			}
			mustDial(t, 1, localhost, guarded.Addr())
		})
	}
}

func TestAConnectionCountsForTheAddressThatItCameFrom(t *testing.T) {
	counter := NewUserSpace(1)
	guarded := Wrap(listen(t, false, nil), counter)
	conns := greet(t, guarded)
	client, err := dial(t, transport(t, localhost), guarded.Addr())
	testkit.Must(t, err)
	server := <-conns

	elsewhere := netip.MustParseAddr("127.0.0.2")
	path, err := client.AddPath(transport(t, elsewhere))
	testkit.Must(t, err)
	testkit.Must(t, path.Probe(t.Context()))
	testkit.Must(t, path.Switch())
	s, err := client.OpenStream()
	testkit.Must(t, err)
	_, err = s.Write([]byte("from the new path"))
	testkit.Must(t, err)
	testkit.Await(t, "the connection has migrated", func() bool { return addressOf(server.RemoteAddr()) == elsewhere })

	port := portOf(guarded.Addr())
	if counter.Count(port, localhost) != 1 || counter.Count(port, elsewhere) != 0 {
		t.Error("the migration changed the counts")
	}
	hangUp(client)
	guarded.Wait()
	if counter.Count(port, localhost) != 0 || guarded.Stats().Failed != 0 {
		t.Errorf("the count was not released at the first address: %+v", guarded.Stats())
	}
}

func TestWithoutACounterTheQuotaIsInUserSpace(t *testing.T) {
	for _, c := range []struct {
		name    string
		counter Counter
		options Options
		quota   int
	}{
		{"nil, with the default", nil, Options{}, equic.DefaultQuota},
		{"a gateway that is nil, as after a failed Attach", (*equic.Gateway)(nil), Options{}, equic.DefaultQuota},
		{"nil, with a quota", nil, Options{Quota: 2}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			guarded := WrapWith(listen(t, false, nil), c.counter, c.options)
			greet(t, guarded)
			mustDial(t, c.quota, localhost, guarded.Addr())
			if _, err := dial(t, transport(t, localhost), guarded.Addr()); !isRefusal(err) {
				t.Errorf("one over quota: %v, want a refusal", err)
			}
		})
	}
}
