package analysis

import (
	"fmt"
	"math"
)

// Noise is an A/A test: each variant runs twice per block, as if it were two variants,
// to measure noise.
type Noise struct {
	Lines []NoiseLine `json:"lines"`
	// Called is how many of the Tested lines, those with an interval, are called
	// different. At a level of 5 %, one in twenty is by chance.
	Called int `json:"called_different"`
	Tested int `json:"tested"`
}

// NoiseLine is one variant against itself by one headline figure.
type NoiseLine struct {
	Metric  string `json:"metric"`
	Variant string `json:"variant"`
	// Measured is the change in % to the second of the two.
	Measured Number `json:"measured"`
	Evidence
	// Largest is the change of the block in which it is largest, in %.
	Largest Number  `json:"largest"`
	Verdict Verdict `json:"verdict"`
}

func (s *Summary) noise(again []Variant) *Noise {
	n := &Noise{Lines: []NoiseLine{}}
	for _, m := range HeadlineMetrics() {
		first := len(n.Lines)
		for i := range again {
			plain := s.Variant(again[i].Name)
			if plain == nil || again[i].Trials == 0 {
				continue
			}
			l := NoiseLine{Metric: m.ID, Variant: again[i].Name, Largest: largest(&again[i], plain, m)}
			l.Measured, l.Evidence = PairedChange(&again[i], plain, m)
			if l.Blocks > 0 {
				n.Lines = append(n.Lines, l)
			}
		}
		n.judge(n.Lines[first:])
	}
	return n
}

// judge sets which lines of one metric are called different.
func (n *Noise) judge(lines []NoiseLine) {
	var tests []*Evidence
	for i := range lines {
		l := &lines[i]
		l.Verdict = direction(l.Measured, &l.Evidence)
		tests = append(tests, &l.Evidence)
		if l.HasInterval() {
			n.Tested++
		}
		if l.Called() {
			n.Called++
		}
	}
	ApplyHolm(tests)
}

// Called reports whether the line is called different.
func (l *NoiseLine) Called() bool { return l.Verdict == More || l.Verdict == Less }

// largest returns the change in % of the block in which it is largest, up or down: half
// counts as much as double.
func largest(with, without *Variant, m *Metric) Number {
	far, most := Unknown(), -1.0
	m.eachPair(with, without, func(a, b Number) {
		if a == b {
			a, b = 1, 1 // two zeros are no difference either
		}
		c := Change(a, b)
		if by := math.Abs(math.Log1p(float64(c) / 100)); by > most {
			far, most = c, by
		}
	})
	return far
}

// VerdictWords returns the verdict in words.
func (l *NoiseLine) VerdictWords() string {
	switch {
	case l.Called():
		return "yes: " + string(l.Verdict)
	case l.Verdict == TooFew:
		return string(TooFew)
	}
	return "no"
}

// Note sums up how many lines are called different.
func (n *Noise) Note() string {
	if n.Tested == 0 {
		return "no line has an interval: that needs six blocks"
	}
	return fmt.Sprintf("%d of %d lines are called different; as nothing differs, about 1 in 20 is expected by chance",
		n.Called, n.Tested)
}
