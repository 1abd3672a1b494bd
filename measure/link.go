package measure

import (
	"fmt"
	"maps"
	"net"
	"slices"
)

// links returns the state of each interface of this network namespace, by name. It must
// not change while a node runs. It leaves out the loopback, which does not lead to
// other nodes, and IPv6 addresses that are not unique local ones (RFC 4193), which the
// kernel adds and removes by itself.
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
			return ok && ip.IP.To4() == nil && !ip.IP.IsPrivate()
		})
		states[i.Name] = fmt.Sprint(i.Index, i.MTU, i.Flags&net.FlagUp, addresses)
	}
	return states, nil
}

// lostLinks returns the names, sorted, of the interfaces that are gone or have changed.
// New ones don't matter.
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
