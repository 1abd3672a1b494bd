package client

import (
	"net"
	"testing"
)

func TestAClientIsForServersOfItsOwnMachineOrTrial(t *testing.T) {
	for _, c := range []struct {
		address, node string
		allowed       bool
	}{
		{"127.0.0.1:4433", "", true},
		{"[::1]:4433", "", true},
		{"172.31.99.2:4433", "sequential-1", true},
		{"172.31.99.2:4433", "", false},
		{"203.0.113.5:4433", "", false},
		{"203.0.113.5:4433", "sequential-1", true},
		{"100.64.0.1:4433", "sequential-1", false},
		{"[fd00:e9:1c:2::1]:4433", "sequential-1", true},
		{"[fd00:e9:1c:2::1]:4433", "", false},
		{"[2001:db8:1::1]:4433", "sequential-1", true},
		{"[2001:db8:1::1]:4433", "", false},
		{"[2001:db9::1]:4433", "sequential-1", false},
		{"[fe80::1]:4433", "sequential-1", false},
		{"[ff02::1]:4433", "sequential-1", false},
	} {
		server, err := net.ResolveUDPAddr("udp", c.address)
		if err != nil {
			t.Fatal(err)
		}
		o := Options{Node: c.node}
		if err := o.checkTarget(server); (err == nil) != c.allowed {
			t.Errorf("%s from node %q: error %v", c.address, c.node, err)
		}
	}
}
