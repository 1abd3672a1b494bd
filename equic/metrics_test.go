package equic

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/internal/testkit/golden"
)

// metricsOf sends a request to a gateway's handler.
func metricsOf(t *testing.T, g *Gateway) *httptest.ResponseRecorder {
	t.Helper()
	answer := httptest.NewRecorder()
	MetricsHandler(g).ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	return answer
}

func TestMetricsAreWhatPrometheusReads(t *testing.T) {
	p := newProgram(t, Options{
		Ports: []Port{{Number: 443, Quota: 2}, {Number: 8443, Quota: 9}}, MaxClients: 8,
		HalfOpen:   HalfOpenLimits{Total: 100},
		Events:     make(chan Event), // never read
		Allowed:    prefixList("198.18.0.0/24"),
		Denied:     prefixList("198.18.1.0/24", "198.18.2.0/24", "198.18.3.0/24"),
		DeniedFeed: prefixList("198.18.3.0/24", "198.18.4.0/24"), // the first is also added
	})
	testkit.Must(t, p.Denied().AddFor(netip.MustParsePrefix("198.18.5.0/24"), time.Hour))
	for range 2 {
		testkit.Must(t, p.Inc(443, alice))
	}
	testkit.Must(t, p.Inc(443, bob))
	testkit.Must(t, p.Inc(8443, alice))
	for _, frame := range [][]byte{
		datagramTo(t, alice.String(), 443, initial()),
		datagramTo(t, alice.String(), 443, short()),
		datagramTo(t, bob.String(), 443, initial()),
		datagramTo(t, alice.String(), 8443, initial()),
		datagramTo(t, alice.String(), 8443, long(quicV1, 0, 100)),
		datagramTo(t, alice.String(), 53, nil),
	} {
		p.run(t, frame)
	}
	p.at = &fixed{now: Attachment{Interface: "eth0", Attached: true, Mode: Native, Since: time.Unix(1e9, 0)}}
	t.Cleanup(func() { p.at = nil })
	testkit.Await(t, "the event is lost", func() bool { return eventsLost(t, p) == 1 })
	answer := metricsOf(t, p.Gateway)
	if got := answer.Header().Get("Content-Type"); answer.Code != http.StatusOK ||
		got != "text/plain; version=0.0.4; charset=utf-8" {
		t.Errorf("status %d, content type %q", answer.Code, got)
	}
	golden.Check(t, "metrics.golden", answer.Body.Bytes())
}

func TestMetricsOfAClosedGatewaySayThatItIsClosed(t *testing.T) {
	newPair(t)
	g := mustAttach(t, Options{Interfaces: []string{serverIface}, Ports: onePort})
	if answer := metricsOf(t, g); answer.Code != http.StatusOK {
		t.Errorf("status %d while open", answer.Code)
	}
	testkit.Must(t, g.Close())
	if answer := metricsOf(t, g); answer.Code != http.StatusServiceUnavailable {
		t.Errorf("status %d after Close, want 503", answer.Code)
	}
}
