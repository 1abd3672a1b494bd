package equic

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/internal/testkit/framekit"
)

// twin is a loaded program together with its reference.
type twin struct {
	*program
	reference
	counted map[counter]uint64 // by the program so far
}

// The sizes of frames that the kernel's test run accepts, in bytes: from an Ethernet
// header to one page minus the space that XDP reserves.
const (
	minFrame = 14
	maxFrame = 3400
)

// newTwins loads programs with different options, for both policies.
func newTwins(tb testing.TB) []*twin {
	tb.Helper()
	var twins []*twin
	for _, o := range []Options{
		{Policy: PolicyNew},
		{Policy: PolicyClient},
		{Policy: PolicyNew, IPv4Prefix: 20, IPv6Prefix: 44, InitialsPerSecond: maxRate, Burst: maxBurst},
		{
			Policy: PolicyClient, IPv4Prefix: 9, IPv6Prefix: 128, InitialsPerSecond: maxRate, Burst: maxBurst,
			Allowed: prefixList("198.51.100.2/32", "2001:db8::2/127"),
			Denied:  prefixList("198.51.100.0/30", "2001:db8::/127", "128.0.0.0/1"),
		},
		{Policy: PolicyNew, Pass: Fragments | IPv4Options | DeepHeaders, InitialsPerSecond: maxRate, Burst: maxBurst},
	} {
		o.Ports = []Port{{Number: serverPort, Quota: 3}, {Number: 443, Quota: 1, Policy: PolicyNew}}
		o.MaxClients = 4
		p := newProgram(tb, o)
		r := reference{options: p.options, counts: make(map[client]uint32)}
		twins = append(twins, &twin{p, r, make(map[counter]uint64)})
	}
	return twins
}

// FuzzProgramAgreesWithReference gives frames to the loaded program and to the
// reference. They must agree on the verdict, the client, the counters, and whether a
// token is taken.
func FuzzProgramAgreesWithReference(f *testing.F) {
	testkit.NeedRoot(f)
	for i, frame := range seeds(f) {
		f.Add(frame, byte(i), byte(i/4))
	}
	twins := newTwins(f)
	f.Fuzz(func(t *testing.T, frame []byte, options, connections byte) {
		if len(frame) < minFrame || len(frame) > maxFrame {
			t.Skip("the kernel's test run does not take a frame of this size")
		}
		if diff := twins[int(options)%len(twins)].compare(t, frame, uint32(connections)%5, connections >= 128); diff != "" {
			t.Error(diff)
		}
	})
}

// It takes every packet of the tables, and changes each byte of its headers.
func TestProgramAgreesWithReferenceOnChangedPackets(t *testing.T) {
	const headers = 80 // bytes
	twins := newTwins(t)
	runs := 0
	for i, frame := range seeds(t) {
		w := twins[i%len(twins)]
		for offset := minFrame - 2; offset < min(headers, len(frame)); offset++ {
			old := frame[offset]
			for _, value := range []byte{old + 1, old ^ 0x80, 0, 0xff} {
				frame[offset] = value
				runs++
				if diff := w.compare(t, frame, uint32(runs)%5, runs%3 == 0); diff != "" {
					t.Errorf("byte %d of %x is %#x: %s", offset, frame[:min(headers, len(frame))], value, diff)
				}
			}
			frame[offset] = old
		}
	}
	t.Logf("%d packets", runs)
}

// seeds returns the packets of all tables.
func seeds(tb testing.TB) [][]byte {
	tb.Helper()
	var frames [][]byte
	for _, c := range slices.Concat(ipv4Cases(tb), ipv6Cases(tb), vlanCases(tb)) {
		frames = append(frames, c.packet)
	}
	for _, c := range payloadCases() {
		frames = append(frames,
			datagram(tb, over, c.payload), datagramTo(tb, over6, 443, c.payload),
			v4(tb, framekit.Options(8), framekit.UDP(serverPort), gopacket.Payload(c.payload)))
	}
	return frames
}

// compare runs a frame whose client has this many connections (with zero, none that the
// kernel has) and may have a handshake in progress. It returns the differences.
func (w *twin) compare(tb testing.TB, frame []byte, connections uint32, handshake bool) string {
	tb.Helper()
	clear(w.counts)
	w.handshakes = handshake
	of := w.judge(frame)
	who := of.client
	if who.port != 0 && connections > 0 {
		w.counts[who] = connections
		handshakes := map[bool]uint32{true: 1}[handshake]
		w.clients.put(tb, who.port, of.source, connections, handshakes)
		defer w.clients.put(tb, who.port, of.source, 0, 0)
	}
	want := w.judge(frame)
	verdict := w.run(tb, frame)
	expected := w.counted
	expected[counter{want.port, want.reason}]++
	w.counted = w.counters(tb)
	if !maps.Equal(expected, w.counted) {
		return fmt.Sprintf("counters (-reference +program):\n%s", cmp.Diff(expected, w.counted))
	}
	if verdict != verdictOf(want.reason) {
		return fmt.Sprintf("verdict %d, and the reference says %s", verdict, want.reason)
	}
	return w.compareToken(tb, want)
}

const rateTag = 1<<11 - 1 // RATE_TAG in bpf/maps.h

// compareToken checks who took a token, and resets it.
func (w *twin) compareToken(tb testing.TB, want judgement) string {
	tb.Helper()
	if !want.token && w.program.options.InitialsPerSecond == 0 {
		return ""
	}
	type taken struct{ set, tag uint64 }
	var got, expected []taken
	sets := w.objs.Rates.MaxEntries()
	for i := range sets {
		var s gatewayRateSet
		testkit.Must(tb, w.objs.Rates.Lookup(i, &s))
		for _, bucket := range s.Buckets {
			if bucket != 0 {
				got = append(got, taken{uint64(i), bucket & rateTag})
			}
		}
		testkit.Must(tb, w.objs.Rates.Put(i, &gatewayRateSet{}))
	}
	if want.token {
		key := w.key(want.client)
		hash := w.clients.key.hash(&key)
		expected = []taken{{hash >> 32 % uint64(sets), hash & rateTag}}
	}
	if !slices.Equal(expected, got) {
		return fmt.Sprintf("takes a token (-reference +program):\n%s", cmp.Diff(expected, got))
	}
	return ""
}

// key returns the kernel's key of a client.
func (w *twin) key(c client) clientKey {
	return clientKey{Prefix: c.prefix.Addr().As16(), Port: c.port}
}

// counter identifies a counter of the program. The port is zero if the packet is to
// none of ours.
type counter struct {
	port   uint16
	reason string
}

// counters returns all counters of the program that are not zero.
func (w *twin) counters(tb testing.TB) map[counter]uint64 {
	tb.Helper()
	counts := make(map[counter]uint64)
	keys := make([]uint32, (len(w.program.options.Ports)+1)*len(reasons)) // the others stay zero
	values := make([]uint64, len(keys)*ebpf.MustPossibleCPU())
	var cursor ebpf.MapBatchCursor
	n, err := w.objs.Packets.BatchLookup(&cursor, keys, values, nil)
	testkit.Must(tb, err)
	for i := range n {
		var sum uint64
		for _, v := range values[i*ebpf.MustPossibleCPU():][:ebpf.MustPossibleCPU()] {
			sum += v
		}
		if sum == 0 {
			continue
		}
		c := counter{reason: reasons[int(keys[i])%len(reasons)]}
		if application := int(keys[i]) / len(reasons); application > 0 {
			c.port = w.program.options.Ports[application-1].Number
		}
		counts[c] = sum
	}
	return counts
}

// The reference is checked against known cases, so that it cannot have the same error
// as the program.
func TestTheReferenceKnowsTheTables(t *testing.T) {
	o, err := Options{Interfaces: []string{"none"}, Ports: onePort, Quota: 3, Policy: PolicyClient}.complete()
	testkit.Must(t, err)
	r := reference{options: o, counts: map[client]uint32{}}
	for source, n := range map[string]uint32{under: 2, at: 3, over: 4, over6: 4} {
		r.counts[r.client(netip.MustParseAddr(source), serverPort)] = n
	}
	for _, c := range slices.Concat(ipv4Cases(t), ipv6Cases(t), vlanCases(t)) {
		if got := r.judge(c.packet).reason; got != c.reason {
			t.Errorf("%s: %s, want %s", c.name, got, c.reason)
		}
	}
	for _, c := range payloadCases() {
		for policy, want := range map[Policy]string{PolicyClient: c.client, PolicyNew: c.newOnly} {
			r.options.Ports[0].Policy = policy
			if got := r.judge(datagram(t, over, c.payload)).reason; got != want {
				t.Errorf("%s under %s: %s, want %s", c.name, policy, got, want)
			}
		}
	}
}
