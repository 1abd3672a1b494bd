package equic

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
)

// Defaults of NetworkLimits.
const (
	DefaultIPv4Network = 24 // bits: the longest prefix that is routed on the Internet
	DefaultIPv6Network = 48 // bits: what a provider assigns to one site
)

// NetworkLimits limit the connections of a whole network, in addition to those of each of its
// clients. Otherwise the owner of an IPv6 /48 counts as 65,536 clients.
type NetworkLimits struct {
	// Quota is the number of connections that a network may have at each port. If a network
	// has that many, its packets that open a connection are dropped, under both policies: its
	// clients may be unrelated. Zero is no limit.
	Quota int
	// IPv4Prefix and IPv6Prefix are the lengths of the prefixes that distinguish networks, in
	// bits. Zero is DefaultIPv4Network and DefaultIPv6Network, but no more than a client's.
	IPv4Prefix, IPv6Prefix int
}

func (l NetworkLimits) complete(o *Options) NetworkLimits {
	if l.Quota == 0 {
		return NetworkLimits{}
	}
	if l.IPv4Prefix == 0 {
		l.IPv4Prefix = min(DefaultIPv4Network, o.IPv4Prefix)
	}
	if l.IPv6Prefix == 0 {
		l.IPv6Prefix = min(DefaultIPv6Network, o.IPv6Prefix)
	}
	return l
}

func (l NetworkLimits) validate(o *Options) error {
	if l.Quota == 0 {
		return nil
	}
	if err := validQuota(l.Quota); err != nil {
		return fmt.Errorf("networks: %w", err)
	}
	for _, of := range []struct {
		ip              string
		network, client int
	}{{"IPv4", l.IPv4Prefix, o.IPv4Prefix}, {"IPv6", l.IPv6Prefix, o.IPv6Prefix}} {
		if of.network < 1 || of.network > of.client {
			return fmt.Errorf("%s prefix of networks is %d: give 1 to %d bits, no more than a client's", of.ip, of.network, of.client)
		}
	}
	return nil
}

// counts are the tables in which a connection is counted: that of clients, and that of their
// networks unless it is nil.
type counts struct{ clients, networks *table }

func (c counts) inc(port uint16, addr netip.Addr) error {
	err := c.clients.inc(port, addr)
	if err != nil || c.networks == nil {
		return err
	}
	if err = c.networks.inc(port, addr); err != nil {
		err = errors.Join(err, c.clients.dec(port, addr))
	}
	return err
}

func (c counts) tryInc(port uint16, addr netip.Addr) (admitted bool, err error) {
	if c.networks == nil {
		return c.clients.tryInc(port, addr)
	}
	// The network first: a count that it takes back leaves no trace, as it has no hold-down.
	if admitted, err = c.networks.tryInc(port, addr); !admitted {
		return false, err
	}
	if admitted, err = c.clients.tryInc(port, addr); !admitted {
		err = errors.Join(err, c.networks.dec(port, addr))
	}
	return admitted, err
}

func (c counts) dec(port uint16, addr netip.Addr) error {
	err := c.clients.dec(port, addr)
	if err == nil && c.networks != nil {
		err = c.networks.dec(port, addr)
	}
	return err
}

func (c counts) claim(port uint16, addr netip.Addr) bool {
	if !c.clients.claim(port, addr) {
		return false
	}
	if c.networks != nil && !c.networks.claim(port, addr) {
		_ = c.networks.inc(port, addr) // without room for it, the network is not limited
	}
	return true
}

// begin counts a handshake. It counts towards the quota of its network once it is complete.
func (c counts) begin(port uint16, from netip.AddrPort, validated, allowed bool) (Handshake, error) {
	if !validated && c.clients.isFlooded() {
		var p place
		if err := c.clients.lock(&p, port, from.Addr()); err != nil {
			return nil, fmt.Errorf("begin a handshake of %s: %w", from.Addr(), err)
		}
		p.mu.Unlock()
		return &unbegun{counts: c, port: port, addr: from.Addr(), allowed: allowed}, nil
	}
	h, err := c.clients.begin(port, from, validated, allowed)
	if err != nil {
		return nil, err
	}
	if c.networks == nil {
		return h, nil
	}
	return &networkHandshake{Handshake: h, networks: c.networks, port: port, addr: from.Addr(), allowed: allowed}, nil
}

// each calls do with each table.
func (c counts) each(do func(*table)) {
	do(c.clients)
	if c.networks != nil {
		do(c.networks)
	}
}

// networkHandshake is a handshake whose connection counts in its network, too.
type networkHandshake struct {
	Handshake
	networks *table
	port     uint16
	addr     netip.Addr
	allowed  bool

	mu      sync.Mutex
	counted bool // in the network
}

func (h *networkHandshake) Complete() (admitted bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.counted {
		return h.Handshake.Complete()
	}
	if h.allowed {
		err = h.networks.inc(h.port, h.addr)
		admitted = err == nil
	} else {
		admitted, err = h.networks.tryInc(h.port, h.addr)
	}
	if !admitted {
		h.Handshake.Close()
		return false, err
	}
	if h.counted, err = h.Handshake.Complete(); !h.counted {
		_ = h.networks.dec(h.port, h.addr) // it is counted, or the table is closed
	}
	return h.counted, err
}

func (h *networkHandshake) Close() { h.end(h.Handshake.Close) }

func (h *networkHandshake) Cancel() { h.end(h.Handshake.Cancel) }

func (h *networkHandshake) end(how func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	how()
	if h.counted {
		h.counted = false
		_ = h.networks.dec(h.port, h.addr) // it is counted, unless Dec has released it already
	}
}
