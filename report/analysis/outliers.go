package analysis

import (
	"fmt"

	"github.com/equic-bench/equic-bench/stats"
)

// Outlier is a valid trial that is far from the others of its variant. It is listed so
// that it gets attention, and stays in every figure.
type Outlier struct {
	Trial  string `json:"trial"`
	Metric string `json:"metric"`
	Unit   string `json:"unit"`
	Value  Number `json:"value"`
	// LowerBound is set if the value is only known to be at least that.
	LowerBound bool   `json:"lower_bound,omitempty"`
	Median     Number `json:"median"`
	// Score is the distance from the median in standard deviations, estimated
	// from the median absolute deviation.
	Score Number `json:"score"`
}

// outliers returns the trials that are far off in a headline figure. With fewer than
// six trials there are none: the others do not show how far is usual.
func (s *Summary) outliers() []Outlier {
	far := []Outlier{}
	for _, v := range s.Measured() {
		for _, m := range HeadlineMetrics() {
			var x []float64
			var of []int
			for i, trial := range v.TrialMetrics {
				if n := m.Value(trial); n.Known() {
					x, of = append(x, float64(n)), append(of, i)
				}
			}
			if len(x) < FewestBlocks {
				continue
			}
			scores := stats.Scores(x)
			for _, i := range stats.Outliers(x) {
				far = append(far, Outlier{
					LowerBound: m.Censored != nil && m.Censored(v.TrialMetrics[of[i]]),
					Trial:      v.Names[of[i]], Metric: m.ID, Unit: m.Unit,
					Value: Number(x[i]), Median: Number(stats.Median(x)), Score: Number(scores[i]),
				})
			}
		}
	}
	return far
}

// String formats the outlier for reading.
func (o Outlier) String() string {
	value := o.Value.WithUnit(o.Unit)
	if o.LowerBound {
		value = ">" + value
	}
	return fmt.Sprintf("%s: %s %s, median %s (%s standard deviations off)",
		o.Trial, o.Metric, value, o.Median.WithUnit(o.Unit), o.Score.Short())
}
