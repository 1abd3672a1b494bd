package figures

import (
	"strconv"

	"github.com/equic-bench/equic-bench/report/analysis"
)

// validTrials returns how many valid trials the variants have, for reading: "6", or "4
// to 6" if some have more than others.
func validTrials(s *analysis.Summary, lang Language) string { return trialsFrom(s, 1, lang) }

// trialsWithInterval is validTrials for only the variants that have enough for an interval.
func trialsWithInterval(s *analysis.Summary, lang Language) string {
	return trialsFrom(s, analysis.FewestBlocks, lang)
}

func trialsFrom(s *analysis.Summary, fewest int, lang Language) string {
	least := s.LeastTrials(fewest)
	if least == s.Blocks {
		return strconv.Itoa(s.Blocks)
	}
	return lang.say(fromMany, least, s.Blocks)
}
