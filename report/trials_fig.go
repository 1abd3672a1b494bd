package report

import "strconv"

// trials is how many valid trials the variants have, for reading: "6", or "4 to 6"
// where some have more than others.
func (s *Summary) trials(lang language) string { return s.trialsFrom(1, lang) }

// withInterval is the same of those variants that have enough for an interval.
func (s *Summary) withInterval(lang language) string { return s.trialsFrom(fewestBlocks, lang) }

func (s *Summary) trialsFrom(fewest int, lang language) string {
	least := s.leastTrials(fewest)
	if least == s.Blocks {
		return strconv.Itoa(s.Blocks)
	}
	return lang.say(fromMany, least, s.Blocks)
}
