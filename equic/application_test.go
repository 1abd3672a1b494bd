package equic

import (
	"errors"
	"maps"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/internal/testkit/framekit"
)

func TestAnApplicationDropsWhatTheKernelWould(t *testing.T) {
	const quota, datagrams = 3, 20_000
	for _, policy := range []Policy{PolicyClient, PolicyNew} {
		t.Run(string(policy), func(t *testing.T) {
			p := newProgram(t, Options{Ports: onePort, Quota: quota, Policy: policy, MaxClients: 8})
			a := NewApplication(quota, policy)
			sourcePort := uint16(framekit.UDP(0).SrcPort)
			for i, client := range []string{under, at, over, over6} {
				addr := netip.MustParseAddr(client)
				p.clients.put(t, serverPort, addr, uint32(2+i), uint32(i%2))
				a.clients.put(t, serverPort, addr, uint32(2+i), uint32(i%2))
			}
			r := rand.New(rand.NewPCG(1, 2))
			clients := []string{stranger, under, at, over, over6}
			for range datagrams {
				client, payload := clients[r.IntN(len(clients))], randomDatagram(r)
				want := p.run(t, datagram(t, client, payload)) == xdpDrop
				from := netip.AddrPortFrom(netip.MustParseAddr(client), sourcePort)
				if got := a.Drop(serverPort, from, payload); got != want {
					t.Fatalf("%x of %s: dropped %v, in the kernel %v", payload[:min(len(payload), 40)], client, got, want)
				}
			}
			want, err := p.Stats()
			testkit.Must(t, err)
			got, err := a.Stats()
			testkit.Must(t, err)
			kernel := maps.Clone(want.Packets)
			maps.DeleteFunc(kernel, func(_ string, n uint64) bool { return n == 0 })
			maps.DeleteFunc(got.Packets, func(_ string, n uint64) bool { return n == 0 })
			if diff := cmp.Diff(kernel, got.Packets); diff != "" {
				t.Errorf("reasons (-kernel +application):\n%s", diff)
			}
		})
	}
}

// randomDatagram returns a random datagram. Its first bytes are mostly values that the
// verdict depends on.
func randomDatagram(r *rand.Rand) []byte {
	versions := [][]byte{{0, 0, 0, 0}, {0, 0, 0, 1}, {0x6b, 0x33, 0x43, 0xcf}, {0x0a, 0x1a, 0x2a, 0x3a}}
	d := make([]byte, []int{0, 1, 5, 6, 7, 20, 40, 1199, 1200, 1400}[r.IntN(10)])
	for i := range d {
		d[i] = byte(r.IntN(30))
	}
	if len(d) >= longHeaderStart {
		d[0] = byte(r.IntN(256)) | quicLongHeader*byte(r.IntN(2))
		copy(d[1:], versions[r.IntN(len(versions))])
	}
	return d
}

func TestAnApplicationKnowsHandshakes(t *testing.T) {
	a := NewApplication(1, PolicyNew)
	from := netip.AddrPortFrom(alice, 50000)
	h, err := a.Begin(serverPort, from, true)
	testkit.Must(t, err)
	h.Hello()
	if !a.Drop(serverPort, from, initial()) {
		t.Error("an Initial of a client with a handshake at its quota is not dropped")
	}
	if a.Drop(serverPort, from, short()) {
		t.Error("a packet of an established connection is dropped")
	}
	h.Close()
}

func TestAnApplicationHoldsDownWhomItDrops(t *testing.T) {
	a := NewApplication(1, PolicyNew)
	from := netip.AddrPortFrom(alice, 50000)
	h, err := a.Begin(serverPort, from, true)
	testkit.Must(t, err)
	h.Hello()
	a.Drop(serverPort, from, initial())
	completes(t, h)
	h.Close()
	if _, err := a.Begin(serverPort, from, true); !errors.Is(err, ErrOverQuota) {
		t.Errorf("error %v: the gate is open as soon as the connection has ended", err)
	}
}
