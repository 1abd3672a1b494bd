package server

import (
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// costClock measures wall time and the CPU time of the thread. It locks the goroutine
// to that thread.
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

// emptySpans is the number of spans whose median is the clock's own cost.
const emptySpans = 1001

// ownCost returns the clock's readings for an empty span.
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
	// It cannot fail: the clock exists on every Linux, and the pointer is valid.
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t)
	return t.Nano()
}
