package figures

import (
	"slices"

	"github.com/equic-bench/equic-bench/report/analysis"
)

// rows adds what is drawn of a spread to the figure's data: variant, metric and further
// keys, statistic, value.
func (f *Figure) rows(s *analysis.Spread, key ...string) {
	s.Each(false, func(statistic string, n analysis.Number) {
		f.add(append(slices.Clone(key), statistic, n.String())...)
	})
}
