package measure

import (
	"fmt"
	"time"

	"github.com/equic-bench/equic-bench/record"
)

// alternate starts or stops measuring when a stretch begins that requires it. In a
// stretch that is not measured, nothing remains that costs the command time: no program
// at its system calls, and no tick.
func (s *sampler) alternate(ticks *ticker) error {
	if s.stretch == 0 {
		return nil
	}
	now := s.clock.Now()
	n := floor(now, int64(s.stretch))
	measured := record.MeasuredStretch(n)
	if measured != s.paused {
		return nil
	}
	s.paused = !measured
	if measured {
		return s.resumeCounter()
	}
	for !record.MeasuredStretch(n) {
		n++
	}
	if err := ticks.set(time.Duration(n*int64(s.stretch)-now), s.interval); err != nil {
		return fmt.Errorf("set a timer: %w", err)
	}
	return s.pauseCounter()
}

func (s *sampler) resumeCounter() error {
	if s.calls == nil {
		return nil
	}
	return s.calls.resume()
}

func (s *sampler) pauseCounter() error {
	if s.calls == nil {
		return nil
	}
	return s.calls.pause()
}

// floor returns now divided by part, rounded down also for negative times.
func floor(now, part int64) int64 {
	n := now / part
	if now < 0 && now%part != 0 {
		n--
	}
	return n
}
