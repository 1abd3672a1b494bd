package equic

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// modelKernel is the kernel's map, with its limit. One write of an operation
// may fail.
type modelKernel struct {
	limit   int
	entries map[clientKey]clientValue
	refused map[clientKey]bool // found the map full since it was written last
	writes  int                // of this operation
	failAt  int                // the write that fails; negative is none
	failed  bool               // since the last flush that went well
}

func (m *modelKernel) write() error {
	m.writes++
	if m.writes-1 == m.failAt {
		m.failed = true
		return unix.EIO
	}
	return nil
}

func (m *modelKernel) put(keys []clientKey, values []clientValue) (int, error) {
	for i, k := range keys {
		if err := m.write(); err != nil {
			return i, err
		}
		if _, present := m.entries[k]; !present && len(m.entries) == m.limit {
			m.refused[k] = true
			return i, unix.E2BIG
		}
		m.entries[k] = values[i]
		delete(m.refused, k)
	}
	return len(keys), nil
}

func (m *modelKernel) delete(k clientKey) error {
	if err := m.write(); err != nil {
		return err
	}
	if _, present := m.entries[k]; !present {
		return ebpf.ErrKeyNotExist
	}
	delete(m.entries, k)
	return nil
}

func (m *modelKernel) dropped(k clientKey) (bool, error) {
	v, present := m.entries[k]
	if !present {
		return false, ebpf.ErrKeyNotExist
	}
	return v.Dropped != 0, nil
}

// ledgerModel is a ledger beside what it must be: plain counts.
type ledgerModel struct {
	ledger  *ledger
	kernel  *modelKernel
	counts  map[clientKey]uint32
	quotas  map[uint16]uint32 // as the caller set them
	inForce map[uint16]uint32 // as the program has them
	dropped map[clientKey]bool
	letIn   map[clientKey]int // by the operation under way
}

var (
	modelPorts   = []uint16{443, 8443}
	modelClients = []netip.Addr{alice, bob, carol, netip.MustParseAddr("192.0.2.12")}
)

func newLedgerModel(limit int) *ledgerModel {
	m := &ledgerModel{
		kernel:  &modelKernel{limit: limit, entries: map[clientKey]clientValue{}, refused: map[clientKey]bool{}, failAt: -1},
		counts:  map[clientKey]uint32{},
		quotas:  map[uint16]uint32{443: 2, 8443: 3},
		inForce: map[uint16]uint32{443: 2, 8443: 3},
		dropped: map[clientKey]bool{},
		letIn:   map[clientKey]int{},
	}
	m.ledger = newLedger(m.kernel, byAddress, maps.Clone(m.quotas), func(k clientKey) { m.letIn[k]++ })
	return m
}

func TestTheLedgerIsWhatItsModelIs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newLedgerModel(rapid.IntRange(0, 5).Draw(t, "limit"))
		defer func() { _ = m.ledger.close() }() // the writes that were made to fail
		t.Repeat(map[string]func(*rapid.T){
			"inc":      m.inc,
			"dec":      m.dec,
			"setQuota": m.setQuota,
			"flush":    m.flush,
			"drop":     m.drop,
			"":         m.check,
		})
	})
}

// begin draws who an operation is about, and whether a write of it fails.
func (m *ledgerModel) begin(t *rapid.T) (clientKey, netip.Addr) {
	port := rapid.SampledFrom(modelPorts).Draw(t, "port")
	addr := rapid.SampledFrom(modelClients).Draw(t, "client")
	m.arm(t)
	return byAddress.key(port, addr), addr
}

func (m *ledgerModel) arm(t *rapid.T) {
	m.kernel.writes, m.kernel.failAt = 0, -1
	if rapid.IntRange(0, 7).Draw(t, "trouble") == 7 {
		m.kernel.failAt = rapid.IntRange(0, 3).Draw(t, "write that fails")
	}
	clear(m.letIn)
}

func (m *ledgerModel) inc(t *rapid.T) {
	k, addr := m.begin(t)
	err := m.ledger.inc(k.Port, addr)
	m.counts[k]++
	m.checkError(t, err)
	if full := errors.Is(err, ErrFull); full &&
		(m.counts[k] < m.quotas[k.Port] || len(m.kernel.entries) < m.kernel.limit) {
		t.Fatalf("ErrFull for a client with %d of %d and %d of %d entries", m.counts[k], m.quotas[k.Port],
			len(m.kernel.entries), m.kernel.limit)
	}
}

func (m *ledgerModel) dec(t *rapid.T) {
	k, addr := m.begin(t)
	err := m.ledger.dec(k.Port, addr)
	if m.counts[k] == 0 {
		if err == nil {
			t.Fatal("a client without a connection was released")
		}
		return
	}
	m.counts[k]--
	m.checkError(t, err)
	if errors.Is(err, ErrFull) {
		t.Fatal("dec says that the map is full")
	}
}

func (m *ledgerModel) setQuota(t *rapid.T) {
	k, _ := m.begin(t)
	quota := rapid.Uint32Range(1, 5).Draw(t, "quota")
	err := m.ledger.setQuota(k.Port, quota, func() error {
		if err := m.kernel.write(); err != nil {
			return err
		}
		m.inForce[k.Port] = quota
		return nil
	})
	m.checkError(t, err)
	m.quotas[k.Port] = m.ledger.quotas[k.Port]
	if err == nil && m.quotas[k.Port] != quota {
		t.Fatalf("quota %d, want %d", m.quotas[k.Port], quota)
	}
}

func (m *ledgerModel) flush(t *rapid.T) {
	m.arm(t)
	m.kernel.failed = false
	m.ledger.flush()
	if m.kernel.failed {
		return
	}
	for k, count := range m.counts {
		v, present := m.kernel.entries[k]
		// One below its quota may have made room for one at it.
		if !present && count >= m.quotas[k.Port] && !m.kernel.refused[k] {
			t.Fatalf("after a flush %s is not in the kernel's map, and has %d", name(k), count)
		}
		if present && v.Connections != count {
			t.Fatalf("after a flush the kernel has %d for %s, want %d", v.Connections, name(k), count)
		}
	}
	if len(m.ledger.late) > 0 {
		t.Fatalf("still late: %v", m.ledger.late)
	}
}

// drop is a packet of a client: the program drops it if the client is at the
// quota that is in force.
func (m *ledgerModel) drop(t *rapid.T) {
	k, _ := m.begin(t)
	if !m.blocked(k) {
		return
	}
	v := m.kernel.entries[k]
	v.Dropped = 1
	m.kernel.entries[k] = v
	m.dropped[k] = true
}

func (m *ledgerModel) blocked(k clientKey) bool {
	v, present := m.kernel.entries[k]
	return present && v.Connections >= m.inForce[k.Port]
}

// checkError allows the errors that the kernel gave reason to.
func (m *ledgerModel) checkError(t *rapid.T, err error) {
	if err != nil && !errors.Is(err, ErrFull) && !errors.Is(err, unix.EIO) {
		t.Fatal(err)
	}
}

// check holds the ledger and the kernel against the model, after every
// operation. What a failed write left wrong is right after the next flush.
func (m *ledgerModel) check(t *rapid.T) {
	for _, port := range modelPorts {
		for _, addr := range modelClients {
			k := byAddress.key(port, addr)
			if got := m.ledger.count(port, addr); got != int(m.counts[k]) {
				t.Fatalf("%s is counted %d times, want %d", name(k), got, m.counts[k])
			}
			if !m.kernel.failed {
				m.checkBlocked(t, k)
				m.checkLetIn(t, k)
			}
		}
	}
	if !m.kernel.failed {
		m.checkClients(t)
	}
	m.noteLetIn()
}

func (m *ledgerModel) checkBlocked(t *rapid.T, k clientKey) {
	want, got := m.counts[k] >= m.quotas[k.Port], m.blocked(k)
	if got && !want {
		t.Fatalf("%s is blocked by %d, and has %d of %d", name(k), m.kernel.entries[k].Connections, m.counts[k],
			m.quotas[k.Port])
	}
	told := m.quotas[k.Port] == m.inForce[k.Port]
	if want && !got && told && len(m.kernel.entries) < m.kernel.limit {
		t.Fatalf("%s is not blocked with %d of %d, and the map has room", name(k), m.counts[k], m.quotas[k.Port])
	}
}

// checkLetIn checks that a client of which packets were dropped is said to be
// let in when it is, once, and that the program knows of whom it was said.
func (m *ledgerModel) checkLetIn(t *rapid.T, k clientKey) {
	want := 0
	if m.dropped[k] && !m.blocked(k) {
		want = 1
	}
	if m.letIn[k] != want {
		t.Fatalf("%s was said to be let in %d times, want %d", name(k), m.letIn[k], want)
	}
	dropped := m.dropped[k] && want == 0
	if v, present := m.kernel.entries[k]; present && (v.Dropped == 1) != dropped {
		t.Fatalf("the kernel has %d for the drops of %s, want %v", v.Dropped, name(k), dropped)
	}
}

func (m *ledgerModel) checkClients(t *rapid.T) {
	var want []string
	for k, count := range m.counts {
		if count > 0 {
			want = append(want, fmt.Sprint(name(k), count, m.blocked(k)))
		}
	}
	var got []string
	for _, c := range m.ledger.counted() {
		got = append(got, fmt.Sprint(name(byAddress.key(c.Port, c.Prefix.Addr())), c.Connections, c.Blocked))
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(want, got) {
		t.Fatalf("clients %v, want %v", got, want)
	}
}

// noteLetIn forgets the drops of who was let in. Where a write failed it forgets
// all, in the kernel too: what is said of drops is exact where none fails.
func (m *ledgerModel) noteLetIn() {
	for k := range m.dropped {
		v, present := m.kernel.entries[k]
		if m.kernel.failed && present {
			v.Dropped = 0
			m.kernel.entries[k] = v
		}
		if !present || v.Dropped == 0 {
			delete(m.dropped, k)
		}
	}
	clear(m.letIn)
}

func name(k clientKey) string { return fmt.Sprintf("%s:%d ", byAddress.prefix(k).Addr(), k.Port) }
