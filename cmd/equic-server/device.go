package main

import (
	"fmt"
	"net"
	"net/netip"
)

// device returns the name of the interface that has this address. A name that
// is not an address is returned as it is.
func device(name string) (string, error) {
	address, err := netip.ParseAddr(name)
	if err != nil {
		return name, nil //nolint:nilerr // it is a name
	}
	all, err := net.Interfaces()
	if err != nil {
		return "", fmt.Errorf("--interface %s: %w", name, err)
	}
	for _, i := range all {
		addresses, err := i.Addrs()
		if err != nil {
			return "", fmt.Errorf("--interface %s: read the addresses of %s: %w", name, i.Name, err)
		}
		for _, a := range addresses {
			if prefix, err := netip.ParsePrefix(a.String()); err == nil && prefix.Addr() == address {
				return i.Name, nil
			}
		}
	}
	return "", fmt.Errorf("--interface %s: no interface has this address", name)
}
