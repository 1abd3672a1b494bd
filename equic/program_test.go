package equic

import (
	"bytes"
	"maps"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/internal/testkit/framekit"
)

const xdpPass = 2

// The clients of fillClients, named by their number of connections at the first port.
const (
	stranger = "198.51.100.1"
	under    = "198.51.100.2"
	at       = "198.51.100.3"
	over     = "198.51.100.4"
	over6    = "2001:db8::1"
)

// onePort is the test's server.
var onePort = []Port{{Number: serverPort}}

// program is a gateway without an interface. It gets its packets by the kernel's test
// run.
type program struct {
	*Gateway
}

// newProgram loads the program for the duration of the test.
func newProgram(tb testing.TB, o Options) *program {
	tb.Helper()
	testkit.NeedRoot(tb)
	o.Interfaces = []string{"none"}
	o, err := o.complete()
	testkit.Must(tb, err)
	l, err := load(o, nil)
	testkit.Must(tb, err)
	tb.Cleanup(func() { testkit.Must(tb, l.close()) })
	g := &Gateway{options: o, objs: l.objs}
	testkit.Must(tb, g.takeUp(l, false))
	tb.Cleanup(func() {
		g.freeze()
		testkit.Must(tb, g.events.close())
	})
	return &program{g}
}

// put gives a client a number of connections at a port.
func (p *program) put(tb testing.TB, port uint16, client string, connections uint32) {
	tb.Helper()
	p.clients.put(tb, port, netip.MustParseAddr(client), connections, 0)
}

// put sets a client's number of connections and of handshakes.
func (t *table) put(tb testing.TB, port uint16, addr netip.Addr, connections, handshakes uint32) {
	tb.Helper()
	var p place
	testkit.Must(tb, t.lock(&p, port, addr))
	defer p.mu.Unlock()
	testkit.Must(tb, t.add(&p))
	e := &t.entries[p.index]
	e.open, e.validated = connections, handshakes
	if handshakes > 0 {
		e.ports = portBit(uint16(framekit.UDP(0).SrcPort))
	}
	t.publish(p.index)
}

// fillClients adds the clients above to the first port, whose quota is 3.
func (p *program) fillClients(tb testing.TB) {
	tb.Helper()
	for client, n := range map[string]uint32{under: 2, at: 3, over: 4, over6: 4} {
		p.put(tb, p.options.Ports[0].Number, client, n)
	}
}

// run gives the program a packet, and returns its verdict as an XDP action.
func (p *program) run(tb testing.TB, packet []byte) uint32 {
	tb.Helper()
	if p.options.Mode == Netfilter {
		packet = packet[14:] // it starts at the IP header
	}
	verdict, out, err := p.objs.Program.Test(packet)
	testkit.Must(tb, err)
	if p.options.Mode != Netfilter && !bytes.Equal(packet, out) { // netfilter returns no copy
		tb.Errorf("the packet changed (-in +out):\n%s", cmp.Diff(packet, out))
	}
	if verdict == hookOf(p.options.Mode).drop {
		return xdpDrop
	}
	return xdpPass
}

// expect gives the program a packet, and checks the reason. It also checks that exactly
// that counter increases, for the port.
func (p *program) expect(tb testing.TB, packet []byte, reason string, port uint16) {
	tb.Helper()
	before, err := p.Stats()
	testkit.Must(tb, err)
	verdict := p.run(tb, packet)
	got, err := p.Stats()
	testkit.Must(tb, err)
	if want := verdictOf(reason); verdict != want {
		tb.Errorf("verdict %d, want %d", verdict, want)
	}
	want := before
	want.Counts = counted(before.Counts, reason)
	if _, ofPort := before.Ports[port].Packets[reason]; ofPort {
		want.Ports = maps.Clone(before.Ports)
		want.Ports[port] = counted(before.Ports[port], reason)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		tb.Errorf("counters (-want +got):\n%s", diff)
	}
}

// counted returns a copy of counts with one more packet.
func counted(c Counts, reason string) Counts {
	c.Packets = maps.Clone(c.Packets)
	c.Packets[reason]++
	c.Seen++
	if verdictOf(reason) == xdpDrop {
		c.Dropped++
	} else {
		c.Passed++
	}
	return c
}

func verdictOf(reason string) uint32 {
	if strings.HasPrefix(reason, "drop_") {
		return xdpDrop
	}
	return xdpPass
}

// packetCase is a packet and the expected reason.
type packetCase struct {
	name   string
	packet []byte
	reason string
}

// expectAll runs a table of packets to the test's server.
func (p *program) expectAll(t *testing.T, cases []packetCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { p.expect(t, c.packet, c.reason, serverPort) })
	}
}

// A client may be in any slot of its two lines, alone or among others. Those in the same line
// may have the same tag.
func TestTheProgramFindsAClientInEachSlotOfItsLines(t *testing.T) {
	p := newProgram(t, Options{Ports: onePort, Quota: 3})
	for _, client := range []string{over, over6} {
		p.put(t, serverPort, client, 4)
		var at place
		p.clients.locate(&at, p.clients.prefixes.key(serverPort, netip.MustParseAddr(client)))
		lines := p.clients.linesOf(at.hash)
		for n := range lines {
			for i := lines[n] * lineSlots; i < (lines[n]+1)*lineSlots; i++ {
				if from := p.clients.find(at.hash); from != i {
					p.clients.move(from, i)
				}
				p.expect(t, datagram(t, client, initial()), DropOverQuota, serverPort)
				for j := range lineSlots {
					same, other := lines[n]*lineSlots+j, lines[1-n]*lineSlots+j
					if same != i {
						p.clients.fill(same, at.hash^uint64(j+1)<<32, 0, entry{})
					}
					p.clients.fill(other, at.hash^uint64(j+1)<<32^1<<60, 0, entry{})
				}
				p.expect(t, datagram(t, client, initial()), DropOverQuota, serverPort)
				p.expect(t, datagram(t, stranger, initial()), PassUnknownClient, serverPort)
				for j := range lineSlots {
					for _, line := range lines {
						if line*lineSlots+j != i {
							p.clients.clear(line*lineSlots + j)
						}
					}
				}
				if t.Failed() {
					t.Fatalf("%s: slot %d of line %d", client, i%lineSlots, n)
				}
			}
		}
	}
}
