package measure

import (
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func newTestTicker(t *testing.T, first, interval time.Duration) *ticker {
	t.Helper()
	ticks, err := newTicker(first, interval)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ticks.close)
	return ticks
}

func TestATickerTellsHowManyTicksWereNotSeen(t *testing.T) {
	const interval = 10 * time.Millisecond
	started := time.Now()
	ticks := newTestTicker(t, interval, interval)
	told := 0
	for _, busy := range []time.Duration{0, 55 * time.Millisecond, 0} {
		time.Sleep(busy) // a fixed time is correct here: wait must not be called while ticks come
		unseen, err := ticks.wait()
		if err != nil {
			t.Fatal(err)
		}
		if least := int(busy/interval) - 1; unseen < least {
			t.Errorf("%d ticks unseen after %s, want %d or more", unseen, busy, least)
		}
		told += unseen + 1
	}
	// Each tick is counted once.
	most, least := int(time.Since(started)/interval), 3
	if told < least || told > most {
		t.Errorf("%d ticks in all, want %d to %d (%s since the start)", told, least, most, time.Since(started))
	}
}

func TestATickerTicksFirstWhenItIsTold(t *testing.T) {
	const interval = time.Hour // no tick during the test
	ticks := newTestTicker(t, time.Minute, interval)
	var left unix.ItimerSpec
	var err error
	if controlErr := ticks.conn.Control(func(fd uintptr) { err = unix.TimerfdGettime(int(fd), &left) }); err != nil ||
		controlErr != nil {
		t.Fatal(err, controlErr)
	}
	if got := time.Duration(left.Interval.Nano()); got != interval {
		t.Errorf("an interval of %s", got)
	}
	if got := time.Duration(left.Value.Nano()); got > time.Minute || got < time.Minute-10*time.Second {
		t.Errorf("%s to the first tick, want just under a minute", got)
	}
}

func TestAStoppedTickerEndsAWaitNowAndLater(t *testing.T) {
	ticks := newTestTicker(t, time.Hour, time.Hour)
	ended := make(chan error)
	go func() {
		_, err := ticks.wait()
		ended <- err
	}()
	ticks.stop()
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("error %v, want os.ErrDeadlineExceeded", err)
	}
	if _, err := ticks.wait(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("error %v of a later wait, want os.ErrDeadlineExceeded", err)
	}
}

func TestWaitingForATickAllocatesNothing(t *testing.T) {
	ticks := newTestTicker(t, time.Millisecond, time.Millisecond)
	allocations := testing.AllocsPerRun(10, func() {
		if _, err := ticks.wait(); err != nil {
			t.Fatal(err)
		}
	})
	if allocations != 0 {
		t.Errorf("%v allocations for a tick", allocations)
	}
}
