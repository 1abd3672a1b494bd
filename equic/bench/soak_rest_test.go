package bench

import (
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/equic-bench/equic-bench/internal/testkit"
)

// soakHeapGrowth is the allowed growth of the heap until a later rest, in bytes: what
// the runtime itself allocates varies.
const soakHeapGrowth = 1 << 20

// atRest is the resources of a gateway without load.
type atRest struct {
	HeapBytes   uint64
	Goroutines  int
	Descriptors int
	Counted     int // clients in user space
	Clients     int // in the kernel's map
	Listed      int // prefixes on the kernel's lists
}

// rest waits until all pending work is done, and takes the numbers.
func (s *soak) rest(t *testing.T) atRest {
	t.Helper()
	// Clients that were at their quota are remembered for some seconds.
	testkit.AwaitFor(t, time.Minute, "all clients leave the kernel's map", func() bool { return s.gateway.size(t) == 0 })
	runtime.GC()
	runtime.GC() // for the objects that the first one finalized
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

// check asserts that nothing has grown, and that no client is left.
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
