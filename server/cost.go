package server

import (
	"net/netip"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/equic-bench/equic-bench/record"
)

// costClock measures wall time and, unless it was started without, the CPU time of the thread.
// For that it locks the goroutine to the thread.
type costClock struct {
	start   time.Time
	withCPU bool
	cpu     int64
}

func startCostClock(withCPU bool) costClock {
	c := costClock{withCPU: withCPU}
	if withCPU {
		runtime.LockOSThread()
		c.cpu = threadCPUNS()
	}
	c.start = time.Now()
	return c
}

// read returns the time since the start. cpuNS is zero if the CPU time is not measured.
func (c costClock) read() (wallNS, cpuNS int64) {
	wallNS = int64(time.Since(c.start))
	if c.withCPU {
		cpuNS = threadCPUNS() - c.cpu
	}
	return wallNS, cpuNS
}

func (c costClock) release() {
	if c.withCPU {
		runtime.UnlockOSThread()
	}
}

const (
	// The CPU time of the first timedFirst refusals is measured, if they are among the first
	// timedMost attempts. Of later ones, that of one in 16 is.
	timedFirst = 32
	timedMost  = 5000
	timedShift = 32 - 4 // of a hash of 32 bits
)

// startRefusal starts the clock of an attempt that may be refused. The CPU time of only some is
// measured: each time costs two system calls and, if the goroutine waits meanwhile, the change to
// another thread, and all of that would count as the server's. The packets of one attempt have one
// port, so either all of them are measured or none. A client without a connection is hardly ever
// refused, so the first attempts are measured of others only: honest clients would pay for it.
func (s *server) startRefusal(from netip.AddrPort) costClock {
	const spread = 2654435769
	first := s.begun.Add(1) <= timedMost && s.timed.Load() < timedFirst &&
		(s.counter == nil || s.counter.Count(s.port, from.Addr()) > 0)
	return startCostClock(first || uint32(from.Port())*spread>>timedShift == 0)
}

// refusal returns the record of a refusal that has just ended.
func (s *server) refusal(clock costClock, client netip.Addr, stage string) record.Refusal {
	wall, cpu := clock.read()
	if cpu > 0 {
		s.timed.Add(1)
	}
	return record.Refusal{
		Client: client.String(), AtNS: s.o.Clock.At(clock.start), Stage: stage, WallNS: wall, CPUNS: cpu,
	}
}

// emptySpans is the number of spans whose median is the clock's own cost.
const emptySpans = 1001

// ownCost returns the clock's readings for a span in which nothing happens, or in which the
// goroutine only waits for another one, as it does when it closes a connection.
func ownCost(waits bool) (wallNS, cpuNS int64) {
	walls, cpus := make([]int64, emptySpans), make([]int64, emptySpans)
	for i := range emptySpans {
		ask, answer := make(chan struct{}), make(chan struct{})
		go func() {
			<-ask
			close(answer)
		}()
		c := startCostClock(true)
		if waits {
			close(ask)
			<-answer
		}
		walls[i], cpus[i] = c.read()
		c.release()
		if !waits {
			close(ask)
		}
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
