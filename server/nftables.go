package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/equic-bench/equic-bench/equic"
	"github.com/equic-bench/equic-bench/equic/quicguard"
	"github.com/equic-bench/equic-bench/record"
)

// firewall keeps the clients that are at their quota in an nftables set, one for each version
// of IP. A rule drops their packets to the server's port. This is the alternative without
// eBPF. A change of a set takes one or more system calls.
type firewall struct {
	*quicguard.UserSpace
	quota      int
	rules      *nftables.Conn
	ipv4, ipv6 *ruleset // nil if the server does not listen on it

	mu      sync.Mutex // guards the fields below, and the use of rules
	blocked map[netip.Addr]bool
}

// ruleset is the table of one version of IP.
type ruleset struct {
	table *nftables.Table
	chain *nftables.Chain
	set   *nftables.Set
}

var _ dropper = (*firewall)(nil)

// newFirewall makes the tables in the calling thread's network namespace. Without Close,
// they live as long as the namespace.
func newFirewall(port uint16, quota int, family record.Family) (*firewall, error) {
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
	if family.Has4() {
		f.ipv4, err = f.makeRules(port, nftables.TableFamilyIPv4, nftables.TypeIPAddr, ipv4Source())
	}
	if family.Has6() && err == nil {
		f.ipv6, err = f.makeRules(port, nftables.TableFamilyIPv6, nftables.TypeIP6Addr, ipv6Source())
	}
	if err == nil {
		err = rules.Flush()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make rules of nftables: %w", err), rules.CloseLasting())
	}
	return f, nil
}

// ipv4Source loads the source address of a packet.
func ipv4Source() []expr.Any {
	return []expr.Any{&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 12, Len: 4}}
}

// ipv6Source loads the first address of the prefix that is the packet's client.
func ipv6Source() []expr.Any {
	const bytes = net.IPv6len
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 8, Len: bytes},
		&expr.Bitwise{
			SourceRegister: 1, DestRegister: 1, Len: bytes,
			Mask: net.CIDRMask(equic.DefaultIPv6Prefix, 8*bytes), Xor: make([]byte, bytes),
		},
	}
}

// makeRules adds the table of one version of IP to the next batch. source loads the client of
// a packet into register 1.
func (f *firewall) makeRules(
	port uint16, family nftables.TableFamily, client nftables.SetDatatype, source []expr.Any,
) (*ruleset, error) {
	r := &ruleset{table: &nftables.Table{Family: family, Name: "equic"}}
	f.rules.AddTable(r.table)
	f.rules.DelTable(r.table) // the table of a server that was killed
	f.rules.AddTable(r.table)
	r.set = &nftables.Set{Table: r.table, Name: "blocked", KeyType: client}
	if err := f.rules.AddSet(r.set, nil); err != nil {
		return nil, err
	}
	r.chain = f.rules.AddChain(&nftables.Chain{
		Name: "prerouting", Table: r.table, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookPrerouting,
		Priority: nftables.ChainPriorityRaw,
	})
	toPort := []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_UDP}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(port)},
	}
	f.add(r, toPort, []expr.Any{&expr.Counter{}})
	f.add(r, toPort, source, []expr.Any{
		&expr.Lookup{SourceRegister: 1, SetName: r.set.Name, SetID: r.set.ID},
		&expr.Counter{},
		&expr.Verdict{Kind: expr.VerdictDrop},
	})
	return r, nil
}

// add adds a rule. Its counter counts the packets that reach the counter.
func (f *firewall) add(r *ruleset, parts ...[]expr.Any) {
	f.rules.AddRule(&nftables.Rule{Table: r.table, Chain: r.chain, Exprs: slices.Concat(parts...)})
}

// rulesets returns those of the server's versions of IP.
func (f *firewall) rulesets() []*ruleset {
	return slices.DeleteFunc([]*ruleset{f.ipv4, f.ipv6}, func(r *ruleset) bool { return r == nil })
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
	block, key := f.Count(port, client) >= f.quota, clientOf(client)
	if block == f.blocked[key] {
		return nil
	}
	of := f.ipv4
	if key.Is6() {
		of = f.ipv6
	}
	if of == nil {
		return fmt.Errorf("no set of nftables for %s: the server does not listen on its version of IP", client)
	}
	element := []nftables.SetElement{{Key: key.AsSlice()}}
	change := f.rules.SetDeleteElements
	if block {
		change = f.rules.SetAddElements
	}
	if err := errors.Join(change(of.set, element), f.rules.Flush()); err != nil {
		return fmt.Errorf("change the set of nftables: %w", err)
	}
	if block {
		f.blocked[key] = true
	} else {
		delete(f.blocked, key)
	}
	return nil
}

// clientOf returns an IPv4 address as it is, and the first address of the /64 of an IPv6
// address, as the connections of a client are counted.
func clientOf(address netip.Addr) netip.Addr {
	address = address.Unmap()
	if address.Is4() {
		return address
	}
	return netip.PrefixFrom(address, equic.DefaultIPv6Prefix).Masked().Addr()
}

// Mode returns the name of the place.
func (*firewall) Mode() equic.Mode { return "nftables" }

// Stats returns the packets to the port, as counted by the rules.
func (f *firewall) Stats() (equic.Stats, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var seen, dropped uint64
	for _, r := range f.rulesets() {
		s, d, err := f.counters(r)
		if err != nil {
			return equic.Stats{}, err
		}
		seen, dropped = seen+s, dropped+d
	}
	return equic.Stats{Counts: equic.Counts{
		Seen: seen, Passed: seen - dropped, Dropped: dropped, Packets: map[string]uint64{equic.DropOverQuota: dropped},
	}}, nil
}

// counters reads the counters of the rules of one version of IP. Callers hold mu.
func (f *firewall) counters(r *ruleset) (seen, dropped uint64, err error) {
	rules, err := f.rules.GetRules(r.table, r.chain)
	if err != nil {
		return 0, 0, fmt.Errorf("read the rules of nftables: %w", err)
	}
	var counted []uint64
	for _, rule := range rules {
		for _, e := range rule.Exprs {
			if c, ok := e.(*expr.Counter); ok {
				counted = append(counted, c.Packets)
			}
		}
	}
	if len(counted) != 2 {
		return 0, 0, fmt.Errorf("nftables has %d counters, not 2", len(counted))
	}
	return counted[0], counted[1], nil
}

// MeasureDrop reports no cost: the kernel has no test run for nftables rules.
func (*firewall) MeasureDrop(context.Context) (equic.DropCost, error) { return equic.DropCost{}, nil }

// Close removes the tables.
func (f *firewall) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.rulesets() {
		f.rules.DelTable(r.table)
	}
	return errors.Join(f.rules.Flush(), f.rules.CloseLasting())
}
