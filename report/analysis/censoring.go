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

// ShowEnd is like Show, for an end of a variant's interval.
func (m *Metric) ShowEnd(end *Metrics) string {
	if m.Censored == nil || !m.Censored(end) {
		return m.Value(end).Short()
	}
	return ">" + m.Value(end).Short()
}
