package client

import (
	"fmt"
	"net"
	"net/netip"
)

// checkTarget refuses servers elsewhere. A client on its own is for addresses of this
// machine, and a node of a trial also for the trial's private network, or a
// documentation network (RFC 5737, RFC 3849), as tests have. A private network is one of
// RFC 1918, or a unique local one (RFC 4193).
func (o *Options) checkTarget(server *net.UDPAddr) error {
	address := server.AddrPort().Addr().Unmap()
	ofTrial := address.IsPrivate()
	for _, network := range []string{"192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32"} {
		ofTrial = ofTrial || netip.MustParsePrefix(network).Contains(address)
	}
	if address.IsLoopback() || o.Node != "" && ofTrial {
		return nil
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		return fmt.Errorf("list the addresses of this machine: %w", err)
	}
	for _, a := range own {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil && prefix.Addr() == address {
			return nil
		}
	}
	return fmt.Errorf("server %s is not an address of this machine: a client is for servers that run here, or in "+
		"its own trial", server)
}
