package analysis

import (
	"fmt"
	"math"
	"testing"

	"github.com/equic-bench/equic-bench/report/internal/synth"
)

// The order statistics of ten trials are the second and the ninth.
func TestBandIsOfTheTrialsOfEachBin(t *testing.T) {
	var trials [][]float64
	for i := range 10 {
		trials = append(trials, []float64{float64(i + 1), float64(10 * (10 - i)), math.NaN()})
	}
	trials[0][2] = 7
	trials = append(trials[:9:9], append(trials[9], 99)) // one trial has an extra bin
	c := curveOf(trials...)
	want := Curve{Median: []float64{5.5, 55, 7}, Low: []float64{2, 20, math.NaN()}, High: []float64{9, 90, math.NaN()}}
	for _, pair := range [][2][]float64{{c.Median, want.Median}, {c.Low, want.Low}, {c.High, want.High}} {
		if fmt.Sprint(pair[0]) != fmt.Sprint(pair[1]) {
			t.Errorf("%v, want %v", pair[0], pair[1])
		}
	}
	if few := curveOf(trials[:5]...); few.HasInterval() || !few.Single() {
		t.Error("five trials have an interval, or are not drawn one by one")
	}
}

func TestLatenciesByIntendedStart(t *testing.T) {
	l := latencies{}
	for i := range int64(100) {
		l.add(i*synth.Second/25, (i+1)*1e6) // 25 per second for 4 s
	}
	for i := range int64(20) {
		l.add(5*synth.Second+i, 1e6)
	}
	l.add(-1, 1e6)
	if got := l.quantiles(0.5, 14*synth.Second); len(got) != 2 || got[0] != 50.5 || got[1] != 1 {
		t.Errorf("medians %v, want 50.5 and 1 ms", got)
	}
	if got := l.quantiles(0.95, 10*synth.Second); math.Abs(got[0]-95.05) > 1e-9 || !math.IsNaN(got[1]) {
		t.Errorf("p95 %v, want 95.05 ms and none of 20 requests", got)
	}
	for range exactBelow {
		l.add(11*synth.Second, 2e6)
	}
	// Only a bin whose histogram takes less memory than its durations has one.
	if l.bins[0].counts != nil || l.bins[2].counts == nil {
		t.Errorf("a histogram of 100 durations: %v, of a million: %v", l.bins[0].counts != nil, l.bins[2].counts != nil)
	}
	if got := l.quantiles(0.5, 15*synth.Second); got[0] != 50.5 || math.Abs(got[2]-2) > 0.01 {
		t.Errorf("medians %v, want 50.5 and 2 ms", got)
	}
}
