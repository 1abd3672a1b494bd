package analysis

import (
	"math"
	"testing"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/report/internal/synth"
	"github.com/equic-bench/equic-bench/results"
)

func TestVariantsWithFewerTrialsAreNotHidden(t *testing.T) {
	metrics := func() *Metrics { return &Metrics{Syscalls: Syscalls{ByName: map[string]SyscallLine{}}} }
	of := func(name string, n int) Variant {
		var trials []*Metrics
		for range n {
			trials = append(trials, metrics())
		}
		return variantOf(name, trials...)
	}
	for want, trials := range map[string][2]int{
		"median of 6 trials":       {6, 6},
		"median of 8 to 10 trials": {10, 8},
		"median of 4 to 6 trials, too few for a 95 % interval where there are fewer than 6": {6, 4},
		"one trial, no interval": {1, 1},
	} {
		s := &Summary{Blocks: max(trials[0], trials[1]), Variants: []Variant{of("a", trials[0]), of("b", trials[1])}}
		if got := s.trialsNote(); got != want {
			t.Errorf("%v trials: %q, want %q", trials, got, want)
		}
	}
}

func TestACallThatATrialNeverMadeCountsAsZero(t *testing.T) {
	trial := func(calls map[string]SyscallLine) *Metrics {
		return &Metrics{Syscalls: Syscalls{Calls: 1, ByName: calls}}
	}
	v := variantOf("a",
		trial(map[string]SyscallLine{"read": {Calls: 10}, "mremap": {Calls: 50}}),
		trial(map[string]SyscallLine{"read": {Calls: 11}}),
		trial(map[string]SyscallLine{"read": {Calls: 12}}))
	if read, mremap := v.Syscalls.ByName["read"].Calls, v.Syscalls.ByName["mremap"].Calls; read != 11 || mremap != 0 {
		t.Errorf("%v reads and %v mremaps, want 11 and 0", read, mremap)
	}
}

// variantOf returns a variant with these trials, one for each block.
func variantOf(name string, trials ...*Metrics) Variant {
	v := Variant{Name: name, TrialMetrics: trials}
	for i := range trials {
		v.Blocks, v.Names = append(v.Blocks, i+1), append(v.Names, name)
	}
	v.Summarise()
	return v
}

func TestAnUnmeasuredTrialHasNoFiguresOfItsServer(t *testing.T) {
	run, err := results.Open(synth.WithArm(synth.Closed(1), results.Unmeasured, 1).Write(t))
	testkit.Must(t, err)
	v, _, err := newSummary(run).readVariant(run, run.Manifest.Experiment.Variants[0], results.Unmeasured)
	testkit.Must(t, err)
	m := v.Metrics
	for what, n := range map[string]Number{
		"CPU": m.CPU.Mean, "busy CPUs": m.BusyCPUs.Mean, "memory": m.MemoryBytes.P90, "peak": m.MemoryBytes.Peak,
		"system calls": m.Syscalls.Calls, "the probe's cost": m.Probe.CPUPercent, "lost datagrams": m.UDP.RcvbufErrors,
	} {
		if n.Known() {
			t.Errorf("%s: %v", what, float64(n))
		}
	}
	if !m.Throughput.Arithmetic.Known() || !m.Duration.P99.Known() {
		t.Errorf("throughput %v, p99 %v", m.Throughput.Arithmetic, m.Duration.P99)
	}
}

func TestALowerBoundIsOfTheTrialsThatDidNotRecover(t *testing.T) {
	never, m := Number(math.Inf(1)), MetricByID("recovery")
	of := func(onset, observed []Number) Variant {
		var trials []*Metrics
		for i := range onset {
			trials = append(trials, &Metrics{Recovery: Recovery{OnsetS: onset[i], ObservedS: observed[i]}})
		}
		return variantOf("a", trials...)
	}
	v := of([]Number{10, 11, 12, 13, 14, never}, []Number{200, 120, 120, 120, 120, 60})
	if got := m.ShowEnds(&v); got != "[10, >60]" {
		t.Errorf("interval %s, want [10, >60]", got)
	}
	v = of([]Number{10, 60, never}, []Number{90, 90, 40})
	if got := m.Typical(&v); got != 60 {
		t.Errorf("median %v, want 60", got)
	}
	v = of([]Number{10, never, never}, []Number{90, 50, 40})
	if got := m.Show(&v); got != ">40" || m.Typical(&v) != 40 {
		t.Errorf("median %s and %v, want >40", got, m.Typical(&v))
	}
}

func TestAnAttackThatWasNotStartedProvesNothing(t *testing.T) {
	served := func(attack Attack) *Variant {
		return &Variant{Metrics: &Metrics{Honest: Honest{Kept: 1, P99: 1}, Attack: attack}}
	}
	for achieved, want := range map[Number]Effect{280: Holds, 266: Holds, 140: UnknownEffect} {
		if got := served(Attack{ScheduledRPS: 280, AchievedRPS: achieved}).Effect(); got != want {
			t.Errorf("%v of 280/s: %s, want %s", achieved, got, want)
		}
	}
	if got := served(Attack{ScheduledRPS: Unknown(), AchievedRPS: 9}).Effect(); got != Holds {
		t.Errorf("a flood without a rate: %s", got)
	}
}

func TestTheStrengthOfAllAttacksIsMarked(t *testing.T) {
	part := func(first results.Load, others ...results.Load) *Part {
		e := results.Experiment{Parallel: first, Background: others}
		return &Part{Summary: &Summary{Manifest: &results.Manifest{Experiment: e}}}
	}
	for want, p := range map[string]*Part{
		"attack at 2x, not 3x": part(results.Load{Strength: 1}, results.Load{Strength: 2, Reached: 1}),
		"attack at 2x, not 4x": part(results.Load{Strength: 2, Reached: 1}, results.Load{Strength: 2, Reached: 1}),
		"attack at 1.3x, not 2x": part(
			results.Load{Kind: record.Junk, Strength: 100}, results.Load{Strength: 2, Reached: 1.3},
		),
		"": part(results.Load{Strength: 2}, results.Load{Strength: 1}),
	} {
		if got := p.Title(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
