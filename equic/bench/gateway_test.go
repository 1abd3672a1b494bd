// Package bench measures the gateway (make bench-gateway) and wears it out (make
// soak). It uses what the package equic exports, and asks the kernel for the
// rest: the attached program and its maps.
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

// clientKey and clientValue are struct key and struct client of
// bpf/equic.bpf.c.
type (
	clientKey struct {
		Prefix     [16]byte
		Port, Zero uint16
	}
	clientValue struct{ Connections, Dropped uint32 }
)

// gateway is an attached gateway, and what the kernel has of it.
type gateway struct {
	*equic.Gateway
	program *ebpf.Program
	maps    map[string]*ebpf.Map // by their names in bpf/equic.bpf.c
	close   func()
}

// attach attaches a gateway to the server's end of a pair, for the length of
// the test at most.
func attach(t *testing.T, o equic.Options) *gateway {
	t.Helper()
	o.Interface = netkit.ServerInterface
	attached, err := equic.Attach(o)
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

// put gives clients a number of connections, more than they have, and waits
// until the kernel's map has them all.
func (g *gateway) put(t *testing.T, connections int, clients ...netip.Addr) {
	t.Helper()
	for _, c := range clients {
		for g.Count(serverPort, c) < connections {
			testkit.Must(t, g.Inc(serverPort, c))
		}
	}
	counted := 0
	for range g.Clients() {
		counted++
	}
	testkit.Await(t, "the clients are in the kernel's map", func() bool { return g.size(t) == counted })
}

// kernelCounts are the connections of the clients in the kernel's map.
func (g *gateway) kernelCounts(t *testing.T) map[netip.Addr]int {
	t.Helper()
	counts := make(map[netip.Addr]int)
	var key clientKey
	var value clientValue
	entries := g.maps["clients"].Iterate()
	for entries.Next(&key, &value) {
		counts[netip.AddrFrom16(key.Prefix).Unmap()] = int(value.Connections)
	}
	testkit.Must(t, entries.Err())
	return counts
}

// size is how many clients the kernel's map has, by few system calls.
func (g *gateway) size(t *testing.T) (n int) {
	t.Helper()
	keys, values := make([]clientKey, 1<<16), make([]clientValue, 1<<16)
	var cursor ebpf.MapBatchCursor
	for {
		some, err := g.maps["clients"].BatchLookup(&cursor, keys, values, nil)
		n += some
		if errors.Is(err, ebpf.ErrKeyNotExist) { // the end
			return n
		}
		testkit.Must(t, err)
	}
}

// listed is how many prefixes a list has in the kernel. A zero is none.
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
