package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"go.uber.org/goleak"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/record"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func testClock(t *testing.T) *record.Clock {
	t.Helper()
	c, err := record.NewClock(func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// blackHole returns a UDP address that never answers.
func blackHole(t *testing.T) string {
	t.Helper()
	socket, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	return socket.LocalAddr().String()
}

func TestRequestsThatNobodyAnswersTimeOutOnSchedule(t *testing.T) {
	var out bytes.Buffer
	o := Options{
		Server: blackHole(t), Mode: Parallel, Requests: 20, Rate: 200, Timeout: 300 * time.Millisecond,
		BodyBytes: 1, Node: "parallel-1", Clock: testClock(t),
	}
	if err := Run(t.Context(), o, &out); err != nil {
		t.Fatal(err)
	}
	var ready, requests int
	var total *record.Client
	err := record.ReadLines(&out, "client", func(l *record.Line) error {
		switch {
		case l.Ready != nil:
			ready++
		case l.Request != nil:
			r := l.Request
			if r.Outcome != record.Timeout || r.HandshakeNS != 0 || r.Seq != requests || r.StartNS < r.ScheduledNS {
				return fmt.Errorf("request %+v", r)
			}
			if want := int64(requests) * 5e6; r.ScheduledNS != want {
				return fmt.Errorf("scheduled at %d, want %d", r.ScheduledNS, want)
			}
			requests++
		case l.Client != nil:
			total = l.Client
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if ready != 1 || requests != 20 || total == nil || total.Requests != 20 || total.Held != 0 {
		t.Errorf("%d ready, %d requests, totals %+v", ready, requests, total)
	}
}

// gate is a request that ends when the test releases it.
type gate struct {
	mu      sync.Mutex
	waiting int
	most    int
	open    chan struct{}
}

func (g *gate) request(context.Context) record.Request {
	g.mu.Lock()
	g.waiting++
	g.most = max(g.most, g.waiting)
	g.mu.Unlock()
	<-g.open
	g.mu.Lock()
	g.waiting--
	g.mu.Unlock()
	return record.Request{Outcome: record.OK, EndNS: 1}
}

func TestAnOpenLoopDoesNotWaitForEarlierRequests(t *testing.T) {
	g := &gate{open: make(chan struct{})}
	l := newLoad(Options{Mode: Parallel, Requests: 10, Rate: 1000, Clock: testClock(t)},
		func(ctx context.Context) record.Request {
			r := g.request(ctx)
			return r
		})
	done := make(chan struct{})
	go func() { l.run(t.Context()); close(done) }()
	testkit.Await(t, "all requests", func() bool { return l.progress().Started == 10 })
	close(g.open)
	<-done
	if l.peak != 10 || l.held != 0 {
		t.Errorf("peak %d, held %d; want 10 and 0", l.peak, l.held)
	}
}

func TestMaxInFlightHoldsRequestsBackAndCountsThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{open: make(chan struct{})}
		l := newLoad(Options{Mode: Parallel, Requests: 10, Rate: 1000, MaxInFlight: 3, Clock: testClock(t)}, g.request)
		done := make(chan struct{})
		go func() { l.run(t.Context()); close(done) }()
		time.Sleep(time.Second) // all are due
		synctest.Wait()
		if started := l.progress().Started; started != 3 {
			t.Errorf("%d have started, want 3", started)
		}
		close(g.open)
		<-done
		if g.most != 3 || l.peak != 3 || len(l.done) != 10 || l.held == 0 {
			t.Errorf("most %d, peak %d, %d done, %d held; want 3, 3, 10, and at least one", g.most, l.peak, len(l.done), l.held)
		}
	})
}

func TestASequentialClientKeepsTheScheduleOfALateRequest(t *testing.T) {
	n := 0
	slow := func(context.Context) record.Request {
		n++
		if n == 1 {
			<-time.After(50 * time.Millisecond)
		}
		return record.Request{Outcome: record.OK, EndNS: 1}
	}
	l := newLoad(Options{Mode: Sequential, Requests: 3, Rate: 100, Clock: testClock(t)}, slow)
	l.run(t.Context())
	second := l.done[1]
	if second.ScheduledNS != 10e6 || second.StartNS < 50e6 {
		t.Errorf("second request scheduled at %d, started at %d; want 10 ms, and after 50 ms", second.ScheduledNS,
			second.StartNS)
	}
	if got := second.ResponseNS(); got < 40e6 {
		t.Errorf("response time %d ns; want the wait of 40 ms in it", got)
	}
	if l.peak != 1 {
		t.Errorf("%d requests at once; want 1", l.peak)
	}
}

func TestWhenRequestsStart(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		name   string
		o      Options
		takes  []time.Duration // of each request; the last value is for all later ones
		starts []time.Duration
	}{
		{
			"a closed loop: when the last ended",
			Options{Mode: Sequential, Requests: 3},
			[]time.Duration{20 * ms, 50 * ms},
			[]time.Duration{0, 20 * ms, 70 * ms},
		},
		{
			"a pace: a slow request delays all later ones",
			Options{Mode: Sequential, Requests: 5, Pace: 100 * ms},
			[]time.Duration{10 * ms, 250 * ms, 10 * ms},
			[]time.Duration{0, 100 * ms, 350 * ms, 450 * ms, 550 * ms},
		},
		{
			"a pace, for a time",
			Options{Mode: Sequential, Duration: 300 * ms, Pace: 100 * ms, Delay: 50 * ms},
			[]time.Duration{10 * ms},
			[]time.Duration{50 * ms, 150 * ms, 250 * ms},
		},
		{
			"a closed loop, for a time",
			Options{Mode: Sequential, Duration: 100 * ms},
			[]time.Duration{70 * ms},
			[]time.Duration{0, 70 * ms},
		},
		{
			"a rate, for a time: the last one is too late",
			Options{Mode: Sequential, Duration: 400 * ms, Rate: 10},
			[]time.Duration{150 * ms},
			[]time.Duration{0, 150 * ms, 300 * ms},
		},
		{
			"an open loop, for a time",
			Options{Mode: Parallel, Duration: 400 * ms, Rate: 10},
			[]time.Duration{time.Second},
			[]time.Duration{0, 100 * ms, 200 * ms, 300 * ms},
		},
		{
			"an open loop, held back for too long",
			Options{Mode: Parallel, Duration: 400 * ms, Rate: 10, MaxInFlight: 1},
			[]time.Duration{350 * ms},
			[]time.Duration{0, 350 * ms},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c.o.Clock = testClock(t)
				var n atomic.Int64
				l := newLoad(c.o, func(context.Context) record.Request {
					takes := c.takes[min(int(n.Add(1)), len(c.takes))-1]
					time.Sleep(takes) // in a bubble: no real time passes
					return record.Request{Outcome: record.OK, EndNS: int64(takes)}
				})
				l.run(t.Context())
				lines := l.lines()
				var starts []time.Duration
				for _, line := range lines[1 : len(lines)-1] {
					r := line.Request
					starts = append(starts, time.Duration(r.StartNS))
					if c.o.Rate == 0 && r.ScheduledNS != r.StartNS {
						t.Errorf("request %d is scheduled at %d and starts at %d; want the same", r.Seq, r.ScheduledNS, r.StartNS)
					}
				}
				if !slices.Equal(starts, c.starts) {
					t.Errorf("starts at %v, want %v", starts, c.starts)
				}
				if got := lines[len(lines)-1].Client.Requests; got != len(c.starts) {
					t.Errorf("the totals have %d requests, want %d", got, len(c.starts))
				}
			})
		})
	}
}

func TestAnInterruptedClientPrintsWhatItHas(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var out bytes.Buffer
	o := Options{
		Server: blackHole(t), Mode: Sequential, Requests: 1000, Rate: 10, Timeout: time.Minute,
		BodyBytes: 1, Clock: testClock(t),
	}
	time.AfterFunc(50*time.Millisecond, cancel)
	if err := Run(ctx, o, &out); err != nil {
		t.Fatal(err)
	}
	requests := 0
	err := record.ReadLines(&out, "client", func(l *record.Line) error {
		if l.Request != nil {
			requests++
		}
		return nil
	})
	if err != nil || requests != 1 {
		t.Errorf("%d requests, %v; want the one that was under way", requests, err)
	}
}

func TestOutcomes(t *testing.T) {
	expired, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	for _, c := range []struct {
		name string
		ctx  context.Context
		err  error
		want record.Outcome
		code uint64
	}{
		{"no error is ok", t.Context(), nil, record.OK, 0},
		{
			"refused before the handshake", t.Context(), &quic.TransportError{Remote: true, ErrorCode: quic.ConnectionRefused},
			record.Refused, 2,
		},
		{
			"refused after the handshake", t.Context(), &quic.ApplicationError{Remote: true, ErrorCode: 0x107}, record.Refused,
			0x107,
		},
		{
			"refused under the request", t.Context(), &http3.Error{Remote: true, ErrorCode: http3.ErrCodeExcessiveLoad},
			record.Refused, 0x107,
		},
		{
			"our own refusal is an error", t.Context(), &quic.TransportError{ErrorCode: quic.ConnectionRefused}, record.Failed,
			0,
		},
		{"another code is an error", t.Context(), &quic.ApplicationError{Remote: true, ErrorCode: 0x102}, record.Failed, 0},
		{"no handshake in time", t.Context(), &quic.HandshakeTimeoutError{}, record.Timeout, 0},
		{"an idle connection", t.Context(), &quic.IdleTimeoutError{}, record.Timeout, 0},
		{"the request's own time-out", expired, errors.New("cut off"), record.Timeout, 0},
		{
			"no descriptor", t.Context(), &net.OpError{Op: "listen", Err: os.NewSyscallError("socket", syscall.EMFILE)},
			record.Local, 0,
		},
		{
			"no memory to send", expired, &net.OpError{Op: "write", Err: os.NewSyscallError("sendmsg", syscall.ENOBUFS)},
			record.Local, 0,
		},
		{"a message that is too long", t.Context(), os.NewSyscallError("sendmsg", syscall.EMSGSIZE), record.Failed, 0},
		{"anything else", t.Context(), io.ErrUnexpectedEOF, record.Failed, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.err
			if err != nil {
				err = fmt.Errorf("request: %w", err)
			}
			got, code := outcome(c.ctx, err)
			if got != c.want || (code != nil) != (c.code != 0) || code != nil && *code != c.code {
				t.Errorf("got %s, code %v; want %s, code %d", got, code, c.want, c.code)
			}
		})
	}
}

func TestOptionsThatCannotWorkAreRefused(t *testing.T) {
	good := Options{Server: "127.0.0.1:1", Mode: Parallel, Requests: 1, Rate: 1, Timeout: time.Second}
	for _, c := range []struct {
		name string
		bend func(*Options)
		want string
	}{
		{"no server", func(o *Options) { o.Server = "" }, "no server given"},
		{"a server without a port", func(o *Options) { o.Server = "127.0.0.1" }, "missing port"},
		{"an unknown mode", func(o *Options) { o.Mode = "both" }, `unknown mode "both"`},
		{"no requests", func(o *Options) { o.Requests = 0 }, "0 requests and a duration of 0s: want exactly one"},
		{"more requests than memory holds", func(o *Options) { o.Requests = maxRequests + 1 }, "want at most 1000000000"},
		{
			"requests and a duration", func(o *Options) { o.Duration = 1e9 },
			"1 requests and a duration of 1s: want exactly one",
		},
		{"a negative duration", func(o *Options) { o.Duration = -1e9 }, "duration -1s: want more than zero"},
		{"a parallel client without a rate", func(o *Options) { o.Rate = 0 }, "need a rate"},
		{"a parallel client with a pace", func(o *Options) { o.Pace = 1e9 }, "pace is for sequential requests"},
		{
			"a pace and a rate", func(o *Options) { o.Mode, o.Pace = Sequential, 1e9 },
			"pace 1s and rate 1/s: want at most one",
		},
		{"a negative pace", func(o *Options) { o.Mode, o.Rate, o.Pace = Sequential, 0, -1 }, "pace -1ns: want zero or more"},
		{"a negative rate", func(o *Options) { o.Rate = -1 }, "rate -1/s"},
		{"a negative delay", func(o *Options) { o.Delay = -1 }, "delay -1ns"},
		{"no time-out", func(o *Options) { o.Timeout = 0 }, "timeout 0s"},
		{"a negative hold", func(o *Options) { o.Hold = -1 }, "hold -1ns: want zero or more"},
		{"public sources", func(o *Options) {
			o.Sources = record.Sources{Network: netip.MustParsePrefix("198.51.100.0/24"), Count: 2}
		}, "has public addresses"},
		{"a sequential client that holds", func(o *Options) { o.Mode, o.Hold = Sequential, 1e9 }, "hold is for parallel"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := good
			c.bend(&o)
			if err := Run(t.Context(), o, io.Discard); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}
