//go:build linux && !mips && !mips64 && !ppc64 && !s390x

package equic

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
)

// layout is the version of the maps and of pinState. Increase it if a program cannot use
// the maps of earlier versions.
const layout = 2

// pinState is what a successor needs besides the maps.
type pinState struct {
	Layout       int     `json:"layout"`
	Mode         Mode    `json:"mode"`
	MaxClients   int     `json:"max_clients"`
	MaxPrefixes  int     `json:"max_prefixes"`
	IPv4Prefix   int     `json:"ipv4_prefix"`
	IPv6Prefix   int     `json:"ipv6_prefix"`
	HashKey      hashKey `json:"hash_key"`
	GivenPorts   []Port  `json:"given_ports"` // Options.Ports
	Ports        []Port  `json:"ports"`       // the same, with the limits in force
	GivenMonitor bool    `json:"given_monitor"`
	Monitor      bool    `json:"monitor"`
	Owners       int     `json:"owners"` // processes that have counts: Gateway.SetOwners

	Networks NetworkLimits `json:"networks"` // the quota may change, but not to or from zero
}

func readState(m *ebpf.Map) (now pinState, err error) {
	if m.ValueSize() != stateBytes || m.MaxEntries() != stateEntries {
		return now, fmt.Errorf("it has %d entries of %d bytes", m.MaxEntries(), m.ValueSize())
	}
	text := make([]byte, stateBytes)
	if err := m.Lookup(uint32(stateText), &text); err != nil {
		return now, err
	}
	return now, json.Unmarshal(text[:slices.Index(append(text, 0), 0)], &now)
}

// isLapsed reports whether a gateway has had no owner for longer than ownedFor.
func isLapsed(m *ebpf.Map) (bool, error) {
	value := make([]byte, stateBytes)
	if err := m.Lookup(uint32(stateOwned), &value); err != nil {
		return false, err
	}
	now, err := monotonic()
	return binary.NativeEndian.Uint64(value) < now, err
}

// refuse returns the error of a gateway that cannot be taken over.
func (p *pin) refuse(format string, args ...any) error {
	return fmt.Errorf("%w: the one in %s: %w; remove it (`equic-gateway unpin` or equic.Unpin), or give another folder",
		ErrPinned, p.dir, fmt.Errorf(format, args...))
}

// check refuses options that do not match the gateway in the folder. It replaces Auto with
// the gateway's mode.
func (p *pin) check(o *Options) error {
	if p.state == nil {
		return nil
	}
	now := &p.now
	if now.Layout != layout {
		return p.refuse("its layout is version %d, and this program's is %d", now.Layout, layout)
	}
	if o.Mode != Auto && o.Mode != now.Mode {
		return p.refuse("its mode is %s, not %s", now.Mode, o.Mode)
	}
	o.Mode = now.Mode
	if (now.Networks.Quota == 0) != (o.Networks.Quota == 0) {
		return p.refuse("its quota of networks is %d, not %d: it cannot be turned on or off",
			now.Networks.Quota, o.Networks.Quota)
	}
	for _, size := range []struct {
		what     string
		is, want int
	}{
		{"max clients", now.MaxClients, o.MaxClients},
		{"max prefixes", now.MaxPrefixes, o.MaxPrefixes},
		{"IPv4 prefix", now.IPv4Prefix, o.IPv4Prefix},
		{"IPv6 prefix", now.IPv6Prefix, o.IPv6Prefix},
		{"IPv4 prefix of networks", now.Networks.IPv4Prefix, o.Networks.IPv4Prefix},
		{"IPv6 prefix of networks", now.Networks.IPv6Prefix, o.Networks.IPv6Prefix},
	} {
		if size.is != size.want {
			return p.refuse("its %s is %d, not %d", size.what, size.is, size.want)
		}
	}
	same := func(a, b Port) bool { return a.Number == b.Number && a.Policy == b.Policy }
	if !slices.EqualFunc(now.GivenPorts, o.Ports, same) {
		return p.refuse("its ports or their policies differ: %s", portNumbers(now.GivenPorts))
	}
	return nil
}

func portNumbers(ports []Port) string {
	var names []string
	for _, p := range ports {
		names = append(names, fmt.Sprintf("%d (%s)", p.Number, p.Policy))
	}
	return strings.Join(names, ", ")
}

// carryOver sets each limit that was changed while the predecessor ran, unless its option
// differs from this one. The new state is then that of these options.
func (p *pin) carryOver(o *Options, key hashKey) {
	now := pinState{
		Layout: layout, Mode: o.Mode, MaxClients: o.MaxClients, MaxPrefixes: o.MaxPrefixes, IPv4Prefix: o.IPv4Prefix,
		IPv6Prefix: o.IPv6Prefix, HashKey: key, Networks: o.Networks,
		GivenPorts: slices.Clone(o.Ports), GivenMonitor: o.Monitor,
	}
	if p.state != nil {
		for i := range o.Ports {
			given, now, port := p.now.GivenPorts[i], p.now.Ports[i], &o.Ports[i]
			if given.InitialsPerSecond == port.InitialsPerSecond && given.Burst == port.Burst {
				port.InitialsPerSecond, port.Burst = now.InitialsPerSecond, now.Burst
			}
			if given.Quota == port.Quota {
				port.Quota = now.Quota
			}
		}
		if p.now.GivenMonitor == o.Monitor {
			o.Monitor = p.now.Monitor
		}
	}
	now.Ports, now.Monitor = o.Ports, o.Monitor
	p.now = now
}

// save writes the state. The first call makes the pinned gateway complete.
func (p *pin) save() error {
	if p == nil {
		return nil
	}
	text, err := json.Marshal(p.now)
	if err != nil {
		return err
	}
	if len(text) > stateBytes {
		return fmt.Errorf("the state has %d bytes, more than %d", len(text), stateBytes)
	}
	if err := p.state.Put(uint32(stateText), append(text, make([]byte, stateBytes-len(text))...)); err != nil {
		return fmt.Errorf("write the state in %s: %w", p.dir, err)
	}
	if p.state.IsPinned() {
		return nil
	}
	return p.state.Pin(filepath.Join(p.dir, stateFile))
}
