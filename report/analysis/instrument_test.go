package analysis

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
)

const ms = int64(1e6)

// connectionAt returns a connection with the instants, in ms from the epoch, of its
// first packet, its handshake and its end.
func connectionAt(start, handshake, end int64, as record.ConnectionEnd) record.Line {
	c := &record.Connection{StartNS: start * ms, HandshakeNS: (handshake - start) * ms, EndNS: (end - start) * ms, End: as}
	return record.Line{Connection: c}
}

func refusalAt(at, closed int64, stage string) record.Line {
	return record.Line{Refusal: &record.Refusal{AtNS: at * ms, WallNS: (closed - at) * ms, Stage: stage}}
}

// arrivals returns n connections in one second, each over before the next.
func arrivals(n, second int64, as record.ConnectionEnd) []record.Line {
	var lines []record.Line
	for i := range n {
		at := 1000*second + 4*i
		lines = append(lines, connectionAt(at, at+1, at+3, as))
	}
	return lines
}

// readyAt shifts the bins: the first is from one second before the epoch to 4 s.
func readyAt(at int64) []record.Line {
	return []record.Line{{Ready: &record.Ready{AtNS: at * ms}}}
}

func request(start, end int64, outcome record.Outcome) record.Line {
	return record.Line{Request: &record.Request{StartNS: start * ms, EndNS: (end - start) * ms, Outcome: outcome}}
}

// samplesOf returns samples at 10 Hz from the second before the epoch on, 30 ms after
// each tenth of a second. The server uses the given share of one CPU in each second.
func samplesOf(percent ...int64) []record.Line {
	var lines []record.Line
	used := int64(0)
	for i := range int64(10 * len(percent)) {
		lines = append(lines, record.Line{Sample: &record.Sample{AtNS: (i*100 - 970) * ms, CPUNS: used}})
		used += percent[i/10] * ms
	}
	return lines
}

func TestInstrumentReadsWhatThePublishedCodeWould(t *testing.T) {
	unknown, never := math.NaN(), math.Inf(1)
	closed, refused := record.ClosedByClient, record.RefusedByQuota
	// Ten per second before the attack, which begins in the fourth bin.
	attacked := slices.Concat(readyAt(-1000), arrivals(50, 0, closed), arrivals(50, 5, closed), arrivals(54, 10, closed),
		arrivals(50, 15, closed), arrivals(20, 20, closed), arrivals(4, 25, closed), arrivals(44, 30, closed))
	tests := map[string]struct {
		variant              record.Variant
		server               []record.Line
		sequential, parallel []record.Line
		want                 map[string]float64
	}{
		"nothing happens": {
			variant: record.NoBlock,
			want: map[string]float64{
				"requests": unknown, "bins": 0, "deleted": 0, "duration": unknown, "durations": 0, "zeros": 0, "block": unknown,
				"cpu": unknown, "memory": unknown, "attack": unknown, "recovery": unknown, "total": unknown,
			},
		},
		"requests are counted at their handshake, in whole numbers per second, and empty bins are deleted": {
			variant: record.NoBlock,
			// 12, 4, 20 and 9 in 5 s: 2, 0, 4 and 1 per second.
			server: slices.Concat(readyAt(-1000), arrivals(12, 0, closed), arrivals(4, 5, closed), arrivals(19, 10, closed),
				[]record.Line{connectionAt(8999, 9000, 9002, closed)}, arrivals(9, 15, closed)),
			want: map[string]float64{"requests": 3 / (1/2. + 1/4. + 1/1.), "bins": 3, "deleted": 1},
		},
		"without a start of the server, bins are from the epoch": {
			variant: record.NoBlock,
			server:  slices.Concat(arrivals(10, -1, closed), arrivals(20, 0, closed), arrivals(10, 5, closed)),
			want:    map[string]float64{"requests": 2 / (1/6. + 1/2.), "bins": 2, "deleted": 0},
		},
		"a refusal in user space is not counted": {
			variant: record.UserspaceBlock,
			server:  slices.Concat(arrivals(15, 0, closed), arrivals(10, 1, refused)),
			want:    map[string]float64{"requests": 3},
		},
		"with blocking in the kernel the published server counts every handshake": {
			variant: record.XDPBlock,
			server:  slices.Concat(arrivals(15, 0, closed), arrivals(10, 1, refused)),
			want:    map[string]float64{"requests": 5},
		},
		"each end reads the time since the latest handshake of any connection": {
			variant: record.UserspaceBlock,
			server: []record.Line{
				connectionAt(20, 30, 90, closed),               // 60 since its own
				connectionAt(0, 10, 100, closed),               // 0 since the last one's
				connectionAt(98, 98, 110, closed),              // without a handshake: neither sets nor reads
				connectionAt(85, 95, 120, refused),             // 20
				connectionAt(99, 100, 99_000, "stopped"),       // sets, but the server's own end cuts it off
				connectionAt(199_000, 200_000, 200_030, "any"), // 30
			},
			want: map[string]float64{"duration": 3 / (1/60. + 1/20. + 1/30.), "durations": 3, "zeros": 1},
		},
		"a duration is printed in whole microseconds": {
			variant: record.NoBlock,
			server: []record.Line{
				{Connection: &record.Connection{HandshakeNS: 1, EndNS: 500}},                   // 499 ns are 0
				{Connection: &record.Connection{StartNS: 1000, HandshakeNS: 1, EndNS: 501}},    // 500 ns are 1 us
				{Connection: &record.Connection{StartNS: 2000, HandshakeNS: 1, EndNS: 25_000}}, // 24,999 ns are 25 us
			},
			want: map[string]float64{"duration": 0.002 / (1/1. + 1/25.), "durations": 2, "zeros": 1},
		},
		"a refusal takes from the latest handshake of any connection to the end of its close": {
			variant: record.UserspaceBlock,
			server: []record.Line{
				connectionAt(5, 10, 20, refused), refusalAt(11, 12, "accepted"), // 2 ms
				connectionAt(25, 30, 40, refused), refusalAt(31, 35, "accepted"), // 5, but another's handshake is between
				connectionAt(26, 34, 50, closed),
				connectionAt(55, 60, 70, refused), refusalAt(60, 60, "accepted"), // 0: left out
				refusalAt(68, 69, "early"), // the published server has no such event
			},
			want: map[string]float64{"block": 2 / (1/2000. + 1/1000.)},
		},
		"a refusal before any handshake has no clock to read": {
			variant: record.UserspaceBlock, server: []record.Line{refusalAt(11, 12, "accepted")},
			want: map[string]float64{"block": unknown},
		},
		"a drop takes whole microseconds": {
			variant: record.XDPBlock,
			server: []record.Line{
				connectionAt(5, 10, 20, refused), refusalAt(11, 12, "accepted"), {Gateway: &record.Gateway{DropNS: 8999.5}},
			},
			want: map[string]float64{"block": 8},
		},
		"a drop of less than one is left out": {
			variant: record.XDPBlock, server: []record.Line{{Gateway: &record.Gateway{DropNS: 999.5}}},
			want: map[string]float64{"block": unknown},
		},
		"recovery is the first bin near the usual rate after the one in which the attack begins": {
			variant: record.NoBlock, server: slices.Concat(attacked, arrivals(45, 35, closed)),
			parallel: []record.Line{request(14_500, 14_600, record.Timeout)},
			want:     map[string]float64{"attack": 3, "recovery": 6, "bins": 7, "deleted": 1},
		},
		"no bin is": {
			variant: record.NoBlock, server: attacked, parallel: []record.Line{request(14_500, 14_600, record.OK)},
			want: map[string]float64{"attack": 3, "recovery": never},
		},
		"an attack from the first bin on has no usual rate": {
			variant: record.NoBlock, server: attacked, parallel: []record.Line{request(0, 100, record.OK)},
			want: map[string]float64{"attack": 0, "recovery": unknown},
		},
		"the total time is that of the sequential requests, whatever their outcome": {
			variant:    record.NoBlock,
			sequential: []record.Line{request(0, 4000, record.Timeout), request(3000, 3500, record.OK)},
			parallel:   []record.Line{request(0, 9000, record.OK)},
			want:       map[string]float64{"total": 4},
		},
		"CPU is a normal distribution of seconds, until the last request ends, and memory is the same": {
			variant: record.NoBlock,
			// The second before the epoch and those after the last request are left out.
			server: slices.Concat(samplesOf(100, 20, 60, 20, 60, 100, 100),
				[]record.Line{{Probe: &record.Probe{CPUs: []int{0, 1}}}}),
			sequential: []record.Line{request(0, 2000, record.OK)},
			parallel:   []record.Line{request(0, 4030, record.Timeout)},
			// Of 20, 60, 20 and 60: 1 - F(90) is that of the standard normal CDF at 2.16506.
			want: map[string]float64{
				"cpu": 40, "deviation": 20 * math.Sqrt(4/3.), "p90": 40 + 1.2815515655446004*20*math.Sqrt(4/3.),
				"below 40": 0.5, "at least 90": 0.015191, "memory": 40,
			},
		},
		"CPU that never varies has no such distribution": {
			variant: record.NoBlock, server: samplesOf(50, 50, 50, 50), sequential: []record.Line{request(0, 9000, record.OK)},
			want: map[string]float64{
				"cpu": 50, "deviation": unknown, "p90": unknown, "below 40": unknown,
				"at least 90": unknown,
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			expectInstrument(t, instrumentOf(test.variant, test.server, test.sequential, test.parallel), test.want)
		})
	}
}

func instrumentOf(variant record.Variant, server, sequential, parallel []record.Line) Instrument {
	r := &reading{
		experiment: &results.Experiment{}, variant: variant, attack: span{fromNS: math.MaxInt64, toNS: math.MinInt64},
		requests: map[string]map[string]Number{results.RoleParallel: {}, results.RoleSequential: {}},
	}
	for i := range server {
		r.takeServer(&server[i])
	}
	for i := range parallel {
		r.takeParallel(&parallel[i])
	}
	for i := range sequential {
		r.takeSequential(&sequential[i])
	}
	return r.instrument()
}

func expectInstrument(t *testing.T, i Instrument, want map[string]float64) {
	t.Helper()
	got := map[string]Number{
		"requests": i.RequestsPerS, "bins": i.Bins, "deleted": i.DeletedBins,
		"duration": i.DurationMS, "durations": i.Durations, "zeros": i.ZeroDurations, "block": i.BlockTimeUS,
		"cpu": i.CPU.Mean, "deviation": i.CPU.Deviation, "p90": i.CPU.P90, "below 40": i.CPU.Below40,
		"at least 90": i.CPU.AtLeast90,
		"memory":      i.Memory.Mean, "attack": i.AttackBin, "recovery": i.RecoveryBin, "total": i.TotalS,
	}
	for what, w := range want {
		g, ok := got[what]
		switch {
		case !ok:
			t.Errorf("there is no %s", what)
		case float64(g) == w, math.IsNaN(float64(g)) && math.IsNaN(w), math.Abs(float64(g)-w) < 1e-12*math.Abs(w):
		default:
			t.Errorf("%s is %v, want %v", what, float64(g), w)
		}
	}
}

func TestServerLogKeepsEachEventAndSortsThem(t *testing.T) {
	type event struct {
		atNS int64
		kind loggedEvent
	}
	var log serverLog
	var want, got []event
	rng := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		e := event{rng.Int64N(20e9) - 10e9, loggedEvent(rng.IntN(4))}
		if rng.IntN(2) == 0 {
			e.atNS = e.atNS >> spanBits << spanBits // the edge of a span, and often the same instant
		}
		want = append(want, e)
		log.add(e.kind, e.atNS)
	}
	slices.SortFunc(want, func(a, b event) int {
		return cmp.Or(cmp.Compare(a.atNS, b.atNS), cmp.Compare(a.kind, b.kind))
	})
	log.inOrder(func(kind loggedEvent, atNS int64) { got = append(got, event{atNS, kind}) })
	if !slices.Equal(got, want) {
		t.Error("the events are not those that were added, in the order of time")
	}
}
