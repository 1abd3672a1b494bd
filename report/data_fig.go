package report

import "slices"

// rows adds what is drawn of a spread to the figure's data: variant, metric and
// what else tells it apart, statistic, value.
func (f *figure) rows(s *spread, key ...string) {
	s.each(false, func(statistic string, n Number) {
		f.add(append(slices.Clone(key), statistic, n.String())...)
	})
}
