package report

// The names of a value in a figure's data, in the column "statistic"; a single
// trial's value has the name of the trial.
const (
	statMedian = "median"
	statLow    = "interval_low"
	statHigh   = "interval_high"
)

// spread is a figure of a variant and what its trials say about chance.
type spread struct {
	median    Number
	low, high Number // of its 95 % interval; unknown below six trials
	trials    []Number
	names     []string
}

// spread is of one figure of the variant.
func (v *Variant) spread(of func(*Metrics) Number) *spread {
	s := &spread{median: v.typical(of), low: unknown(), high: unknown(), names: v.names}
	if v.Low != nil {
		s.low, s.high = of(v.Low), of(v.High)
	}
	for _, m := range v.trials {
		s.trials = append(s.trials, of(m))
	}
	return s
}

func (s *spread) hasInterval() bool { return s.low.known() && s.high.known() }

// single is each trial's value where these are drawn: beside a median of more
// than one, and for want of an interval, or where all are wanted.
func (s *spread) single(always bool) []float64 {
	if len(s.trials) < 2 || s.hasInterval() && !always {
		return nil
	}
	var all []float64
	for _, n := range s.trials {
		if n.known() {
			all = append(all, float64(n))
		}
	}
	return all
}

// each calls put for each value that is drawn, with the name of its statistic.
func (s *spread) each(always bool, put func(statistic string, n Number)) {
	put(statMedian, s.median)
	if s.hasInterval() {
		put(statLow, s.low)
		put(statHigh, s.high)
	}
	if s.single(always) != nil {
		for i, n := range s.trials {
			put(s.names[i], n)
		}
	}
}
