package bench

import (
	"fmt"
	"net/netip"
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

	insertRounds  = 3
	insertClients = 1 << 20
	goalInsert    = 2 * time.Second
)

// measureCounts times Inc with its Dec, from several goroutines on the same
// clients, and checks that no count is lost.
func measureCounts(t *testing.T, table *speedTable) {
	t.Helper()
	netkit.NewPair(t)
	for _, kind := range []struct {
		name  string
		quota int
	}{
		{"below the quota (written later, if at all)", 1 << 20},
		{"at the quota (two system calls)", 1},
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
	for _, n := range goroutines {
		table.add(fmt.Sprintf("goroutines: %d", n), "ns", spreadOf(samples[n]), noGoal)
	}
}

// hammerPairs does countPairs pairs in n goroutines. Each leaves every client
// with one connection more.
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
				noteError(t, g.Inc(serverPort, c))
				noteError(t, g.Dec(serverPort, c))
			}
		})
	}
	group.Wait()
}

// noteError notes an error from any goroutine.
func noteError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// checkCounts asserts that each client has a number of connections, here and
// in the kernel.
func checkCounts(t *testing.T, g *gateway, clients []netip.Addr, want int) {
	t.Helper()
	for _, c := range clients {
		if got := g.Count(serverPort, c); got != want {
			t.Errorf("client %s has %d connections, want %d: a count is lost", c, got, want)
		}
	}
	testkit.Await(t, "the kernel has all connections", func() bool {
		kernel := g.kernelCounts(t)
		return !slices.ContainsFunc(clients, func(c netip.Addr) bool { return kernel[c] != want })
	})
}

// measureInserts times a million clients, from the first Inc until the kernel's
// map has them all.
func measureInserts(t *testing.T, table *speedTable) {
	t.Helper()
	netkit.NewPair(t)
	table.section(thousands(insertClients) + " clients come at once, until the kernel's map has them")
	for _, kind := range []struct {
		name  string
		quota int
	}{
		{"below the quota (written within a second)", speedQuota},
		{"at the quota (written at once)", 1},
	} {
		var sample []float64
		for range insertRounds {
			sample = append(sample, insertMillion(t, kind.quota).Seconds())
		}
		table.add(kind.name, "s", spreadOf(sample), goalInsert.Seconds())
	}
}

func insertMillion(t *testing.T, quota int) time.Duration {
	t.Helper()
	g := attach(t, equic.Options{Ports: onePort, Quota: quota, MaxClients: insertClients})
	defer g.close()
	clients := firstSources(insertClients)
	began := time.Now()
	for _, c := range clients {
		testkit.Must(t, g.Inc(serverPort, c))
	}
	var took time.Duration
	testkit.Await(t, "the kernel has all clients", func() bool {
		took = time.Since(began) // the look itself takes long
		return g.size(t) == insertClients
	})
	return took
}

// noteMemory notes what the maps of a full stage take.
func (s *speedStage) noteMemory(t *testing.T, table *speedTable, clients int) {
	t.Helper()
	if clients < manyRoom {
		return
	}
	ours := mapMiB(t, s.ours.maps["clients"])
	table.addMemory("memory of the map of clients", mapMiB(t, s.quotas), ours)
	table.addMemory("with the map of the rate limit", mapMiB(t, s.quotas), ours+mapMiB(t, s.ours.maps["buckets"]))
}

// mapMiB is the memory of a map, as the kernel accounts for it.
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
