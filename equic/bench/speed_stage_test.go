package bench

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"github.com/equic-bench/equic-bench/equic"
	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/internal/testkit/netkit"
)

// speedStage is the set of programs that are measured in turn, and their maps. The two
// forms of Algorithm 1 share a map, and so do the two policies.
type speedStage struct {
	programs [columns]*ebpf.Program
	bare     *ebpf.Program // the empty one, never called by another
	ours     *gateway
	settings map[equic.Policy][]byte // the port's entry in its map of applications
	quotas   *ebpf.Map               // Algorithm 1's
	runs     int                     // per burst
}

// rotation selects the clients that the packets of a burst come from. The zero value
// leaves the source in the packet.
type rotation struct {
	sources uint32 // a power of two
	first   uint32
}

// start returns the position in the cycle of all sources at which a program begins. The
// programs are as far apart as possible. Otherwise one would find in the cache what the
// one before it has just read.
func (r rotation) start(program int) uint32 {
	const factor, addend = 1664525, 1013904223 // as in `rotate` in bpf/baseline.bpf.c
	var turn uint32
	for range program * int(r.sources) / int(columns) {
		turn = (turn*factor + addend) & (r.sources - 1)
	}
	return turn
}

// rotatedRuns is the number of runs per burst if each run has another client. It is
// more than runsPerBurst, so that even a thousand clients repeat within a burst, as in
// steady traffic.
const rotatedRuns = 20 * runsPerBurst

const speedQuota = 5 // Algorithm 1 drops above it, ours from it on

// newStage loads the programs with room for a number of clients, and pins the test to a
// CPU.
func newStage(t *testing.T, room int, port equic.Port) *speedStage {
	t.Helper()
	return newStageBy(t, equic.Attach, room, port)
}

// attachWithoutPerfmon attaches a gateway as a process without CAP_PERFMON does. The test is
// pinned to its thread.
func attachWithoutPerfmon(o equic.Options) (*equic.Gateway, error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var all [2]unix.CapUserData
	if err := unix.Capget(&header, &all[0]); err != nil {
		return nil, err
	}
	some := all
	for _, c := range []int{unix.CAP_PERFMON, unix.CAP_SYS_ADMIN} { // which includes it
		some[c/32].Effective &^= 1 << (c % 32)
	}
	if err := unix.Capset(&header, &some[0]); err != nil {
		return nil, err
	}
	g, err := equic.Attach(o)
	return g, errors.Join(err, unix.Capset(&header, &all[0]))
}

func newStageBy(t *testing.T, by func(equic.Options) (*equic.Gateway, error), room int, port equic.Port) *speedStage {
	t.Helper()
	netkit.NewPair(t)
	pinTest(t)
	s := &speedStage{settings: make(map[equic.Policy][]byte), runs: runsPerBurst}
	port.Number = serverPort
	for _, port.Policy = range policies {
		if s.ours != nil {
			s.ours.close()
		}
		s.ours = attachBy(t, by, equic.Options{Ports: []equic.Port{port}, Quota: speedQuota, MaxClients: room})
		var err error
		s.settings[port.Policy], err = s.ours.maps["applications"].LookupBytes(uint32(1))
		testkit.Must(t, err)
	}
	for _, i := range []column{algorithm1, clockless} {
		s.programs[i] = s.loadBaseline(t, room, i == algorithm1)
	}
	s.programs[oursClient], s.programs[oursNew] = s.ours.program, s.ours.program
	empty, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type:         ebpf.XDP,
		AttachType:   ebpf.AttachXDP,           // as that of the others, or they could not call it
		Flags:        unix.BPF_F_XDP_HAS_FRAGS, // the same
		License:      "Dual MIT/GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, xdpPass), asm.Return()},
	})
	testkit.Must(t, err)
	t.Cleanup(func() { testkit.Must(t, empty.Close()) })
	s.programs[emptyColumn], s.bare = empty, empty
	return s
}

func (s *speedStage) loadBaseline(t *testing.T, room int, clock bool) *ebpf.Program {
	t.Helper()
	spec, err := loadBaseline()
	testkit.Must(t, err)
	spec.Maps[baselineMapQuotas].MaxEntries = uint32(room)
	testkit.Must(t, spec.Variables[baselineVarQuotaLimit].Set(uint32(speedQuota)))
	testkit.Must(t, spec.Variables[baselineVarReadClock].Set(map[bool]uint8{true: 1}[clock]))
	var share ebpf.CollectionOptions
	if s.quotas != nil {
		share.MapReplacements = map[string]*ebpf.Map{baselineMapQuotas: s.quotas}
	}
	var objs struct {
		Program *ebpf.Program `ebpf:"algorithm1"`
		Quotas  *ebpf.Map     `ebpf:"quotas"`
	}
	testkit.Must(t, spec.LoadAndAssign(&objs, &share))
	t.Cleanup(func() {
		testkit.Must(t, objs.Program.Close())
		testkit.Must(t, objs.Quotas.Close())
	})
	if s.quotas == nil {
		s.quotas = objs.Quotas
	}
	return objs.Program
}

// rotated returns the stage with each program called by one that gives each packet
// another source.
func (s *speedStage) rotated(t *testing.T, r rotation) *speedStage {
	t.Helper()
	behind := *s
	behind.runs = rotatedRuns
	for i, p := range s.programs {
		spec, err := loadBaseline()
		testkit.Must(t, err)
		testkit.Must(t, spec.Variables[baselineVarTurn].Set(r.start(i)))
		testkit.Must(t, spec.Variables[baselineVarSources].Set(r.sources))
		testkit.Must(t, spec.Variables[baselineVarFirstSource].Set(r.first))
		var objs struct {
			Program  *ebpf.Program `ebpf:"rotate"`
			Measured *ebpf.Map     `ebpf:"measured"`
		}
		testkit.Must(t, spec.LoadAndAssign(&objs, nil))
		testkit.Must(t, objs.Measured.Put(uint32(0), p))
		t.Cleanup(func() {
			testkit.Must(t, objs.Program.Close())
			testkit.Must(t, objs.Measured.Close())
		})
		behind.programs[i] = objs.Program
	}
	return &behind
}

// setPolicy sets the policy of our program.
func (s *speedStage) setPolicy(t *testing.T, policy equic.Policy) {
	t.Helper()
	testkit.Must(t, s.ours.maps["applications"].Put(uint32(1), s.settings[policy]))
}

// put gives clients a number of connections in all maps.
func (s *speedStage) put(t *testing.T, connections int, clients ...netip.Addr) {
	t.Helper()
	s.ours.put(t, connections, clients...)
	var published [][4]byte
	var counts []uint32
	for _, c := range clients {
		if c.Is4() {
			published = append(published, c.As4())
			counts = append(counts, uint32(connections))
		}
	}
	if len(published) > 0 {
		_, err := s.quotas.BatchUpdate(published, counts, nil)
		testkit.Must(t, err)
	}
}

// speedSource returns the address of a client by its number, as `rotate` in
// bpf/baseline.bpf.c computes it.
func speedSource(number uint32) netip.Addr {
	const spread = 2654435761
	var b [4]byte
	binary.LittleEndian.PutUint32(b[:], number*spread)
	return netip.AddrFrom4(b)
}

func firstSources(n int) []netip.Addr {
	list := make([]netip.Addr, n)
	for i := range list {
		list[i] = speedSource(uint32(i))
	}
	return list
}
