package bench

import (
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/equic-bench/equic-bench/internal/testkit"
)

// soakHeapGrowth is how much more heap there may be at a later rest, in bytes:
// what the runtime itself keeps is not the same each time.
const soakHeapGrowth = 1 << 20

// atRest is what a gateway without load holds.
type atRest struct {
	HeapBytes   uint64
	Goroutines  int
	Descriptors int
	Counted     int // clients in user space
	Clients     int // in the kernel's map
	Listed      int // prefixes on the kernel's lists
}

// rest waits until all that was put off is done, and looks.
func (s *soak) rest(t *testing.T) atRest {
	t.Helper()
	// Clients that were at their quota are remembered for some seconds.
	testkit.AwaitFor(t, time.Minute, "all clients leave the kernel's map", func() bool { return s.gateway.size(t) == 0 })
	runtime.GC()
	runtime.GC() // what the first finalized
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	descriptors, err := os.ReadDir("/proc/self/fd")
	testkit.Must(t, err)
	return atRest{
		HeapBytes:   m.HeapAlloc,
		Goroutines:  runtime.NumGoroutine(),
		Descriptors: len(descriptors),
		Counted:     s.counted(),
		Clients:     s.gateway.size(t),
		Listed:      s.gateway.listed(t, "allowed") + s.gateway.listed(t, "denied"),
	}
}

// check asserts that nothing has grown, and that nobody is left.
func (r atRest) check(t *testing.T, later atRest) {
	t.Helper()
	if later.HeapBytes > r.HeapBytes+soakHeapGrowth {
		t.Errorf("the heap grew from %d to %d bytes", r.HeapBytes, later.HeapBytes)
	}
	if later.Counted != 0 || later.Clients != 0 || later.Listed != 0 {
		t.Errorf("left after the load: %d clients counted, %d in the kernel, %d prefixes", later.Counted, later.Clients,
			later.Listed)
	}
	r.HeapBytes, later.HeapBytes = 0, 0
	if r != later {
		t.Errorf("went from %+v to %+v", r, later)
	}
}
