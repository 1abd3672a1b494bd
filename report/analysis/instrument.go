package analysis

import (
	"maps"
	"math"
	"slices"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/stats"
)

// Instrument contains the values that the paper's published code would have read from a
// trial. Its figures are wrong on purpose: they explain the paper's results, and are
// not used to judge anything. docs/method.md, "The paper's instrument", defines each
// and numbers the flaws that are cited here.
//
// System calls have no estimator: the code counts those of the whole system (flaw 17),
// and a trial has no record of these.
type Instrument struct {
	// RequestsPerS is the harmonic mean of the accepted connections per second, the
	// attackers' included (flaw 5), over bins of 5 s from the server's start. Each
	// bin is cut to a whole number, and deleted if that is zero (flaw 4).
	RequestsPerS Number `json:"requests_per_second"`
	Bins         Number `json:"bins"` // that remain
	DeletedBins  Number `json:"deleted_bins"`
	// DurationMS is the harmonic mean, over the connections, of the time from the
	// latest handshake of any client to the connection's end (flaws 6 and 20).
	DurationMS    Number `json:"duration_ms"`
	Durations     Number `json:"durations"`
	ZeroDurations Number `json:"zero_durations"` // left out
	// BlockTimeUS is, in user space, the harmonic mean of the wall time from the latest
	// handshake of any client to the end of a refusal's close (flaws 6 and 7). In the
	// kernel it is the time per drop, cut to whole microseconds, and unknown if that is
	// zero (flaw 8). The debug print that the code times cannot be reproduced.
	BlockTimeUS Number `json:"block_time_us"`
	// CPU is the normal distribution drawn for the CPU time (flaw 2), in % of one CPU,
	// however many the server may use (flaw 18). Memory is the same, as its curve is
	// drawn from the file of the CPU (flaw 1).
	CPU    NormalCurve `json:"cpu_percent"`
	Memory NormalCurve `json:"memory_percent"`
	// AttackBin is the bin of RequestsPerS in which the attack begins. RecoveryBin is
	// the first bin after it within 10 % of the median before. Both are counted from
	// the start of the run (flaw 21), without the deleted bins. RecoveryBin is infinite
	// if there is none.
	AttackBin   Number `json:"attack_bin"`
	RecoveryBin Number `json:"recovery_bin"`
	// TotalS is from the epoch to the end of the last sequential request.
	TotalS Number `json:"total_s"`
}

// NormalCurve is read from a normal distribution that was fitted to samples.
type NormalCurve struct {
	Mean      Number `json:"mean"`
	Deviation Number `json:"deviation"` // standard, over n-1
	P90       Number `json:"p90"`
	Below40   Number `json:"share_below_40"`
	AtLeast90 Number `json:"share_at_least_90"`
}

// loggedEvent is an event that the paper's server logs. Of events at the same instant,
// those that set its clock come first.
type loggedEvent uint32

const (
	connectionCounted   loggedEvent = iota // sets the clock
	connectionUncounted                    // sets the clock: refused in user space
	connectionEnded                        // reads it
	refusalEnded                           // reads it
)

const (
	eventBits = 2
	// spanBits make a span of 2^30 ns, about one second: the offset of an event in it
	// and its kind share 32 bits.
	spanBits = 32 - eventBits
)

// stageAccepted is the stage of a refusal after the handshake (record.Refusal), the
// only one that the paper's server has.
const stageAccepted = "accepted"

// serverLog collects the events that the paper's server prints, in any order. A
// connection is recorded when it ends; until then, it may have set the clock for others
// that ended before. An event takes four bytes.
type serverLog struct {
	startNS int64 // of the server
	spans   map[int64][]uint32
}

func (l *serverLog) add(event loggedEvent, atNS int64) {
	if l.spans == nil {
		l.spans = map[int64][]uint32{}
	}
	span := atNS >> spanBits
	l.spans[span] = append(l.spans[span], uint32(atNS)<<eventBits|uint32(event))
}

// addConnection ignores a connection without a handshake, and one that was not accepted, which the
// paper's server does not notice. It also ignores the end of a connection that the server's own end cuts off.
func (l *serverLog) addConnection(c *record.Connection, variant record.Variant) {
	if c.HandshakeNS == 0 || c.End == record.RefusedByQueue {
		return
	}
	start := connectionCounted
	if c.End == record.RefusedByQuota && !variant.InKernel() {
		start = connectionUncounted
	}
	l.add(start, c.StartNS+c.HandshakeNS)
	if c.End != record.ServerStopped {
		l.add(connectionEnded, c.StartNS+c.EndNS)
	}
}

func (l *serverLog) addRefusal(r *record.Refusal) {
	if r.Stage == stageAccepted {
		l.add(refusalEnded, r.AtNS+r.WallNS)
	}
}

// inOrder calls f with each event in the order of time.
func (l *serverLog) inOrder(f func(event loggedEvent, atNS int64)) {
	for _, span := range slices.Sorted(maps.Keys(l.spans)) {
		events := l.spans[span]
		slices.Sort(events)
		for _, e := range events {
			f(loggedEvent(e&(1<<eventBits-1)), span<<spanBits|int64(e>>eventBits))
		}
	}
}

// clockReadings are the values that the paper's server prints.
type clockReadings struct {
	bins      []int        // counted connections
	durations harmonicMean // in us: it prints ms with three digits
	blocks    harmonicMean // in ns: it prints us with three digits
}

// replay reads the only clock of the paper's server at each event.
func (l *serverLog) replay() *clockReadings {
	r := new(clockReadings)
	var clockNS int64
	set := false
	l.inOrder(func(event loggedEvent, atNS int64) {
		switch event {
		case connectionCounted:
			r.count(l.bin(atNS))
			clockNS, set = atNS, true
		case connectionUncounted:
			clockNS, set = atNS, true
		case connectionEnded:
			r.durations.add((atNS - clockNS + 500) / 1000)
		case refusalEnded:
			if set { // the connection of a refusal sets it, if it is recorded
				r.blocks.add(atNS - clockNS)
			}
		}
	})
	return r
}

// bin returns the number of the 5 s bin of an instant, from the server's start.
func (l *serverLog) bin(atNS int64) int { return int(max(0, atNS-l.startNS) / paperBinNS) }

func (r *clockReadings) count(bin int) {
	if missing := bin + 1 - len(r.bins); missing > 0 {
		r.bins = append(r.bins, make([]int, missing)...)
	}
	r.bins[bin]++
}

// harmonicMean is the harmonic mean of the values that are not zero.
type harmonicMean struct {
	n, zeros    int
	reciprocals float64
}

func (m *harmonicMean) add(v int64) {
	if v == 0 {
		m.zeros++
		return
	}
	m.n++
	m.reciprocals += 1 / float64(v)
}

func (m *harmonicMean) value() Number { return Ratio(float64(m.n), m.reciprocals) }

func (r *reading) instrument() Instrument {
	log := r.log.replay()
	rates := wholeRates(log.bins)
	cpu := normalCurve(r.secondsPercent())
	i := Instrument{
		RequestsPerS:  Number(stats.Harmonic(rates)),
		Bins:          Number(len(rates)),
		DeletedBins:   Number(len(log.bins) - len(rates)),
		DurationMS:    log.durations.value() / 1e3,
		Durations:     Number(log.durations.n),
		ZeroDurations: Number(log.durations.zeros),
		BlockTimeUS:   log.blocks.value() / 1e3,
		CPU:           cpu,
		Memory:        cpu,
		AttackBin:     Unknown(),
		RecoveryBin:   Unknown(),
		TotalS:        Unknown(),
	}
	if r.variant.InKernel() {
		i.BlockTimeUS = r.wholeDropUS()
	}
	if !r.attack.empty() {
		before := log.bins[:min(len(log.bins), r.log.bin(r.attack.fromNS))]
		i.AttackBin = Number(len(wholeRates(before)))
		i.RecoveryBin = recoveryBin(rates, len(wholeRates(before)))
	}
	if r.sequentialEndNS > 0 {
		i.TotalS = Number(Seconds(r.sequentialEndNS))
	}
	return i
}

// wholeRates returns the bins as whole numbers per second, with zeros deleted.
func wholeRates(bins []int) []float64 {
	var rates []float64
	for _, n := range bins {
		if rate := n / int(paperBinNS/secondNS); rate > 0 {
			rates = append(rates, float64(rate))
		}
	}
	return rates
}

// recoveryBin leaves out the bin in which the attack begins: a part of it is before the
// attack.
func recoveryBin(rates []float64, attackBin int) Number {
	usual := stats.Median(rates[:attackBin])
	if math.IsNaN(usual) {
		return Unknown()
	}
	if bin := firstSteady(rates, attackBin+1, usual, 1); bin >= 0 {
		return Number(bin)
	}
	return Number(math.Inf(1))
}

// wholeDropUS returns the kernel's time per drop as the paper's program prints it.
func (r *reading) wholeDropUS() Number {
	if r.gateway == nil || r.gateway.DropNS < 1e3 {
		return Unknown()
	}
	return Number(math.Trunc(r.gateway.DropNS / 1e3))
}

// secondsPercent returns the CPU time of the server as `pidstat 1` prints it, in % of
// one CPU: from the first sample of each second to that of the next, from the epoch to
// the end of the last request of any client.
func (r *reading) secondsPercent() []float64 {
	var percent []float64
	var last *record.Sample
	end := max(r.sequentialEndNS, r.parallelEndNS)
	for i := range r.samples {
		s := &r.samples[i]
		if s.AtNS < 0 || s.AtNS > end || last != nil && s.AtNS/secondNS == last.AtNS/secondNS {
			continue
		}
		if last != nil {
			percent = append(percent, 100*float64(s.CPUNS-last.CPUNS)/float64(s.AtNS-last.AtNS))
		}
		last = s
	}
	return percent
}

func normalCurve(samples []float64) NormalCurve {
	fitted := stats.FitNormal(samples)
	return NormalCurve{
		Mean:      Number(fitted.Mu),
		Deviation: Number(fitted.Sigma),
		P90:       Number(fitted.Quantile(0.90)),
		Below40:   millionths(fitted.CDF(40)),
		AtLeast90: millionths(1 - fitted.CDF(90)),
	}
}

// millionths rounds a share: further digits of the tail of a normal distribution have
// no meaning.
func millionths(share float64) Number { return Number(math.Round(share*1e6) / 1e6) }
