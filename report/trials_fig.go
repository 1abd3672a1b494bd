package report

import "strconv"

// validTrials is how many valid trials the variants have, for reading: "6", or "4 to
// 6" if some have more than others.
func validTrials(s *Summary, lang language) string { return trialsFrom(s, 1, lang) }

// trialsWithInterval is the same of those variants that have enough for an interval.
func trialsWithInterval(s *Summary, lang language) string { return trialsFrom(s, fewestBlocks, lang) }

func trialsFrom(s *Summary, fewest int, lang language) string {
	least := s.leastTrials(fewest)
	if least == s.Blocks {
		return strconv.Itoa(s.Blocks)
	}
	return lang.say(fromMany, least, s.Blocks)
}
