package compare

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/equic-bench/equic-bench/report/analysis"
	"github.com/equic-bench/equic-bench/report/tables"
)

// JSON writes the comparison for programs.
func (c *Comparison) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(c)
}

// Text writes the comparison for a terminal with this number of columns. Zero is no
// limit.
func (c *Comparison) Text(w io.Writer, width int) error {
	var b strings.Builder
	say := func(format string, args ...any) {
		line := fmt.Sprintf(format, args...)
		if width > 0 {
			line = text.WrapSoft(line, width)
		}
		fmt.Fprintln(&b, strings.TrimRight(line, " "))
	}
	say("scenario %s, NEW against BASE", c.Scenario)
	say("BASE %s", c.Base.words())
	say("NEW  %s", c.New.words())
	fmt.Fprintf(&b, "\n%s\n", c.table().Text(width))
	say("%s", c.summary())
	fmt.Fprintln(&b)
	for _, group := range c.groups() {
		for _, line := range group.lines {
			say("%s: %s", group.name, line)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Markdown writes the comparison in a form that can be pasted into a pull request.
func (c *Comparison) Markdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "### equic-bench, scenario %s: %s\n\n", c.Scenario, c.Verdict)
	fmt.Fprintf(&b, "%s\n\n", capital(c.summary()))
	fmt.Fprintf(&b, "- BASE: %s\n- NEW: %s\n\n", c.Base.words(), c.New.words())
	fmt.Fprintf(&b, "%s\n\n", c.table().Markdown())
	for _, line := range c.legend() {
		fmt.Fprintf(&b, "- %s\n", line)
	}
	for _, group := range c.groups() {
		for _, line := range group.lines {
			fmt.Fprintf(&b, "- %s: %s.\n", group.name, line)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Cause names the rows that decide the verdict. It is empty if there are none.
func (c *Comparison) Cause() string {
	var worse, unsure []string
	for _, r := range c.Rows {
		switch {
		case r.Effect == Worse:
			worse = append(worse, fmt.Sprintf("%s of %s %s", r.Metric, r.Variant, r.Change.Change()))
		case r.State == Unsure:
			unsure = append(unsure, r.Metric+" of "+r.Variant)
		}
	}
	if len(worse) > 0 {
		return strings.Join(worse, ", ")
	}
	return strings.Join(unsure, ", ")
}

func (s *Side) words() string {
	return fmt.Sprintf("%s, version %s, seed %d, %s", s.Run, orNone(s.Version), s.Seed, plural(s.Trials, "valid trial"))
}

// table returns a table with a row for each figure of each variant.
func (c *Comparison) table() *tables.Table {
	t := tables.NewTable(3, 7, "metric", "variant", "base", "new", "change", "95 % interval", "p, corrected", "state")
	for i := range c.Rows {
		r := &c.Rows[i]
		t.AppendRow(
			fmt.Sprintf("%s (%s)", r.Metric, r.Unit), r.Variant, r.Base.Short(), r.New.Short(),
			r.change(), r.interval(), r.PHolm.Probability(), r.state(),
		)
	}
	return t
}

// change returns the change for reading, as a bound if trials have only a lower bound.
func (r *Row) change() string {
	switch base, fresh := r.censoredBase > 0, r.censoredNew > 0; {
	case base && fresh:
		return analysis.Unknown().Short()
	case base:
		return string(analysis.AtMost) + " " + r.Change.Change()
	case fresh:
		return string(analysis.AtLeast) + " " + r.Change.Change()
	}
	return r.Change.Change()
}

func (r *Row) interval() string {
	switch {
	case r.Method == "":
		return r.Low.Short()
	case math.IsInf(float64(r.Low), 1):
		return r.Low.Change()
	case math.IsInf(float64(r.High), 1):
		return r.Low.Change() + " or more"
	}
	return fmt.Sprintf("%s to %s", r.Low.Change(), r.High.Change())
}

func (r *Row) state() string {
	if r.State == Changed {
		return fmt.Sprintf("%s, %s", r.State, r.Effect)
	}
	return string(r.State)
}

// summary returns one line with the number of rows in each state.
func (c *Comparison) summary() string {
	return fmt.Sprintf("%d worse, %d better, %d not changed, %d unsure, at a threshold of %s (down: %s)",
		c.Counts.Worse, c.Counts.Better, c.Counts.NotChanged, c.Counts.Unsure, c.ThresholdPercent.Change(),
		c.LowPercent.Change())
}

// group is the lines of one kind.
type group struct {
	name  string
	lines []string
}

func (c *Comparison) groups() []group {
	return []group{
		{"compared by force, though they differ", c.Forced},
		{"unsure", c.unsure()},
		{"note", c.Notes},
		{"information", c.Differs},
		{"how", []string{fmt.Sprintf("a row is changed where p is 0.05 or less, after Holm's correction for %s, and the "+
			"change is as large as the threshold; "+
			"it is not changed where its own 95 %% interval is inside the threshold; else it is unsure",
			plural(len(c.Rows), "row"))}},
	}
}

// legend explains the metrics.
func (c *Comparison) legend() []string {
	var lines []string
	seen := map[string]bool{}
	for _, r := range c.Rows {
		if seen[r.Metric] {
			continue
		}
		seen[r.Metric] = true
		lines = append(lines, Describe(analysis.MetricByID(r.Metric)))
	}
	return lines
}

// Describe describes a metric in one line.
func Describe(m *analysis.Metric) string {
	better := "less"
	if m.Better == analysis.Higher {
		better = "more"
	}
	return fmt.Sprintf("%s: %s, in %s; %s is better", m.ID, m.Label, m.Unit, better)
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
