package quicguard

import (
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"sync"

	"github.com/equic-bench/equic-bench/equic"
)

// UserSpace is a Counter without a kernel: the quota of a listener that has no
// gateway. Clients are told apart as a gateway does by default: IPv4 by the
// address, IPv6 by the /64. Its methods may be called from any goroutine.
type UserSpace struct {
	quota int

	mu     sync.Mutex
	counts map[portClient]int
}

type portClient struct {
	port   uint16
	prefix netip.Prefix
}

// NewUserSpace makes a counter that admits quota connections of each client of
// each port; zero admits nobody. Clients are told apart by the default prefixes.
func NewUserSpace(quota int) *UserSpace {
	return &UserSpace{quota: quota, counts: make(map[portClient]int)}
}

// TryInc counts a connection if its client is below the quota. An address that
// is not valid is an error.
func (u *UserSpace) TryInc(port uint16, client netip.Addr) (admitted bool, err error) {
	k, err := keyOf(port, client)
	if err != nil {
		return false, fmt.Errorf("count a connection: %w", err)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.counts[k] >= u.quota {
		return false, nil
	}
	u.counts[k]++
	return true, nil
}

// Dec counts one connection less. It is an error if the client has none.
func (u *UserSpace) Dec(port uint16, client netip.Addr) error {
	k, err := keyOf(port, client)
	if err != nil {
		return fmt.Errorf("release a connection: %w", err)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	switch u.counts[k] {
	case 0:
		return fmt.Errorf("release a connection of %s: it has none", client)
	case 1:
		delete(u.counts, k)
	default:
		u.counts[k]--
	}
	return nil
}

// Count is how many connections of a client of a port are counted.
func (u *UserSpace) Count(port uint16, client netip.Addr) int {
	k, err := keyOf(port, client)
	if err != nil {
		return 0
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.counts[k]
}

// Clients iterates over a copy of who has connections at the time of the call,
// in no order. None is blocked: that is the kernel's.
func (u *UserSpace) Clients() iter.Seq[equic.Client] {
	u.mu.Lock()
	defer u.mu.Unlock()
	list := make([]equic.Client, 0, len(u.counts))
	for k, n := range u.counts {
		list = append(list, equic.Client{Prefix: k.prefix, Port: k.port, Connections: n})
	}
	return slices.Values(list)
}

func keyOf(port uint16, client netip.Addr) (portClient, error) {
	client = client.Unmap().WithZone("")
	bits := equic.DefaultIPv6Prefix
	if client.Is4() {
		bits = equic.DefaultIPv4Prefix
	}
	prefix, err := client.Prefix(bits)
	if err == nil && !prefix.IsValid() {
		err = errors.New("the address is not valid")
	}
	return portClient{port: port, prefix: prefix}, err
}
