// Package bench measures the gateway (make bench-gateway) and stress-tests it (make
// soak). It uses the exported API of the package equic. It gets the rest from the
// kernel: the attached program and its maps.
package bench

import (
	"errors"
	"net/netip"
	"sync"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/equic-bench/equic-bench/equic"
	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/internal/testkit/netkit"
)

//go:generate go tool bpf2go -tags linux -target bpfel -output-suffix _test baseline ../../bpf/baseline.bpf.c -- -Wall -Wextra -Werror -I/usr/include/x86_64-linux-gnu -I/usr/include/aarch64-linux-gnu

const serverPort = 4433

var onePort = []equic.Port{{Number: serverPort}}

// slot is struct slot in bpf/maps.h.
type slot struct {
	Hash        uint64
	Connections uint32
	Ports       [3]uint8
	Dropped     uint8
}

// group is struct group in bpf/maps.h.
type group struct {
	Tags  [16]uint32
	Slots [64]slot
}

// gateway is an attached gateway, and its program and maps in the kernel.
type gateway struct {
	*equic.Gateway
	program *ebpf.Program
	maps    map[string]*ebpf.Map // by their names in bpf/equic.bpf.c
	close   func()
}

// attach attaches a gateway to the server's end of a pair, at most for the duration of
// the test.
func attach(t *testing.T, o equic.Options) *gateway {
	t.Helper()
	return attachBy(t, equic.Attach, o)
}

func attachBy(t *testing.T, attach func(equic.Options) (*equic.Gateway, error), o equic.Options) *gateway {
	t.Helper()
	o.Interfaces = []string{netkit.ServerInterface}
	attached, err := attach(o)
	testkit.Must(t, err)
	g := &gateway{Gateway: attached, maps: make(map[string]*ebpf.Map)}
	g.close = sync.OnceFunc(func() {
		err := errors.Join(attached.Close(), g.program.Close())
		for _, m := range g.maps {
			err = errors.Join(err, m.Close())
		}
		testkit.Must(t, err)
	})
	t.Cleanup(g.close)
	id := netkit.Link(t, netkit.ServerInterface).Attrs().Xdp.ProgId
	g.program, err = ebpf.NewProgramFromID(ebpf.ProgramID(id))
	testkit.Must(t, err)
	info, err := g.program.Info()
	testkit.Must(t, err)
	ids, _ := info.MapIDs()
	for _, id := range ids {
		m, err := ebpf.NewMapFromID(id)
		testkit.Must(t, err)
		info, err := m.Info()
		testkit.Must(t, err)
		g.maps[info.Name] = m
	}
	return g
}

// put gives clients a number of connections, more than they have. Clients for which
// there is no room are left out.
func (g *gateway) put(t *testing.T, connections int, clients ...netip.Addr) {
	t.Helper()
	full := 0
	for _, c := range clients {
		for g.Count(serverPort, c) < connections {
			err := g.Inc(serverPort, c)
			if errors.Is(err, equic.ErrFull) {
				full++
				break
			}
			testkit.Must(t, err)
		}
	}
	if full > len(clients)/10_000 { // fewer than one in 100,000; ten times that is no chance
		t.Fatalf("%d of %d clients found no place", full, len(clients))
	}
}

// slots returns the used slots of the kernel's map.
func (g *gateway) slots(t *testing.T) (taken []slot) {
	t.Helper()
	const chunk = 1 << 8
	keys, all := make([]uint32, chunk), make([]group, chunk)
	var cursor ebpf.MapBatchCursor
	for {
		n, err := g.maps["clients"].BatchLookup(&cursor, keys, all, nil)
		for _, group := range all[:n] {
			for _, s := range group.Slots {
				if s.Hash != 0 {
					taken = append(taken, s)
				}
			}
		}
		if errors.Is(err, ebpf.ErrKeyNotExist) { // the end
			return taken
		}
		testkit.Must(t, err)
	}
}

// size returns the number of clients in the kernel's map.
func (g *gateway) size(t *testing.T) int {
	t.Helper()
	return len(g.slots(t))
}

// listed returns the number of prefixes on a list in the kernel. A zero value is no
// entry.
func (g *gateway) listed(t *testing.T, list string) (n int) {
	t.Helper()
	var key, value []byte
	all := g.maps[list].Iterate()
	for all.Next(&key, &value) {
		n += int(value[0])
	}
	testkit.Must(t, all.Err())
	return n
}
