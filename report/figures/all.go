package figures

import "github.com/equic-bench/equic-bench/report/analysis"

// All makes the figures of the report, in its order.
func All(s *analysis.Summary, series []*analysis.Series) []*Figure {
	all := []*Figure{
		figure3(s, series), figure4(s), figure5(s), figure6(s, series),
		figureRecovery(s), figureBlockTime(s), figureLatency(s, series),
	}
	for _, f := range all {
		if f.empty() { // an empty picture has to say why
			f.legend = append(f.legend, key{label: f.say(noValues)})
		}
	}
	return all
}
