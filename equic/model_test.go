package equic

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/google/go-cmp/cmp"
)

// tableModel is a table, together with its model: plain counts, in maps.
type tableModel struct {
	*table
	limit   int // of clients
	quota   map[uint16]uint32
	open    map[clientKey]int
	begun   []*modelHandshake
	dropped map[clientKey]bool
	letIn   []clientKey // since the last check
}

// modelHandshake is a handshake, together with its expected state.
type modelHandshake struct {
	*handshake
	key       clientKey
	validated bool
	hello     bool
	complete  bool
	failed    bool
}

var (
	modelPorts   = []uint16{443, 8443}
	modelClients = []netip.Addr{alice, bob, carol, netip.MustParseAddr("192.0.2.12")}
)

func newTableModel(limit int) *tableModel {
	m := &tableModel{
		table:   newTable(make([]group, groupsFor(limit)), limit, byAddress, newHashKey()),
		limit:   limit,
		quota:   map[uint16]uint32{443: 2, 8443: 3},
		open:    map[clientKey]int{},
		dropped: map[clientKey]bool{},
	}
	m.addLimit(443, 1, 2, true)
	m.addLimit(8443, 2, 3, false)
	m.table.letIn = func(k clientKey) { m.letIn = append(m.letIn, k) }
	return m
}

// A state machine of counts, handshakes and drops. No time passes: connections that are
// held down stay so.
func TestTheTableIsWhatItsModelIs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newTableModel(rapid.IntRange(1, 5).Draw(t, "limit"))
		defer m.close()
		t.Repeat(map[string]func(*rapid.T){
			"inc":      m.inc,
			"tryInc":   m.tryInc,
			"dec":      m.dec,
			"begin":    m.begin,
			"hello":    m.onHandshake((*modelHandshake).sayHello),
			"complete": m.onHandshake(m.complete),
			"close":    m.onHandshake(m.end),
			"cancel":   m.onHandshake(m.cancel),
			"setQuota": m.setQuota,
			"drop":     m.drop,
			"move":     m.move,
			"":         m.check,
		})
	})
}

func (m *tableModel) draw(t *rapid.T) (clientKey, netip.Addr) {
	port := rapid.SampledFrom(modelPorts).Draw(t, "port")
	addr := rapid.SampledFrom(modelClients).Draw(t, "client")
	return byAddress.key(port, addr), addr
}

func (m *tableModel) entryOf(k clientKey) (e entry) {
	m.each(func(_ int, other *entry, _ *slot) {
		if other.key == k {
			e = *other
		}
	})
	return e
}

func (m *tableModel) inc(t *rapid.T) {
	k, addr := m.draw(t)
	if err := m.table.inc(k.Port, addr); err == nil {
		m.open[k]++
	} else {
		m.checkFull(t, k, err)
	}
}

func (m *tableModel) tryInc(t *rapid.T) {
	k, addr := m.draw(t)
	before := m.entryOf(k)
	admitted, err := m.table.tryInc(k.Port, addr)
	if err != nil {
		m.checkFull(t, k, err)
		return
	}
	if want := before.open+before.held < m.quota[k.Port]; admitted != want {
		t.Fatalf("admitted %v with %d and %d held of %d", admitted, before.open, before.held, m.quota[k.Port])
	}
	if admitted {
		m.open[k]++
	}
}

// checkFull allows no error other than ErrFull. That is correct only for a client
// without a slot, if all slots are taken.
func (m *tableModel) checkFull(t *rapid.T, k clientKey, err error) {
	if !errors.Is(err, ErrFull) || m.entryOf(k).key == k || m.used() < m.limit {
		t.Fatalf("%v with %d of %d clients", err, m.used(), m.limit)
	}
}

func (m *tableModel) dec(t *rapid.T) {
	k, addr := m.draw(t)
	// A connection that a handshake has completed is released by its Close.
	if m.open[k]-m.completed(k) == 0 {
		return
	}
	if err := m.table.dec(k.Port, addr); err != nil {
		t.Fatal(err)
	}
	m.open[k]--
}

func (m *tableModel) completed(k clientKey) int {
	n := 0
	for _, h := range m.begun {
		if h.key == k && h.complete {
			n++
		}
	}
	return n
}

func (m *tableModel) begin(t *rapid.T) {
	k, addr := m.draw(t)
	validated := rapid.Bool().Draw(t, "validated")
	before := m.entryOf(k)
	must := m.mustValidate(k.Port, addr, false)
	counts := before.open + before.held + before.inProgress()
	if before.proven != forgotten { // this one fills the quota
		counts++
	}
	if want := counts >= m.quota[k.Port]; must != want && before.key == k {
		t.Fatalf("must validate: %v, with %+v of %d", must, before, m.quota[k.Port])
	}
	h, err := m.table.begin(k.Port, netip.AddrPortFrom(addr, 40000), validated, false)
	switch {
	case errors.Is(err, ErrOverQuota):
		if counts := before.admitted() + before.unvalidated; counts < m.quota[k.Port] || !validated && before.proven == 0 {
			t.Fatalf("over quota with %+v of %d", before, m.quota[k.Port])
		}
	case err != nil:
		m.checkFull(t, k, err)
	default:
		if validated && before.admitted() >= m.quota[k.Port] {
			t.Fatalf("begun with %+v of %d", before, m.quota[k.Port])
		}
		m.begun = append(m.begun, &modelHandshake{handshake: h, key: k, validated: validated})
	}
}

func (m *tableModel) onHandshake(do func(*modelHandshake)) func(*rapid.T) {
	return func(t *rapid.T) {
		running := slices.DeleteFunc(slices.Clone(m.begun), func(h *modelHandshake) bool { return h.failed })
		if len(running) > 0 {
			do(rapid.SampledFrom(running).Draw(t, "handshake"))
		}
	}
}

func (h *modelHandshake) sayHello() {
	h.Hello()
	h.hello = true
}

func (m *tableModel) complete(h *modelHandshake) {
	before := h.complete
	if h.complete, _ = h.Complete(); h.complete && !before {
		m.open[h.key]++
	}
	if !h.complete {
		m.forget(h)
	}
}

func (m *tableModel) end(h *modelHandshake) {
	if !h.complete && !h.validated && !h.counted {
		h.failed = true // it stays in progress, since no time passes
		h.Close()
		return
	}
	h.Close()
	m.ended(h)
}

func (m *tableModel) cancel(h *modelHandshake) {
	h.Cancel()
	m.ended(h)
}

func (m *tableModel) ended(h *modelHandshake) {
	if h.complete {
		m.open[h.key]--
	}
	m.forget(h)
}

func (m *tableModel) forget(h *modelHandshake) {
	m.begun = slices.DeleteFunc(m.begun, func(other *modelHandshake) bool { return other == h })
}

func (m *tableModel) setQuota(t *rapid.T) {
	k, _ := m.draw(t)
	quota := rapid.Uint32Range(1, 5).Draw(t, "quota")
	if err := m.table.setQuota(k.Port, quota, func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	m.quota[k.Port] = quota
}

// drop sends a packet of a client. The program drops it if the client is at its quota.
func (m *tableModel) drop(t *rapid.T) {
	k, addr := m.draw(t)
	if s := m.slotOf(k.Port, addr); s != nil && uint32(s.state.Load()) >= m.quota[k.Port] {
		s.state.Store(s.state.Load() | 1<<droppedShift)
		m.dropped[k] = true
	}
}

// move moves a client to its other line, as if its slot were needed.
func (m *tableModel) move(t *rapid.T) {
	k, _ := m.draw(t)
	var p place
	m.locate(&p, k)
	from := m.find(p.hash)
	if from < 0 {
		return
	}
	lines := m.linesOf(p.hash)
	if to := m.makeRoom(p.hash, lines[0]^lines[1]^from/lineSlots, 0); to >= 0 {
		m.table.move(from, to)
	}
}

// check compares the table with the model after every operation.
func (m *tableModel) check(t *rapid.T) {
	var progress HalfOpen
	inProgress := map[clientKey]int{}
	for _, h := range m.begun {
		switch {
		case h.complete:
		case h.validated:
			progress.Validated++
			inProgress[h.key]++
		default:
			progress.Unvalidated++
			inProgress[h.key]++
		}
	}
	if diff := cmp.Diff(progress, m.halfOpenNow()); diff != "" {
		t.Fatalf("in progress (-want +got):\n%s", diff)
	}
	for _, port := range modelPorts {
		for _, addr := range modelClients {
			m.checkClient(t, byAddress.key(port, addr), addr, inProgress)
		}
	}
	if len(m.letIn) > 0 {
		t.Fatalf("let in, and was not dropped: %v", m.letIn)
	}
}

func (m *tableModel) checkClient(t *rapid.T, k clientKey, addr netip.Addr, inProgress map[clientKey]int) {
	who := fmt.Sprintf("%s at %d", addr, k.Port)
	if got := m.count(k.Port, addr); got != m.open[k] {
		t.Fatalf("%s is counted %d times, want %d", who, got, m.open[k])
	}
	var state uint64
	s := m.slotOf(k.Port, addr)
	if s != nil {
		state = s.state.Load()
	}
	e := m.entryOf(k)
	if least, most := m.open[k], m.open[k]+int(e.held)+inProgress[k]; int(uint32(state)) < least || int(uint32(state)) > most {
		t.Fatalf("the kernel has %d of %s, want %d to %d", uint32(state), who, least, most)
	}
	if got := uint32(state >> portsShift & (1<<portBits - 1)); (got == portBit(40000)) != (inProgress[k] > 0) {
		t.Fatalf("the kernel has the ports %b of %s, and %d handshakes are in progress", got, who, inProgress[k])
	}
	if s == nil && m.open[k]+inProgress[k] > 0 {
		t.Fatalf("%s has no place", who)
	}
	// For a client whose packets were dropped, letIn is called once, when they no
	// longer are.
	if m.dropped[k] && uint32(state) < m.quota[k.Port] {
		i := slices.Index(m.letIn, k)
		if i < 0 {
			t.Fatalf("%s was not said to be let in", who)
		}
		m.letIn = slices.Delete(m.letIn, i, i+1)
		m.dropped[k] = false
	}
	if (state>>droppedShift != 0) != m.dropped[k] {
		t.Fatalf("the kernel has %d for the drops of %s, want %v", state>>droppedShift, who, m.dropped[k])
	}
}
