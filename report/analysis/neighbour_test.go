package analysis

import (
	"math"
	"testing"

	"github.com/equic-bench/equic-bench/record"
)

func TestANeighbourIsServedAgainAfterTheAttack(t *testing.T) {
	const second = int64(1e9)
	ok := func(startS, endS int64) record.Request {
		return record.Request{StartNS: startS * second, EndNS: (endS - startS) * second, Outcome: record.OK}
	}
	timeout := ok(12, 17)
	timeout.Outcome = record.Timeout
	attack := span{10 * second, 20 * second}
	for name, c := range map[string]struct {
		requests []record.Request
		want     Neighbour
	}{
		"blocked until 3 s after it": {
			[]record.Request{ok(1, 2), ok(8, 9), ok(10, 11), timeout, ok(17, 23), ok(24, 25)},
			Neighbour{Kept: 0.5, Lost: 1, AgainS: 3, ObservedS: 5},
		},
		"never served again": {
			[]record.Request{ok(1, 2), timeout, {StartNS: 21 * second, EndNS: 4 * second, Outcome: record.Timeout}},
			Neighbour{Kept: 0, Lost: 2, AgainS: Number(math.Inf(1)), ObservedS: 5},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := &reading{attack: attack, neighbours: c.requests}
			if got := r.neighbour(); got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
	if n := (&reading{attack: attack}).neighbour(); n.Lost.Known() || n.Kept.Known() {
		t.Errorf("no neighbour has %+v", n)
	}
}
