package claims

import (
	"fmt"

	"github.com/equic-bench/equic-bench/report/analysis"
)

// details are further facts for readers of a claim, by its ID.
var details = map[string]func(with, against *analysis.Variant) string{
	"throughput": func(with, against *analysis.Variant) string {
		return fmt.Sprintf("arithmetic means %s and %s requests/s",
			against.Throughput.Arithmetic.Short(), with.Throughput.Arithmetic.Short())
	},
	"recovery": func(with, against *analysis.Variant) string {
		return fmt.Sprintf("seconds below 90 %% of the throughput before %s and %s",
			against.Recovery.BelowS.Short(), with.Recovery.BelowS.Short()) + neverBack(against) + neverBack(with)
	},
	"duration": func(with, against *analysis.Variant) string {
		return fmt.Sprintf("medians %s and %s ms, p99 %s and %s ms",
			against.Duration.P50.Short(), with.Duration.P50.Short(), against.Duration.P99.Short(), with.Duration.P99.Short())
	},
	"block-time": func(with, against *analysis.Variant) string {
		return fmt.Sprintf("one client sends many packets; the extra CPU time per client turned away is %s and %s",
			against.BlockTime.ExtraPerTurnedAwayUS.WithUnit("µs"), with.BlockTime.ExtraPerTurnedAwayUS.WithUnit("µs"))
	},
	"syscalls": func(with, against *analysis.Variant) string {
		return fmt.Sprintf("calls per offered request %s and %s",
			against.Syscalls.PerOffered.Short(), with.Syscalls.PerOffered.Short())
	},
	"cpu": func(with, against *analysis.Variant) string {
		return fmt.Sprintf("the mean is %s %% and %s %%, the 90th percentile %s %% and %s %%",
			against.CPU.Mean.Short(), with.CPU.Mean.Short(), against.CPU.P90.Short(), with.CPU.P90.Short())
	},
	"memory": func(with, against *analysis.Variant) string {
		if !with.Memory.P90.Known() {
			return "no memory limit was set, so there is no share of it"
		}
		return fmt.Sprintf("of the server's limit %s %% and %s %%; at 30 %% of it or less for %s %% and %s %% of the time",
			against.Memory.P90.Short(), with.Memory.P90.Short(),
			(against.Memory.AtMost30 * 100).Short(), (with.Memory.AtMost30 * 100).Short())
	},
}

// neverBack returns in how many trials the variant did not recover; "" if in none.
func neverBack(v *analysis.Variant) string {
	n := v.CountTrials(analysis.NeverRecovered)
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("; %s did not recover in %d of %d trials, so the change is a bound", v.Name, n, v.Trials)
}
