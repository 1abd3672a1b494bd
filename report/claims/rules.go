package claims

import (
	"fmt"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/report/analysis"
)

// rules are the claims of the paper, in the order in which it makes them.
func rules() []rule {
	return []rule{throughputRule(), recoveryRule(), blockTimeRule(), durationRule(), syscallsRule(), cpuRule(), memoryRule()}
}

func throughputRule() rule {
	return rule{
		claim: analysis.Claim{
			ID: "throughput", Where: "fig. 3, fig. 4 left", Paper: 30.9,
			Statement: "blocking in the kernel raises the harmonic mean of the throughput by 30.9 %",
		},
		paperWay: func(m *analysis.Metrics) analysis.Number { return m.Throughput.Paper },
		needs:    []premise{takesThroughput, turnsAway},
		details: func(_ *analysis.Summary, with, without *analysis.Variant) string {
			return fmt.Sprintf("arithmetic means %s and %s requests/s",
				without.Throughput.Arithmetic.Short(), with.Throughput.Arithmetic.Short())
		},
	}
}

func recoveryRule() rule {
	return rule{
		claim: analysis.Claim{
			ID: "recovery", Where: "fig. 3", Paper: analysis.Number(fromAttack(22)/fromAttack(27)-1) * 100,
			Statement: "with blocking in the kernel the throughput recovers 18 % sooner, counted from the start of the run (bin 22 of 5 s against bin 27); from the attack at bin 5 on that is 22.7 %",
		},
		paperWay:   func(m *analysis.Metrics) analysis.Number { return m.Recovery.PaperBin },
		paperClaim: (22.0/27 - 1) * 100,
		needs:      []premise{takesThroughput, turnsAway},
		void:       neverAway,
		details: func(_ *analysis.Summary, with, without *analysis.Variant) string {
			say := fmt.Sprintf("in the paper's way, 5 s bins %s and %s from the start; seconds below 90 %% of the throughput before %s and %s",
				without.Recovery.PaperBin.WithUnit(""), with.Recovery.PaperBin.WithUnit(""),
				without.Recovery.BelowS.Short(), with.Recovery.BelowS.Short())
			return say + neverBack(without) + neverBack(with)
		},
	}
}

// fromAttack is how far a bin is from that in which the paper's attack begins.
func fromAttack(bin float64) float64 { return bin - 5 }

// neverAway says why there is no recovery to compare, if so.
func neverAway(with, without *analysis.Variant) string {
	count := func(is func(*analysis.Metrics) bool) int { return with.CountTrials(is) + without.CountTrials(is) }
	trials := with.Trials + without.Trials
	switch {
	case with.Recovery.OnsetS == 0 && without.Recovery.OnsetS == 0:
		few := ""
		if n := trials - count(func(m *analysis.Metrics) bool { return m.Recovery.OnsetS == 0 }); n > 0 {
			few = fmt.Sprintf(" in all but %d of %d trials", n, trials)
		}
		return "neither variant had to recover: both stayed within 10 % for five bins from the start of the attack" + few
	case count(analysis.NeverRecovered) == trials:
		return "neither variant recovered before the end of the load"
	}
	return ""
}

// neverBack says in how many trials the variant did not recover; nothing where
// it is in none.
func neverBack(v *analysis.Variant) string {
	switch n := v.CountTrials(analysis.NeverRecovered); n {
	case 0:
		return ""
	case v.Trials:
		return "; " + v.Name + " did not recover, so its value is a lower bound: the time that was left"
	default:
		return fmt.Sprintf("; %s did not recover in %d of %d trials, which count as the time that was left", v.Name, n, v.Trials)
	}
}

func blockTimeRule() rule {
	return rule{
		parallel: true,
		claim: analysis.Claim{
			ID: "block-time", Where: "fig. 4 right", Paper: -26.4,
			Statement: "blocking one client in the kernel takes 26.4 % less CPU time, and 8 µs",
		},
		paperWay: func(m *analysis.Metrics) analysis.Number { // its "CPU time" is wall time
			if m.BlockTime.DropNS.Known() {
				return m.BlockTime.DropNS / 1e3
			}
			return m.BlockTime.WallMeanUS
		},
		details: func(_ *analysis.Summary, with, without *analysis.Variant) string {
			return fmt.Sprintf("a packet is not a client: asked fairly, extra CPU time per client turned away is %s and %s",
				without.BlockTime.ExtraPerTurnedAwayUS.WithUnit("µs"), with.BlockTime.ExtraPerTurnedAwayUS.WithUnit("µs"))
		},
	}
}

func durationRule() rule {
	return rule{
		claim: analysis.Claim{
			ID: "duration", Where: "fig. 5", Paper: -65,
			Statement: "blocking in the kernel lowers the harmonic mean of the request duration by 65 %; without blocking it is shorter than with blocking in user space",
		},
		paperWay: func(m *analysis.Metrics) analysis.Number { return m.Duration.Service.Harmonic },
		needs:    []premise{slowsResponses, turnsAway},
		details: func(_ *analysis.Summary, with, without *analysis.Variant) string {
			return fmt.Sprintf("medians %s and %s ms, p99 %s and %s ms",
				without.Duration.P50.Short(), with.Duration.P50.Short(), without.Duration.P99.Short(), with.Duration.P99.Short())
		},
		caveat: func(s *analysis.Summary, _, without *analysis.Variant) string {
			none := s.Variant(string(record.NoBlock))
			if none == nil || !(none.Duration.Harmonic >= without.Duration.Harmonic) {
				return ""
			}
			return fmt.Sprintf("the verdict is on the change alone: without blocking the duration is not shorter than with blocking in user space, %s against %s ms",
				none.Duration.Harmonic.Short(), without.Duration.Harmonic.Short())
		},
	}
}

func syscallsRule() rule {
	return rule{
		parallel: true,
		claim: analysis.Claim{
			ID: "syscalls", Where: "table I", Paper: -89,
			Statement: "with eQUIC there are 89 % fewer system calls (77,551 to 8,178)",
		},
		needs: []premise{turnsAway},
		details: func(_ *analysis.Summary, with, without *analysis.Variant) string {
			return fmt.Sprintf("errors %s and %s, time %s and %s s, calls per offered request %s and %s, calls per second during the attack %s and %s",
				without.Syscalls.Errors.Short(), with.Syscalls.Errors.Short(),
				without.Syscalls.Seconds.Short(), with.Syscalls.Seconds.Short(),
				without.Syscalls.PerOffered.Short(), with.Syscalls.PerOffered.Short(),
				without.Syscalls.PerSecond.During.Short(), with.Syscalls.PerSecond.During.Short())
		},
	}
}

// cpuRule judges the claim where it is about: during the attack, as its mean.
// The paper's attack filled most of its experiment, so that it could speak of
// shares of the whole time; ours is a fraction of the load. The paper's change
// is that of its two figures, each at its own share; whether these shares are
// reached over the whole time is a caveat.
func cpuRule() rule {
	return rule{
		parallel: true,
		claim: analysis.Claim{
			ID: "cpu", Where: "fig. 6", Paper: (40.0/90 - 1) * 100,
			Statement: "with eQUIC the CPU is used below 40 % for 90 % of the time, without it at 90 % for 80 % of the time",
		},
		paperWay: func(m *analysis.Metrics) analysis.Number { return m.CPU.PaperP90 },
		needs:    []premise{turnsAway},
		caveat: func(_ *analysis.Summary, with, without *analysis.Variant) string {
			told := with.CPU.Parts.During.Known() && without.CPU.Parts.During.Known()
			if !told || with.CPU.Below40 >= 0.9 && without.CPU.AtLeast90 >= 0.8 {
				return ""
			}
			return fmt.Sprintf("the verdict is on the change alone, as the attack is a part of the load here: of the whole load, xdp-block is below 40 %% CPU for %s %% (paper: 90), userspace-block at 90 %% or more for %s %% (paper: 80)",
				(with.CPU.Below40 * 100).Short(), (without.CPU.AtLeast90 * 100).Short())
		},
		details: func(_ *analysis.Summary, with, without *analysis.Variant) string {
			return fmt.Sprintf("over the whole load the mean is %s %% and %s %%, the 90th percentile %s %% and %s %%",
				without.CPU.Mean.Short(), with.CPU.Mean.Short(), without.CPU.P90.Short(), with.CPU.P90.Short())
		},
	}
}

func memoryRule() rule {
	return rule{
		parallel: true,
		claim: analysis.Claim{
			ID: "memory", Where: "fig. 6", Paper: (30.0/90 - 1) * 100,
			Statement: "for 90 % of the time about 30 % of the memory is used with eQUIC, and 90 % without",
		},
		paperWay: func(m *analysis.Metrics) analysis.Number { return m.MemoryBytes.PaperP90 / (1 << 20) },
		needs:    []premise{turnsAway},
		details: func(_ *analysis.Summary, with, without *analysis.Variant) string {
			if !with.Memory.P90.Known() {
				return "no memory limit was set, so there is no percentage"
			}
			return fmt.Sprintf("of the limit: %s %% and %s %%", without.Memory.P90.Short(), with.Memory.P90.Short())
		},
	}
}
