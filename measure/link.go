package measure

import (
	"fmt"
	"maps"
	"net"
	"slices"
)

// links is the state of each interface of this network namespace, by name: what
// must not change while a node runs. The loopback is not a node's way to others,
// and IPv6 takes and gives up addresses by itself.
func links() (map[string]string, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list network interfaces: %w", err)
	}
	states := make(map[string]string, len(interfaces))
	for _, i := range interfaces {
		if i.Flags&net.FlagLoopback != 0 {
			continue
		}
		addresses, err := i.Addrs()
		if err != nil {
			return nil, fmt.Errorf("look at interface %s: %w", i.Name, err)
		}
		addresses = slices.DeleteFunc(addresses, func(a net.Addr) bool {
			ip, ok := a.(*net.IPNet)
			return ok && ip.IP.To4() == nil
		})
		states[i.Name] = fmt.Sprint(i.Index, i.MTU, i.Flags&net.FlagUp, addresses)
	}
	return states, nil
}

// lostLinks names, in order, the interfaces that are gone or are not as they
// were. New ones don't matter.
func lostLinks(was map[string]string) ([]string, error) {
	is, err := links()
	if err != nil {
		return nil, err
	}
	var lost []string
	for _, name := range slices.Sorted(maps.Keys(was)) {
		if is[name] != was[name] {
			lost = append(lost, name)
		}
	}
	return lost, nil
}
