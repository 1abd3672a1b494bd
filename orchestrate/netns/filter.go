package netns

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/equic-bench/equic-bench/orchestrate"
)

// The first byte of what opens a connection, under a mask: the long headers of an
// Initial of either version of QUIC, and of 0-RTT of version 1 (RFC 9000, 17.2; RFC 9369,
// 3.2). A Retry of version 2 has the same bits; no client sends one.
const (
	openingMask   = 0xe0
	openingHeader = 0xc0
)

// The clients that the filter remembers, and for how long at least after their last
// packet.
const (
	filterClients = 65536
	filterMemory  = 10 * time.Second
)

// register is the register of nftables that all expressions use.
const register = 1

// addFilter adds the rules of a filter to a namespace. They end with it.
func addFilter(ns netns.NsHandle, f orchestrate.Filter) error {
	rules, err := nftables.New(nftables.WithNetNSFd(int(ns)), nftables.AsLasting())
	if err != nil {
		return fmt.Errorf("reach nftables: %w", err)
	}
	defer func() { _ = rules.CloseLasting() }()
	if _, err := rules.ListTables(); err != nil { // without nftables, a batch would wait forever
		return fmt.Errorf("list the tables of nftables: %w", err)
	}
	table := rules.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: "equic-bench"})
	chain := rules.AddChain(&nftables.Chain{
		Name: "prerouting", Table: table, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookPrerouting,
		Priority: nftables.ChainPriorityRaw,
	})
	add := func(exprs ...expr.Any) {
		exprs = append(exprs, &expr.Counter{}, &expr.Verdict{Kind: expr.VerdictDrop})
		rules.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: exprs})
	}
	for _, prefix := range f.Deny {
		add(append(toPort(f.Port), familyOf(prefix.Addr()).matchPrefix(prefix)...)...)
	}
	if f.Packets > 0 {
		for _, family := range families {
			limit, err := family.limit(rules, table, f)
			if err != nil {
				return err
			}
			add(append(append(toPort(f.Port), opening()...), limit...)...)
		}
	}
	if err := rules.Flush(); err != nil {
		return fmt.Errorf("make the rules of nftables: %w", err)
	}
	return nil
}

// toPort matches UDP packets to a port that arrive on the node's interface: the probe's own
// packets arrive on another one.
func toPort(port int) []expr.Any {
	const nameBytes = 16
	name := append([]byte(nodeInterface), make([]byte, nameBytes-len(nodeInterface))...)
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: register},
		equals(name...),
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: register},
		equals(unix.IPPROTO_UDP),
		&expr.Payload{DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		equals(binaryutil.BigEndian.PutUint16(uint16(port))...),
	}
}

// opening matches packets that open a connection.
func opening() []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: 8, Len: 1},
		&expr.Bitwise{SourceRegister: register, DestRegister: register, Len: 1, Mask: []byte{openingMask}, Xor: []byte{0}},
		equals(openingHeader),
	}
}

func equals(data ...byte) expr.Any {
	return &expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: data}
}

// family is a version of IP: its number in nftables, where a packet has its source
// address, and the bits of it that make a client.
type family struct {
	name    string
	number  byte
	key     nftables.SetDatatype
	offset  uint32
	bytes   int
	perBits int
}

var families = []family{
	{"clients4", unix.NFPROTO_IPV4, nftables.TypeIPAddr, 12, 4, 32},
	{"clients6", unix.NFPROTO_IPV6, nftables.TypeIP6Addr, 8, 16, 64},
}

func familyOf(a netip.Addr) family {
	if a.Is4() {
		return families[0]
	}
	return families[1]
}

// source loads the first bits of a packet's source address.
func (f family) source(bits int) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: register},
		equals(f.number),
		&expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: f.offset, Len: uint32(f.bytes)},
		&expr.Bitwise{
			SourceRegister: register, DestRegister: register, Len: uint32(f.bytes), Mask: maskOf(f.bytes, bits),
			Xor: make([]byte, f.bytes),
		},
	}
}

func maskOf(bytes, bits int) []byte {
	mask := make([]byte, bytes)
	for i := range bits {
		mask[i/8] |= 0x80 >> (i % 8)
	}
	return mask
}

// matchPrefix matches the packets from a prefix.
func (f family) matchPrefix(prefix netip.Prefix) []expr.Any {
	return append(f.source(prefix.Bits()), equals(prefix.Masked().Addr().AsSlice()...))
}

// limit matches the packets of a client beyond its rate.
func (f family) limit(rules *nftables.Conn, table *nftables.Table, of orchestrate.Filter) ([]expr.Any, error) {
	full := of.Per * time.Duration(of.Burst) / time.Duration(of.Packets) // until all tokens are back
	set := &nftables.Set{
		Table: table, Name: f.name, KeyType: f.key, Dynamic: true, HasTimeout: true, Timeout: max(filterMemory, full),
		Size: filterClients,
	}
	if err := rules.AddSet(set, nil); err != nil {
		return nil, fmt.Errorf("make a set of nftables: %w", err)
	}
	return append(f.source(f.perBits), &expr.Dynset{
		SrcRegKey: register, SetName: set.Name, SetID: set.ID, Operation: uint32(unix.NFT_DYNSET_OP_UPDATE),
		Exprs: []expr.Any{
			&expr.Limit{
				Type: expr.LimitTypePkts, Rate: of.Packets, Unit: expr.LimitTime(of.Per.Seconds()), Burst: uint32(of.Burst), Over: true,
			},
		},
	}), nil
}
