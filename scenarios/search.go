package scenarios

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Search defines how to find the breaking point of each cell and variant: the strongest
// attack that the server withstands. It withstands an attack if the sequential clients
// are served nearly as well as before it (docs/method.md, The breaking point).
type Search struct {
	From, To    float64 // the weakest and the strongest attack, as multiples of the server's capacity
	Factor      float64 // largest ratio between the bounds at the end
	KeepPercent float64 // least throughput of the sequential clients, in % of that before the attack
	Lost        int     // maximum number of their lost requests
	P99         float64 // largest p99 of their response time, as a multiple of that before the attack
}

// search reads a search; all of its keys have defaults.
func (d *decoder) search(to **Search) reader {
	s := &Search{From: 0.25, To: 8, Factor: 1.25, KeepPercent: 99, P99: 3}
	r := d.mapping(fields{
		"from": d.number(&s.From, "x", weakest, strongest).
			about("Weakest attack that is tried, as a multiple of what the server can serve on this machine."),
		"to": d.number(&s.To, "x", weakest, strongest).
			about("Strongest attack that is tried, if the clients can start that much."),
		"factor": d.number(&s.Factor, "x", 1.05, 10).
			about("The search ends when the weakest attack that the server does not withstand is at most this many times the " +
				"strongest that it withstands."),
		"keep": d.number(&s.KeepPercent, "%", 1, 100).
			about("Least throughput that the sequential clients must keep during the attack, as a share of that before it."),
		"lost": d.integer(&s.Lost, 0, 1_000_000).
			about("How many requests of the sequential clients may be lost in a trial."),
		"p99": d.number(&s.P99, "x", 1, 1000).
			about("Largest p99 of the response time of the sequential clients during the attack, as a multiple of that " +
				"before it."),
	})
	read := r.read
	r.read = func(n *yaml.Node, path string) {
		read(n, path)
		*to = s
	}
	return r
}

// The weakest and the strongest attack of a search; the attack may be a flood.
const (
	weakest   = 0.01
	strongest = 100_000
)

// bounds reads the bounds of one attack, which replace its rate: "1x to 1000x".
func (d *decoder) bounds(c *Clients) reader {
	return reader{read: func(n *yaml.Node, path string) {
		from, to, _ := strings.Cut(n.Value, " to ")
		low, err := multiple(from)
		high, err2 := multiple(to)
		if err = errors.Join(err, err2); err != nil || !(low >= weakest && low <= high && high <= strongest) {
			d.wrong(n, path, fmt.Sprintf("%q is no range for the search", n.Value), fmt.Sprintf(
				"leave it out, or write one such as 1x to 100x, from %gx to %dx", weakest, strongest))
			return
		}
		c.Weakest, c.Strength = low, high
	}}
}

func multiple(text string) (float64, error) {
	return strconv.ParseFloat(strings.TrimSuffix(text, "x"), 64)
}

// bound gives the attack the greatest strength to try, and gives the search the bounds
// of the attack, if it has some.
func (s *Scenario) bound() {
	if attack := &s.Parallel; attack.Weakest > 0 {
		search := *s.Search
		search.From, search.To = attack.Weakest, attack.Strength
		s.Search = &search
	}
	s.Parallel.Strength, s.Parallel.UpTo = s.Search.To, true
}

// number reads a number followed by a unit, with or without a space between them.
func (d *decoder) number(to *float64, unit string, low, high float64) reader {
	write := func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) + unit }
	expected := fmt.Sprintf("a number from %s to %s", write(low), write(high))
	schema := patternSchema(`^[0-9]*\.?[0-9]+ ?`+regexp.QuoteMeta(unit)+`$`, "")
	schema.Default = asJSON(write(*to))
	return reader{schema: schema, takes: strings.TrimPrefix(expected, "a "), read: func(n *yaml.Node, path string) {
		text, ok := d.scalar(n, path, expected)
		if !ok {
			return
		}
		digits, found := strings.CutSuffix(text, unit)
		v, err := strconv.ParseFloat(strings.TrimSuffix(digits, " "), 64)
		switch {
		case !found || err != nil || math.IsNaN(v):
			d.wrong(n, path, fmt.Sprintf("%q is not a number with %s behind it", text, unit), "write "+expected)
		case v < low || v > high:
			d.wrong(n, path, text+" is out of range", "write "+expected)
		default:
			*to = v
		}
	}}
}

// forP99 is how many requests a p99 needs (docs/method/statistics.md, Quantiles and
// histograms).
const forP99 = 441

// checkSearch checks that the sequential clients start enough requests for a p99 before
// and during the attack, and that all attacks last equally long.
func (d *decoder) checkSearch(s *Scenario) {
	search, honest, attack := s.Search, s.Sequential, s.Parallel
	if search == nil {
		return
	}
	wrong := func(key, what, remedy string) { d.problem(d.key(key, "search"), d.path(key)+": "+what, remedy) }
	before, during := honest.expected(attack.Delay.Seconds()), honest.expected(attack.Duration.Seconds())
	switch {
	case search.To < search.From:
		wrong("search.to", "is less than search.from", "write a stronger attack")
	case attack.Count == 0:
		wrong("search", "there is no attack to search the strength of", "add clients.parallel")
	case honest.Count == 0:
		wrong("search", "no clients show what the attack does to them", "add clients.sequential")
	case attack.Duration == 0:
		wrong("clients.parallel.requests", "a stronger attack would be a shorter one", "write a duration in place of it")
	case honest.Rate == 0 && honest.Pace == 0:
		wrong("clients.sequential", "has no rate and no pace: the throughput before the attack would be all that "+
			"the server can give", "add one")
	case cmp.Or(honest.Scheduled(), honest.Earliest()) < attack.End():
		wrong("clients.sequential", fmt.Sprintf("ends before the attack does, at %s", brief(attack.End())), "make it longer")
	case min(before, during) < forP99:
		wrong("clients.parallel.delay", fmt.Sprintf("%.0f sequential requests come before the attack and %.0f during it, "+
			"and a p99 needs %d", before, during, forP99), "make both longer, or add sequential clients")
	}
}

// expected returns how many requests a group of clients starts in that many seconds, if
// none is slow.
func (c Clients) expected(seconds float64) float64 {
	rate := c.Rate
	if c.Pace > 0 {
		rate = 1 / c.Pace.Seconds()
	}
	return float64(c.Count) * rate * seconds
}

// At returns the scenario with an attack of that strength. The scenario must have its rate
// (SetRates).
func (s *Scenario) At(strength float64) *Scenario {
	at := *s
	attack := &at.Parallel
	attack.Rate *= strength / cmp.Or(attack.Reached, attack.Strength)
	attack.Strength, attack.Reached, attack.UpTo = strength, 0, false
	return &at
}
