package analysis

import (
	"math"

	"github.com/equic-bench/equic-bench/record"
)

// Neighbour is the effect of an attack, and of the place that turns it away, on honest
// clients at the attackers' addresses.
type Neighbour struct {
	// Kept is how many of their requests per second end as ok during the attack, as a
	// multiple of those before it.
	Kept Number `json:"throughput_kept"`
	// Lost is how many of their requests did not end as ok, in the whole trial.
	Lost Number `json:"lost"`
	// AgainS is how long after the last start of the attack their next request ends as ok;
	// +Inf if none does in the remaining ObservedS.
	AgainS    Number `json:"served_again_s"`
	ObservedS Number `json:"observed_s"`
}

// neighbour combines all neighbours.
func (r *reading) neighbour() Neighbour {
	if r.attack.empty() || len(r.neighbours) == 0 {
		return Neighbour{Unknown(), Unknown(), Unknown(), Unknown()}
	}
	var before, during float64
	var lastNS int64
	n := Neighbour{AgainS: Number(math.Inf(1))}
	for i := range r.neighbours {
		q := &r.neighbours[i]
		endNS := q.StartNS + q.EndNS
		lastNS = max(lastNS, endNS)
		switch {
		case q.Outcome != record.OK:
			n.Lost++
		case endNS < r.attack.fromNS:
			before++
		case endNS <= r.attack.toNS:
			during++
		default:
			n.AgainS = min(n.AgainS, Number(Seconds(endNS-r.attack.toNS)))
		}
	}
	n.ObservedS = Number(Seconds(max(0, lastNS-r.attack.toNS)))
	n.Kept = Ratio(during/Seconds(r.attack.toNS-r.attack.fromNS), before/Seconds(r.attack.fromNS))
	return n
}

// ServedAgain returns how long after the attack a neighbour is served, in s, or the
// remaining time if none was served.
func ServedAgain(m *Metrics) Number {
	if NeverServedAgain(m) {
		return m.Neighbour.ObservedS
	}
	return m.Neighbour.AgainS
}

// NeverServedAgain reports whether no neighbour was served after the attack.
func NeverServedAgain(m *Metrics) bool { return math.IsInf(float64(m.Neighbour.AgainS), 1) }
