package measure

import (
	"fmt"
	"time"

	"github.com/equic-bench/equic-bench/record"
)

// alternate begins or ends to measure where the stretch asks for it that has begun.
// In one that is not measured nothing is left that costs the command time: no
// program at its system calls, and no tick.
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

// floor is how many whole parts fit into a time; one less than none before zero.
func floor(now, part int64) int64 {
	n := now / part
	if now < 0 && now%part != 0 {
		n--
	}
	return n
}
