package bench

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/equic-bench/equic-bench/equic"
	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/internal/testkit/netkit"
)

const (
	countRounds  = 11 // 4n+3, for the quartiles
	countPairs   = 1 << 17
	countClients = 64

	goalPair       = 300 // ns
	goalContention = 4   // times the time with one goroutine

	insertRounds  = 3
	insertClients = 1 << 20
	goalInsert    = 2 * time.Second
	goalLate      = 1e6 // ns
	goalHeap      = 120 // MiB
)

// measureCounts measures the time of Inc with its Dec, from several goroutines on the
// same clients. It checks that no count is lost.
func measureCounts(t *testing.T, table *speedTable) {
	t.Helper()
	netkit.NewPair(t)
	for _, kind := range []struct {
		name  string
		quota int
	}{
		{"below the quota", 1 << 20},
		{"at the quota", 1},
	} {
		table.section("Inc and its Dec, " + kind.name)
		g := attach(t, equic.Options{Ports: onePort, Quota: kind.quota})
		measureContention(t, table, g)
		g.close()
	}
}

func measureContention(t *testing.T, table *speedTable, g *gateway) {
	t.Helper()
	clients := firstSources(countClients)
	goroutines := []int{1, 4, 16, 64}
	samples := make(map[int][]float64)
	kept := 0
	for range countRounds {
		for _, n := range goroutines {
			began := time.Now()
			hammerPairs(t, g, n, clients)
			samples[n] = append(samples[n], float64(time.Since(began).Nanoseconds())/countPairs)
			kept += n
		}
	}
	checkCounts(t, g, clients, kept)
	alone := spreadOf(samples[1]).median
	for _, n := range goroutines {
		goal := map[int]float64{1: goalPair, 64: math.Round(goalContention * alone)}[n]
		table.add(fmt.Sprintf("goroutines: %d", n), "ns", spreadOf(samples[n]), goal)
	}
}

// hammerPairs performs countPairs pairs in n goroutines. Each goroutine leaves one more
// connection for every client.
func hammerPairs(t *testing.T, g *gateway, n int, clients []netip.Addr) {
	t.Helper()
	var group sync.WaitGroup
	for worker := range n {
		group.Go(func() {
			for _, c := range clients {
				noteError(t, g.Inc(serverPort, c))
			}
			for i := range countPairs / n {
				c := clients[(i+worker)%len(clients)]
				err := g.Inc(serverPort, c)
				if err == nil {
					err = g.Dec(serverPort, c)
				}
				if err != nil { // checked here: t.Helper takes longer than the pair
					noteError(t, err)
				}
			}
		})
	}
	group.Wait()
}

// noteError records an error from any goroutine.
func noteError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// checkCounts asserts that each client has this number of connections, here and in the
// kernel.
func checkCounts(t *testing.T, g *gateway, clients []netip.Addr, want int) {
	t.Helper()
	for _, c := range clients {
		if got := g.Count(serverPort, c); got != want {
			t.Errorf("client %s has %d connections, want %d: a count is lost", c, got, want)
		}
	}
	for _, s := range g.slots(t) {
		if int(s.Connections) != want {
			t.Errorf("the kernel has %d connections of a client, want %d", s.Connections, want)
		}
	}
}

// measureInserts measures the time for a million clients, from the first Inc until the
// kernel's map has them all.
func measureInserts(t *testing.T, table *speedTable) {
	t.Helper()
	netkit.NewPair(t)
	table.section(thousands(insertClients) + " clients")
	clients := firstSources(insertClients)
	var took, late, heap []float64
	for range insertRounds {
		before := heapMiB()
		g := attach(t, equic.Options{Ports: onePort, Quota: speedQuota, MaxClients: insertClients})
		began := time.Now()
		g.put(t, 1, clients...)
		took = append(took, time.Since(began).Seconds())
		heap = append(heap, heapMiB()-before)
		late = append(late, incDuringSetQuota(t, g, clients))
		g.close()
	}
	table.add("all come at once", "s", spreadOf(took), goalInsert.Seconds())
	table.add("Inc while the quota changes again and again, 99.9th percentile", "ns", spreadOf(late), goalLate)
	table.add("heap, beside the table", "MiB", spreadOf(heap), goalHeap)
}

// incDuringSetQuota returns the 99.9th percentile of the time of Inc, in nanoseconds,
// while another goroutine raises and lowers the quota.
func incDuringSetQuota(t *testing.T, g *gateway, clients []netip.Addr) float64 {
	t.Helper()
	const samples = 100_000
	stop := make(chan struct{})
	var other sync.WaitGroup
	other.Go(func() {
		for quota := 1; ; quota = 3 - quota {
			select {
			case <-stop:
				return
			default:
				noteError(t, g.SetQuota(serverPort, quota))
			}
		}
	})
	took := make([]float64, samples)
	for i := range took {
		c := clients[i*7%len(clients)]
		began := time.Now()
		err := g.Inc(serverPort, c)
		took[i] = float64(time.Since(began).Nanoseconds())
		if err == nil {
			err = g.Dec(serverPort, c)
		}
		if !errors.Is(err, equic.ErrFull) {
			noteError(t, err)
		}
	}
	close(stop)
	other.Wait()
	slices.Sort(took)
	return took[samples*999/1000]
}

// heapMiB returns the size of the process's heap.
func heapMiB() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc) / (1 << 20)
}

// noteMemory records the memory of the maps of a full stage.
func (s *speedStage) noteMemory(t *testing.T, table *speedTable, clients int) {
	t.Helper()
	if clients < manyRoom {
		return
	}
	ours := mapMiB(t, s.ours.maps["clients"])
	table.addMemory("memory of the clients", mapMiB(t, s.quotas), ours)
	table.addMemory("with the map of the rate limit", mapMiB(t, s.quotas), ours+mapMiB(t, s.ours.maps["rates"]))
}

// mapMiB returns the memory of a map, as the kernel accounts for it.
func mapMiB(t *testing.T, m *ebpf.Map) float64 {
	t.Helper()
	info, err := m.Info()
	testkit.Must(t, err)
	bytes, ok := info.Memlock()
	if !ok {
		t.Fatalf("the kernel does not tell the memory of %s", m)
	}
	return float64(bytes) / (1 << 20)
}
