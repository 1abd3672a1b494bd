package report

import (
	"fmt"
	"math"
)

// rules are the claims of the paper, in the order in which it makes them.
func rules() []rule {
	return []rule{throughputRule(), recoveryRule(), blockTimeRule(), durationRule(), syscallsRule(), cpuRule(), memoryRule()}
}

func throughputRule() rule {
	return rule{
		claim: Claim{
			ID: "throughput", Where: "fig. 3, fig. 4 left", Paper: 30.9,
			Statement: "blocking in the kernel raises the harmonic mean of the throughput by 30.9 %",
			Quantity:  "harmonic mean of 1 s bins, empty ones included", ValueUnit: "requests/s",
		},
		value:    func(m *Metrics) Number { return m.Throughput.Harmonic },
		paperWay: func(m *Metrics) Number { return m.Throughput.Paper },
		details: func(_ *Summary, with, without *Metrics) string {
			return fmt.Sprintf("arithmetic means %s and %s requests/s",
				short(without.Throughput.Arithmetic), short(with.Throughput.Arithmetic))
		},
	}
}

func recoveryRule() rule {
	return rule{
		claim: Claim{
			ID: "recovery", Where: "fig. 3", Paper: -18,
			Statement: "with blocking in the kernel the throughput recovers 18 % sooner, counted from the start of the run",
			Quantity:  "time from the start of the attack to the recovery", ValueUnit: "s",
		},
		value:    recoveryTime,
		paperWay: func(m *Metrics) Number { return m.Recovery.PaperBin },
		void: func(with, without *Metrics) string {
			switch {
			case with.Recovery.OnsetS == 0 && without.Recovery.OnsetS == 0:
				return "neither variant had to recover: both stayed within 10 % for five bins from the start of the attack"
			case never(with) && never(without):
				return "neither variant recovered before the end of the load"
			}
			return ""
		},
		details: func(_ *Summary, with, without *Metrics) string {
			say := fmt.Sprintf("in the paper's way, 5 s bins %s and %s from the start",
				withUnit(without.Recovery.PaperBin, ""), withUnit(with.Recovery.PaperBin, ""))
			if never(without) {
				say += "; userspace-block did not recover, so its value is a lower bound: the time that was left"
			}
			if never(with) {
				say += "; xdp-block did not recover, so its value is a lower bound: the time that was left"
			}
			return say
		},
	}
}

// recoveryTime is the recovery from the onset in s, and the time that was left
// where there was none.
func recoveryTime(m *Metrics) Number {
	if never(m) {
		return m.Recovery.ObservedS
	}
	return m.Recovery.OnsetS
}

func never(m *Metrics) bool { return math.IsInf(float64(m.Recovery.OnsetS), 1) }

func blockTimeRule() rule {
	return rule{
		claim: Claim{
			ID: "block-time", Where: "fig. 4 right", Paper: -26.4,
			Statement: "blocking one client in the kernel takes 26.4 % less CPU time, and 8 µs",
			Quantity:  "mean CPU time per refusal against time per dropped packet", ValueUnit: "µs",
		},
		value: func(m *Metrics) Number { return m.BlockTimeUS },
		paperWay: func(m *Metrics) Number { // its "CPU time" is wall time
			if m.BlockTime.DropNS.known() {
				return m.BlockTime.DropNS / 1e3
			}
			return m.BlockTime.WallMeanUS
		},
		details: func(_ *Summary, with, without *Metrics) string {
			return fmt.Sprintf("a packet is not a client: asked fairly, extra CPU time per client turned away is %s and %s",
				withUnit(without.BlockTime.ExtraPerTurnedAwayUS, "µs"), withUnit(with.BlockTime.ExtraPerTurnedAwayUS, "µs"))
		},
	}
}

func durationRule() rule {
	return rule{
		claim: Claim{
			ID: "duration", Where: "fig. 5", Paper: -65,
			Statement: "blocking in the kernel lowers the harmonic mean of the request duration by 65 %; without blocking it is shorter than with blocking in user space",
			Quantity:  "harmonic mean of the response time", ValueUnit: "ms",
		},
		value:    func(m *Metrics) Number { return m.Duration.Harmonic },
		paperWay: func(m *Metrics) Number { return m.Duration.Service.Harmonic },
		details: func(s *Summary, with, without *Metrics) string {
			say := fmt.Sprintf("medians %s and %s ms, p99 %s and %s ms",
				short(without.Duration.P50), short(with.Duration.P50), short(without.Duration.P99), short(with.Duration.P99))
			none := s.variant(noBlocking)
			if none == nil || !none.Duration.Harmonic.known() {
				return say
			}
			is := "shorter than"
			if none.Duration.Harmonic >= without.Duration.Harmonic {
				is = "not shorter than"
			}
			return fmt.Sprintf("%s; no-block has %s ms, %s userspace-block", say, short(none.Duration.Harmonic), is)
		},
	}
}

func syscallsRule() rule {
	return rule{
		claim: Claim{
			ID: "syscalls", Where: "table I", Paper: -89,
			Statement: "with eQUIC there are 89 % fewer system calls (77,551 to 8,178)",
			Quantity:  "system calls of the server", ValueUnit: "calls",
		},
		value: func(m *Metrics) Number { return m.Syscalls.Calls },
		details: func(_ *Summary, with, without *Metrics) string {
			return fmt.Sprintf("errors %s and %s, time %s and %s s, calls per offered request %s and %s, calls per second during the attack %s and %s",
				short(without.Syscalls.Errors), short(with.Syscalls.Errors),
				short(without.Syscalls.Seconds), short(with.Syscalls.Seconds),
				short(without.Syscalls.PerOffered), short(with.Syscalls.PerOffered),
				short(without.Syscalls.PerSecond.During), short(with.Syscalls.PerSecond.During))
		},
	}
}

// cpuRule judges the claim where it is about: during the attack, as its mean.
// The paper's attack filled most of its experiment, so that it could speak of
// shares of the whole time; ours is a fraction of the load. The paper's change
// is that of its two figures, each at its own share. Over the whole time the
// claim's two halves must hold too.
func cpuRule() rule {
	return rule{
		claim: Claim{
			ID: "cpu", Where: "fig. 6", Paper: (40.0/90 - 1) * 100,
			Statement: "with eQUIC the CPU is used below 40 % for 90 % of the time, without it at 90 % for 80 % of the time",
			Quantity:  "mean of the server's CPU use during the attack", ValueUnit: "%",
		},
		value:    func(m *Metrics) Number { return m.CPU.Parts.During },
		paperWay: func(m *Metrics) Number { return m.CPU.PaperP90 },
		caveat: func(with, without *Metrics) string {
			if with.CPU.Below40 >= 0.9 && without.CPU.AtLeast90 >= 0.8 {
				return ""
			}
			return "the change is as large as claimed, but the claim is about shares of the time: " + sharesOfTime(with, without)
		},
		details: func(_ *Summary, with, without *Metrics) string {
			return fmt.Sprintf("over the whole load the mean is %s %% and %s %%, the 90th percentile %s %% and %s %%; %s",
				short(without.CPU.Mean), short(with.CPU.Mean), short(without.CPU.P90), short(with.CPU.P90), sharesOfTime(with, without))
		},
	}
}

func sharesOfTime(with, without *Metrics) string {
	return fmt.Sprintf("xdp-block is below 40 %% CPU for %s %% of it (paper: 90), userspace-block at 90 %% or more for %s %% (paper: 80)",
		short(with.CPU.Below40*100), short(without.CPU.AtLeast90*100))
}

func memoryRule() rule {
	return rule{
		claim: Claim{
			ID: "memory", Where: "fig. 6", Paper: (30.0/90 - 1) * 100,
			Statement: "for 90 % of the time about 30 % of the memory is used with eQUIC, and 90 % without",
			Quantity:  "90th percentile of the server's resident set", ValueUnit: "MiB",
		},
		value:    func(m *Metrics) Number { return m.MemoryBytes.P90 / (1 << 20) },
		paperWay: func(m *Metrics) Number { return m.MemoryBytes.PaperP90 / (1 << 20) },
		details: func(_ *Summary, with, without *Metrics) string {
			if !with.Memory.P90.known() {
				return "no memory limit was set, so there is no percentage"
			}
			return fmt.Sprintf("of the limit: %s %% and %s %%", short(without.Memory.P90), short(with.Memory.P90))
		},
	}
}
