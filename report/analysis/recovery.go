package analysis

import (
	"math"

	"github.com/equic-bench/equic-bench/stats"
)

func (r *reading) recovery() Recovery {
	none := Recovery{OnsetS: Unknown(), Recovered: Unknown(), ObservedS: Unknown(), BelowS: Unknown(), PaperBin: Unknown()}
	fine := r.done.rates(secondNS, r.endNS)
	usual := stats.Median(r.before(fine, secondNS))
	if r.attack.empty() || math.IsNaN(usual) || usual == 0 || r.attack.fromNS >= r.endNS {
		return none
	}
	onset := max(0, r.attack.fromNS)
	rec := Recovery{
		OnsetS:    Number(math.Inf(1)),
		ObservedS: tenths(r.endNS - onset),
		PaperBin:  r.paperRecovery(),
	}
	for _, rate := range fine[onset/secondNS:] {
		if rate < usual*(1-Band) {
			rec.BelowS++
		}
	}
	if bin := firstSteady(fine, int(onset/secondNS), usual, steady); bin >= 0 {
		rec.OnsetS = max(0, tenths(int64(bin)*secondNS-onset))
		rec.Recovered = 1
	}
	return rec
}

// tenths returns a time in s, rounded to tenths: bins are of a second, so it must make
// no difference how many ms after its schedule the attack's first request started.
func tenths(ns int64) Number { return Number(math.Round(Seconds(ns)*10) / 10) }

// paperRecovery returns the number of the first 5 s bin from the attack on that is
// within the band again, counted from the start of the run; +Inf if there is none.
func (r *reading) paperRecovery() Number {
	bins := r.done.rates(paperBinNS, r.endNS)
	usual := stats.Median(r.before(bins, paperBinNS))
	if math.IsNaN(usual) || usual == 0 {
		return Unknown()
	}
	bin := firstSteady(bins, int(max(0, r.attack.fromNS)/paperBinNS), usual, 1)
	if bin < 0 {
		return Number(math.Inf(1))
	}
	return Number(bin)
}

// firstSteady returns the first bin, at or after from, of n consecutive bins within the
// band around usual; -1 if there is none.
func firstSteady(bins []float64, from int, usual float64, n int) int {
	run := 0
	for i := from; i < len(bins); i++ {
		if math.Abs(bins[i]-usual) > usual*Band+1e-9 {
			run = 0
			continue
		}
		if run++; run == n {
			return i - n + 1
		}
	}
	return -1
}

// RecoveryTime returns the recovery from the onset in s, or the remaining time if there
// was none.
func RecoveryTime(m *Metrics) Number {
	if NeverRecovered(m) {
		return m.Recovery.ObservedS
	}
	return m.Recovery.OnsetS
}

// NeverRecovered reports whether the throughput of a trial did not recover.
func NeverRecovered(m *Metrics) bool { return math.IsInf(float64(m.Recovery.OnsetS), 1) }
