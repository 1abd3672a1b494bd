package analysis

// Censoring is the effect of lower bounds on a change: the change is a bound as well, or unknown.
type Censoring string

// A change is at most, or at least, the computed one; or it can be anything.
const (
	AtMost  Censoring = "<"
	AtLeast Censoring = ">"
	NoBound Censoring = "?"
)

// Open reports whether a change could have the other sign, because it is censored.
func (e *Evidence) Open(change Number) bool {
	return e.Censored == NoBound || e.Censored == AtMost && change > 0 || e.Censored == AtLeast && change < 0
}

// ShowChange returns a change for reading, as a bound if it is censored.
func (e *Evidence) ShowChange(change Number) string {
	switch {
	case e.Censored == NoBound:
		return Unknown().Short()
	case e.Censored != "" && change.Known():
		return string(e.Censored) + " " + change.Bound()
	}
	return change.Bound()
}

// censoring returns the censoring of a change from one variant to the other.
func (m *Metric) censoring(with, without *Variant) Censoring {
	if m.Censored == nil {
		return ""
	}
	switch w, wo := with.CountTrials(m.Censored) > 0, without.CountTrials(m.Censored) > 0; {
	case w && wo:
		return NoBound
	case w:
		return AtLeast
	case wo:
		return AtMost
	}
	return ""
}

// Show returns the figure of a variant for reading: ">70" if it is only known to be
// larger.
func (m *Metric) Show(v *Variant) string {
	if m.Censored == nil || !m.Censored(v.Metrics) {
		return m.Value(v.Metrics).Short()
	}
	return ">" + v.Typical(m.Value).Short()
}

// Typical returns the figure of a variant as a number: the lower bound, if Show returns one.
func (m *Metric) Typical(v *Variant) Number {
	if m.Censored == nil || m.Censored(v.Metrics) {
		return v.Typical(m.Value)
	}
	return m.Value(v.Metrics)
}

// Ends returns the ends of the interval of a variant's figure. One that is only known to be larger than a
// bound is that bound: the same end, of the trials' figures and bounds together.
func (m *Metric) Ends(v *Variant) (low, high Number) {
	end := func(of *Metrics, f func([]float64) float64) Number {
		if m.Censored == nil || !m.Censored(of) {
			return m.Value(of)
		}
		return Number(f(v.known(m.Value)))
	}
	return end(v.Low, lowEnd), end(v.High, highEnd)
}

// ShowEnds returns the interval of Show for reading: "[10, >70]".
func (m *Metric) ShowEnds(v *Variant) string {
	low, high := m.Ends(v)
	show := func(n Number, of *Metrics) string {
		if m.Censored != nil && m.Censored(of) {
			return ">" + n.Short()
		}
		return n.Short()
	}
	return "[" + show(low, v.Low) + ", " + show(high, v.High) + "]"
}
