package server

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/equic-bench/equic-bench/equic"
	"github.com/equic-bench/equic-bench/equic/quicguard"
)

// firewall keeps the clients that are at their quota in an nftables set. A rule drops
// their packets to the server's port. This is the alternative without eBPF. A change of
// the set takes one or more system calls. IPv4 only.
type firewall struct {
	*quicguard.UserSpace
	quota int
	rules *nftables.Conn
	table *nftables.Table
	chain *nftables.Chain
	set   *nftables.Set

	mu      sync.Mutex // guards the fields below, and the use of rules
	blocked map[netip.Addr]bool
}

var _ dropper = (*firewall)(nil)

// newFirewall makes the table in the calling thread's network namespace. Without Close,
// the table lives as long as the namespace.
func newFirewall(port uint16, quota int) (*firewall, error) {
	rules, err := nftables.New(nftables.AsLasting())
	if err != nil {
		return nil, fmt.Errorf("reach nftables: %w", err)
	}
	if _, err := rules.ListTables(); err != nil { // without nftables, a batch would wait forever
		return nil, errors.Join(fmt.Errorf("list the tables of nftables: %w", err), rules.CloseLasting())
	}
	f := &firewall{
		UserSpace: quicguard.NewUserSpace(quota), quota: quota, rules: rules, blocked: make(map[netip.Addr]bool),
	}
	f.table = &nftables.Table{Family: nftables.TableFamilyIPv4, Name: "equic"}
	rules.AddTable(f.table)
	rules.DelTable(f.table) // the table of a server that was killed
	rules.AddTable(f.table)
	f.set = &nftables.Set{Table: f.table, Name: "blocked", KeyType: nftables.TypeIPAddr}
	if err := rules.AddSet(f.set, nil); err != nil {
		return nil, errors.Join(fmt.Errorf("make a set of nftables: %w", err), rules.CloseLasting())
	}
	f.chain = rules.AddChain(&nftables.Chain{
		Name: "prerouting", Table: f.table, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookPrerouting,
		Priority: nftables.ChainPriorityRaw,
	})
	toPort := []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_UDP}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(port)},
	}
	f.add(append(toPort, &expr.Counter{}))
	f.add(append(toPort,
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 12, Len: 4},
		&expr.Lookup{SourceRegister: 1, SetName: f.set.Name, SetID: f.set.ID},
		&expr.Counter{},
		&expr.Verdict{Kind: expr.VerdictDrop}))
	if err := rules.Flush(); err != nil {
		return nil, errors.Join(fmt.Errorf("make rules of nftables: %w", err), rules.CloseLasting())
	}
	return f, nil
}

// add adds a rule. Its counter counts the packets that reach the counter.
func (f *firewall) add(what []expr.Any) {
	f.rules.AddRule(&nftables.Rule{Table: f.table, Chain: f.chain, Exprs: what})
}

func (f *firewall) TryInc(port uint16, client netip.Addr) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	admitted, err := f.UserSpace.TryInc(port, client)
	if err != nil {
		return admitted, err
	}
	return admitted, f.update(port, client)
}

func (f *firewall) Dec(port uint16, client netip.Addr) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.UserSpace.Dec(port, client); err != nil {
		return err
	}
	return f.update(port, client)
}

// update adds a client to the set, or removes it. Callers hold mu.
func (f *firewall) update(port uint16, client netip.Addr) error {
	block := f.Count(port, client) >= f.quota
	if block == f.blocked[client] {
		return nil
	}
	element := []nftables.SetElement{{Key: client.Unmap().AsSlice()}}
	change := f.rules.SetDeleteElements
	if block {
		change = f.rules.SetAddElements
	}
	if err := errors.Join(change(f.set, element), f.rules.Flush()); err != nil {
		return fmt.Errorf("change the set of nftables: %w", err)
	}
	if block {
		f.blocked[client] = true
	} else {
		delete(f.blocked, client)
	}
	return nil
}

// Mode returns the name of the place.
func (*firewall) Mode() equic.Mode { return "nftables" }

// Stats returns the packets to the port, as counted by the rules.
func (f *firewall) Stats() (equic.Stats, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	rules, err := f.rules.GetRules(f.table, f.chain)
	if err != nil {
		return equic.Stats{}, fmt.Errorf("read the rules of nftables: %w", err)
	}
	var counted []uint64
	for _, r := range rules {
		for _, e := range r.Exprs {
			if c, ok := e.(*expr.Counter); ok {
				counted = append(counted, c.Packets)
			}
		}
	}
	if len(counted) != 2 {
		return equic.Stats{}, fmt.Errorf("nftables has %d counters, not 2", len(counted))
	}
	seen, dropped := counted[0], counted[1]
	return equic.Stats{Counts: equic.Counts{
		Seen: seen, Passed: seen - dropped, Dropped: dropped, Packets: map[string]uint64{equic.DropOverQuota: dropped},
	}}, nil
}

// MeasureDrop reports no cost: the kernel has no test run for nftables rules.
func (*firewall) MeasureDrop(context.Context) (equic.DropCost, error) { return equic.DropCost{}, nil }

// Close removes the table.
func (f *firewall) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules.DelTable(f.table)
	return errors.Join(f.rules.Flush(), f.rules.CloseLasting())
}
