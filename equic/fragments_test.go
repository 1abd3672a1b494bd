package equic

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/internal/testkit/netkit"
)

// whole is the reference for the program and the stack together.
type whole struct {
	reference
	*stack
	counted map[string]uint64 // packets to the protected port, by reason
}

// fragmentOptions returns the options of a gateway for the senders of scripts.
func fragmentOptions(policy Policy, pass Unusual) Options {
	return Options{
		Interfaces: []string{serverIface}, Ports: onePort, Policy: policy, Quota: 1, IPv6Prefix: 128, Pass: pass,
		Denied: prefixList(sender(false, senderDenied)+"/32", sender(true, senderDenied)+"/128"),
	}
}

func newWhole(tb testing.TB, o Options) *whole {
	tb.Helper()
	o, err := o.complete()
	testkit.Must(tb, err)
	w := &whole{reference{options: o, counts: map[client]uint32{}}, newStack(), map[string]uint64{}}
	for _, six := range []bool{false, true} {
		w.counts[w.client(netip.MustParseAddr(sender(six, senderFull)), serverPort)] = 1
	}
	return w
}

// expect returns the datagrams that the server's sockets must receive, given the
// frames.
func (w *whole) expect(frames [][]byte) map[netip.AddrPort][]delivery {
	want := map[netip.AddrPort][]delivery{}
	for _, frame := range frames {
		j := w.judge(frame)
		if j.port != 0 {
			w.counted[j.reason]++
		}
		if strings.HasPrefix(j.reason, "drop_") {
			continue
		}
		if d := w.receive(frame); d != nil {
			want[d.to] = append(want[d.to], *d)
		}
	}
	return want
}

// wire is a gateway in a namespace, together with its reference.
type wire struct {
	*whole
	gateway *Gateway
	send    func([]byte)
	sockets map[netip.AddrPort]*net.UDPConn
}

func newWire(f *testing.F, o Options) *wire {
	f.Helper()
	p := pair{netkit.NewPair(f)}
	p.addIPv6(f)
	w := &wire{
		whole: newWhole(f, o), gateway: mustAttach(f, o), send: p.Wire(f), sockets: map[netip.AddrPort]*net.UDPConn{},
	}
	for _, six := range []bool{false, true} {
		testkit.Must(f, w.gateway.Inc(serverPort, netip.MustParseAddr(sender(six, senderFull))))
	}
	for _, at := range receivers {
		socket, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
		testkit.Must(f, err)
		f.Cleanup(func() { testkit.Must(f, socket.Close()) })
		w.sockets[at] = socket
	}
	return w
}

// read returns what a socket receives, up to the marker's datagram.
func (w *wire) read(t *testing.T, at netip.AddrPort) (got []delivery) {
	t.Helper()
	socket := w.sockets[at]
	testkit.Must(t, socket.SetReadDeadline(time.Now().Add(20*time.Second)))
	b := make([]byte, 4096)
	for {
		n, from, err := socket.ReadFromUDPAddrPort(b)
		testkit.Must(t, err)
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		got = append(got, delivery{from, at, string(b[:n])})
		if from.Addr().String() == sender(at.Addr().Is6(), marker) {
			return got
		}
	}
}

// check sends frames, and compares what the sockets receive with the reference.
func (w *wire) check(t *testing.T, frames [][]byte) {
	t.Helper()
	want := w.expect(frames)
	for _, frame := range frames {
		w.send(frame)
	}
	for _, at := range receivers {
		got := w.read(t, at)
		if diff := cmp.Diff(want[at], got, cmp.AllowUnexported(delivery{}), cmpopts.EquateComparable(at)); diff != "" {
			t.Errorf("%s (-reference +socket):\n%s", at, diff)
		}
		if n := ofDenied(got); n > 0 && w.options.Pass == 0 {
			t.Errorf("%s: %d datagrams of a denied client", at, n)
		}
	}
	stats, err := w.gateway.Stats()
	testkit.Must(t, err)
	counted := maps.Clone(stats.Ports[serverPort].Packets)
	maps.DeleteFunc(counted, func(_ string, n uint64) bool { return n == 0 })
	if diff := cmp.Diff(w.counted, counted); diff != "" {
		t.Errorf("counters (-reference +program):\n%s", diff)
	}
	if t.Failed() {
		for _, frame := range frames {
			t.Logf("%s: %x", w.judge(frame).reason, frame[:min(len(frame), 80)])
		}
	}
}

// ofDenied returns the number of datagrams of a denied client to the protected port.
func ofDenied(list []delivery) (n int) {
	for _, d := range list {
		if d.to.Port() == serverPort && d.from.Addr().String() == sender(d.from.Addr().Is6(), senderDenied) {
			n++
		}
	}
	return n
}

// FuzzFragmentsAreJudgedByProgramAndKernel sends fragments in any order over a real
// interface. The sockets must receive what the reference computes. They receive nothing
// of a denied client, unless fragments are to pass.
func FuzzFragmentsAreJudgedByProgramAndKernel(f *testing.F) {
	testkit.NeedRoot(f)
	for i, s := range scripts(400) {
		f.Add(s, byte(i))
	}
	var wires []*wire
	for _, pass := range []Unusual{0, Fragments | IPv4Options | DeepHeaders} {
		for _, policy := range []Policy{PolicyNew, PolicyClient} {
			wires = append(wires, newWire(f, fragmentOptions(policy, pass)))
		}
	}
	f.Fuzz(func(t *testing.T, bytes []byte, which byte) {
		s := script(bytes)
		wires[int(which)%len(wires)].check(t, s.sequence(t))
	})
}

// The scripts produce reassembled packets, overlaps and duplicates. The reference must
// forget all incomplete packets. If fragments are to pass, a denied client gets
// through: its first fragment may end before the port.
func TestScriptsOfFragmentsTryWhatMatters(t *testing.T) {
	for _, pass := range []Unusual{0, Fragments | IPv4Options | DeepHeaders} {
		w := newWhole(t, fragmentOptions(PolicyNew, pass))
		denied := 0
		for _, b := range scripts(2000) {
			s := script(b)
			for _, list := range w.expect(s.sequence(t)) {
				denied += ofDenied(list)
			}
			if len(w.waiting) > 0 {
				t.Fatalf("%d packets are left", len(w.waiting))
			}
		}
		what := fmt.Sprintf("passed %v: %v packets put together, %d duplicates, %d overlaps, %d of a denied client; %v",
			pass != 0, w.assembled, w.duplicates, w.overlaps, denied, w.counted)
		if min(w.assembled[0], w.assembled[1], w.duplicates, w.overlaps) < 20 || (denied > 0) != (pass != 0) {
			t.Error(what)
		}
		t.Log(what)
	}
}
