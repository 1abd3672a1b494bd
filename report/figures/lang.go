package figures

import (
	"fmt"
	"slices"
	"strings"

	"github.com/equic-bench/equic-bench/report/analysis"
)

// The languages of the figures. Everything else of a report is in English.
const (
	English    = "en"
	Portuguese = "pt" // the language of the paper
)

// Languages returns the languages in which figures can be drawn.
func Languages() []string { return []string{English, Portuguese} }

// Language is one of Languages; "" is English.
type Language string

// ParseLanguage returns the language of that name; "" is English.
func ParseLanguage(name string) (Language, error) {
	if name == "" {
		name = English
	}
	if !slices.Contains(Languages(), name) {
		return "", fmt.Errorf("figures in %q: that language is unknown, use %s", name, strings.Join(Languages(), " or "))
	}
	return Language(name), nil
}

// say returns a phrase in the language, with its numbers filled in.
func (l Language) say(p phrase, args ...any) string {
	text := phrases[p]
	if l == Portuguese {
		return fmt.Sprintf(text.pt, args...)
	}
	return fmt.Sprintf(text.en, args...)
}

// number formats a value for reading.
func (l Language) number(n analysis.Number) string { return l.localise(n.Short()) }

// localise swaps comma and point in a number if the language is Portuguese.
func (l Language) localise(number string) string {
	if l == Portuguese {
		return strings.NewReplacer(",", ".", ".", ",").Replace(number)
	}
	return number
}

func (f *Figure) say(p phrase, args ...any) string { return f.lang.say(p, args...) }

func (f *Figure) num(n analysis.Number) string { return f.lang.number(n) }

func (f *Figure) note(p phrase, args ...any) { f.Notes = append(f.Notes, f.say(p, args...)) }

// noteTrials adds a note on what that many trials of each variant allow.
func (f *Figure) noteTrials(s *analysis.Summary) {
	switch {
	case s.Blocks == 1:
		f.note(oneTrial)
	case s.Blocks < analysis.FewestBlocks:
		f.note(fewTrials, validTrials(s, f.lang))
	case s.LeastTrials(1) < analysis.FewestBlocks:
		f.note(someTrials, validTrials(s, f.lang), analysis.FewestBlocks)
	default:
		f.note(manyTrials, validTrials(s, f.lang))
	}
}

// phrase is one text of the figures: a row of phrases.
type phrase int

const (
	claimsTitle phrase = iota
	figure3Title
	figure4Title
	figure5Title
	figure6Title
	recoveryTitle
	blockTimeFairTitle
	latencyTitle
	breakingTitle
	attemptTitle
	goodputTitle

	claimsWhat
	claimsInstrument
	figure3What
	figure3Recovery
	figure3Paper
	figure4Left
	figure4Right
	figure4Paper
	figure5What
	figure5Paper
	figure6What
	figure6Trials
	figure6Thinned
	figure6Paper
	recoveryWhat
	blockTimeFair
	blockTimeNobody
	latencyWhat
	latencyFailed
	breakingWhat
	breakingTries
	breakingBounds
	attemptWhat
	goodputWhat

	claimsNoInterval
	claimUnknown
	claimUnmet
	claimFromZero
	claimFewBlocks
	claimHoldsZero
	claimFewForVerdict
	claimNotSignificant
	claimOpen

	oneTrial
	fewTrials
	manyTrials
	someTrials
	fromMany

	sinceEpoch
	sinceAttack
	changeAxis
	requestsPerSecond
	microseconds
	microsecondsPerClient
	microsecondsPerAttempt
	milliseconds
	inSecondsAxis
	cpuOfServer
	residentSet
	shareOfTime
	strengthAxis
	breakingAxis
	withAttempts
	keptAxis
	logScale

	cpuTitle
	memoryTitle
	throughputTitle
	blockTimeTitle
	responseTime
	serviceTime
	untilRecovered
	below90
	latencyMedian
	latencyP95

	bandOf
	intervalOf
	oneTrialLine
	oneTrialPoint
	oneTrialEach
	noValues
	weakAttack
	readingInstrument
	readingOurs
	changeInterval
	changeNone
	changeBeyond
	changeFromZero
	attackScheduled
	attackOfVariant
	recoveredMark
	recoveredAfter
	notRecovered
	leftTime
	quietMedian
	quietBand
	cutAbove
	harmonicBar
	paperBar
	paperBarZero
	paperBlockTime
	byPaper
	statedCPUWith
	statedCPUWithout
	statedWith
	statedWithout
	figure6Limit
	costKernel
	costCPU
	costWall
	upToBroken
	moreThanThat
	lessThanThat
	oneSearch

	harmonicMean
	arithmeticMean
	median
	p95
	p99
	extraTime
	breakingPoint
	notWithin
	fromTo
	forTimeAtMost
	inRequestsPerSecond
	costsServer
	costsAttacker
	inMicroseconds
	inMilliseconds
	inSeconds
	timesCapacity

	phraseCount // not a phrase
)

// words are a phrase in each language, with the same verbs of fmt.
type words struct{ en, pt string }
