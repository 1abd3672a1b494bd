package equic

import (
	"fmt"
	"net/netip"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// fakeMap is the kernel's map, with its limit and its errors.
type fakeMap struct {
	limit   int
	entries map[clientKey]clientValue
	broken  error
	puts    int
}

func newFakeMap(limit int) *fakeMap {
	return &fakeMap{limit: limit, entries: make(map[clientKey]clientValue)}
}

func (m *fakeMap) put(keys []clientKey, values []clientValue) (int, error) {
	m.puts++
	for i, k := range keys {
		if m.broken != nil {
			return i, m.broken
		}
		if _, present := m.entries[k]; !present && len(m.entries) == m.limit {
			return i, fmt.Errorf("update: %w", unix.E2BIG)
		}
		m.entries[k] = values[i]
	}
	return len(keys), nil
}

func (m *fakeMap) delete(k clientKey) error {
	if m.broken != nil {
		return m.broken
	}
	if _, present := m.entries[k]; !present {
		return fmt.Errorf("delete: %w", ebpf.ErrKeyNotExist)
	}
	delete(m.entries, k)
	return nil
}

func (m *fakeMap) dropped(k clientKey) (bool, error) {
	v, present := m.entries[k]
	if !present {
		return false, ebpf.ErrKeyNotExist
	}
	return v.Dropped != 0, nil
}

// drop is what the program does when it drops the first packet of a client.
func (m *fakeMap) drop(addr netip.Addr) {
	k := byAddress.key(serverPort, addr)
	v := m.entries[k]
	v.Dropped = 1
	m.entries[k] = v
}

// counts are the map's entries by address.
func (m *fakeMap) counts() map[string]uint32 {
	counts := make(map[string]uint32)
	for k, v := range m.entries {
		counts[netip.AddrFrom16(k.Prefix).Unmap().String()] = v.Connections
	}
	return counts
}

// portLedger is a ledger of one port.
type portLedger struct {
	*ledger
	letIn []netip.Prefix
}

func newPortLedger(kernel kernelClients, quota uint32) *portLedger {
	l := new(portLedger)
	l.ledger = newLedger(kernel, byAddress, map[uint16]uint32{serverPort: quota}, func(k clientKey) {
		l.letIn = append(l.letIn, byAddress.prefix(k))
	})
	return l
}

func (l *portLedger) inc(addr netip.Addr) error { return l.ledger.inc(serverPort, addr) }

func (l *portLedger) dec(addr netip.Addr) error { return l.ledger.dec(serverPort, addr) }

func (l *portLedger) count(addr netip.Addr) int { return l.ledger.count(serverPort, addr) }
