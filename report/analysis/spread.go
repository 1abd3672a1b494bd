package analysis

// The names of a value in a figure's data, in the column "statistic"; a single
// trial's value has the name of the trial.
const (
	StatMedian = "median"
	StatLow    = "interval_low"
	StatHigh   = "interval_high"
)

// Spread is a figure of a variant and its variation over trials.
type Spread struct {
	Median    Number
	Low, High Number // of its 95 % interval; unknown below six trials
	trials    []Number
	names     []string
}

// Spread returns the spread of one figure of the variant.
func (v *Variant) Spread(of func(*Metrics) Number) *Spread {
	s := &Spread{Median: v.Typical(of), Low: Unknown(), High: Unknown(), names: v.Names}
	if v.Low != nil {
		s.Low, s.High = of(v.Low), of(v.High)
	}
	for _, m := range v.TrialMetrics {
		s.trials = append(s.trials, of(m))
	}
	return s
}

func (s *Spread) hasInterval() bool { return s.Low.Known() && s.High.Known() }

// Single returns the value of each trial if these values are drawn, otherwise nil. They are drawn if there is
// more than one trial, and there is no interval or always is set.
func (s *Spread) Single(always bool) []float64 {
	if len(s.trials) < 2 || s.hasInterval() && !always {
		return nil
	}
	var all []float64
	for _, n := range s.trials {
		if n.Known() {
			all = append(all, float64(n))
		}
	}
	return all
}

// Each calls put for each value that is drawn, with the name of its statistic.
func (s *Spread) Each(always bool, put func(statistic string, n Number)) {
	put(StatMedian, s.Median)
	if s.hasInterval() {
		put(StatLow, s.Low)
		put(StatHigh, s.High)
	}
	if s.Single(always) != nil {
		for i, n := range s.trials {
			put(s.names[i], n)
		}
	}
}
