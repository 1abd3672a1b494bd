package server

import (
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// costClock reads wall time and the CPU time of the thread, on which it keeps
// the goroutine.
type costClock struct {
	start time.Time
	cpu   int64
}

func startCostClock() costClock {
	runtime.LockOSThread()
	return costClock{start: time.Now(), cpu: threadCPUNS()}
}

func (c costClock) read() (wallNS, cpuNS int64) {
	cpu := threadCPUNS() - c.cpu
	return int64(time.Since(c.start)), cpu
}

func (c costClock) release() { runtime.UnlockOSThread() }

func (c costClock) stop() (wallNS, cpuNS int64) {
	wallNS, cpuNS = c.read()
	c.release()
	return wallNS, cpuNS
}

// emptySpans is how many spans the clock's own cost is the median of.
const emptySpans = 1001

// ownCost is what the clock says of a span with nothing in it.
func ownCost() (wallNS, cpuNS int64) {
	walls, cpus := make([]int64, emptySpans), make([]int64, emptySpans)
	for i := range emptySpans {
		walls[i], cpus[i] = startCostClock().stop()
	}
	slices.Sort(walls)
	slices.Sort(cpus)
	return walls[emptySpans/2], cpus[emptySpans/2]
}

func threadCPUNS() int64 {
	var t unix.Timespec
	// It cannot fail: the clock exists on every Linux, the pointer is good.
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t)
	return t.Nano()
}
