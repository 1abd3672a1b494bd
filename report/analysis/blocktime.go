package analysis

import (
	"github.com/equic-bench/equic-bench/record"
)

// tickUS is the step of the busy time of a CPU in /proc/stat (USER_HZ is 100).
const tickUS = 10_000

// blockTime returns the cost of turning a client away, in the three ways of
// docs/method/definitions.md.
func (r *reading) blockTime() BlockTime {
	b := BlockTime{
		Refusals:             Number(r.refusalWall.n),
		DroppedPackets:       Unknown(),
		DropNS:               Unknown(),
		EmptyNS:              Unknown(),
		EmptyCPUNS:           Unknown(),
		EmptyWallNS:          Unknown(),
		TurnedAway:           Number(r.turnedAway),
		ExtraBusyMS:          r.extraBusyMS(),
		ExtraPerTurnedAwayUS: Unknown(),
		TickPerTurnedAwayUS:  Unknown(),
	}
	b.CPUMeanUS, b.CPUMedianUS = r.refusalCPU.meanAndMedian()
	b.WallMeanUS, b.WallP50US = r.refusalWall.meanAndMedian()
	if g := r.gateway; g != nil {
		b.DroppedPackets = Number(g.Dropped)
		if g.DropNS != 0 { // nftables cannot measure it
			b.DropNS = Number(g.DropNS)
		}
		if g.EmptyNS != 0 { // the application has no empty program
			b.EmptyNS = Number(g.EmptyNS)
		}
	}
	if s := r.server; s != nil && s.EmptyWallNS > 0 {
		b.EmptyCPUNS, b.EmptyWallNS = Number(s.EmptyCPUNS), Number(s.EmptyWallNS)
	}
	switch {
	case !r.blocks() || r.experiment.Parallel.Kind.Flood():
		// Without a limiter, a time-out is not a decision of the server. The outcome of
		// a flood's datagrams is not known.
		b.TurnedAway = Unknown()
	case 2*r.turnedAway >= r.attackStarts && len(r.experiment.Background) == 0: // else most of it serves the rest
		b.TickPerTurnedAwayUS = Ratio(tickUS*float64(r.cpus()), float64(r.turnedAway))
		b.ExtraPerTurnedAwayUS = Ratio(float64(b.ExtraBusyMS)*1e3, float64(r.turnedAway))
	}
	return b
}

// headline returns the one figure that represents a variant: ns per dropped packet if
// the kernel blocks, else mean CPU time per refusal; in us. It is unknown if nothing is
// turned away.
func (b *BlockTime) headline() Number {
	if b.DroppedPackets.Known() {
		return b.DropNS / 1e3
	}
	return b.CPUMeanUS
}

// blocks reports whether the variant limits clients, and the server recorded its totals.
func (r *reading) blocks() bool { return r.server != nil && r.variant != record.NoBlock }

// extraBusyMS returns the busy time of the server's CPUs in the attack, in ms, minus
// that at the rate of the quiet time before it.
func (r *reading) extraBusyMS() Number {
	if r.attack.empty() {
		return Unknown()
	}
	quiet, quietNS, ok := r.busyIn(span{0, r.attack.fromNS})
	busy, attackNS, also := r.busyIn(r.attack)
	if !ok || !also {
		return Unknown()
	}
	return Number((float64(busy) - float64(quiet)*float64(attackNS)/float64(quietNS)) / 1e6)
}

// busyIn returns the busy time between the first and the last sample in a span, and the
// time between the two; false if there are fewer than two.
func (r *reading) busyIn(s span) (busy, lengthNS int64, ok bool) {
	var first, last *record.Sample
	for i := range r.samples {
		if at := r.samples[i].AtNS; at < s.fromNS || at > s.toNS {
			continue
		}
		if first == nil {
			first = &r.samples[i]
		}
		last = &r.samples[i]
	}
	if first == nil || last.AtNS <= first.AtNS {
		return 0, 0, false
	}
	return busyNS(last) - busyNS(first), last.AtNS - first.AtNS, true
}
