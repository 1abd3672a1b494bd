package equic

import (
	"errors"
	"fmt"
	"math"
	"net"
)

// Defaults of Options.
const (
	DefaultQuota      = 5 // the paper's
	DefaultMaxClients = 65536
)

// Mode is where in the receive path the program runs.
type Mode string

// The modes of Options. A gateway's own mode is Native or Generic.
const (
	Native  Mode = "native"  // in the driver, before a packet becomes an skb (on veth it is one already)
	Generic Mode = "generic" // in the network stack; any interface, but sees unsegmented GSO packets
	Auto    Mode = "auto"    // Native where the driver has it, else Generic
)

// ParseMode reads a mode's name; the empty name is Native.
func ParseMode(name string) (Mode, error) {
	switch m := Mode(name); m {
	case "":
		return Native, nil
	case Native, Generic, Auto:
		return m, nil
	}
	return "", fmt.Errorf("mode is %q: give %s, %s or %s", name, Native, Generic, Auto)
}

// String is the mode's name, as in Options.
func (m Mode) String() string { return string(m) }

// Options say what Attach protects, and how.
type Options struct {
	// Interface is the name of the interface on which clients' packets
	// arrive, in the caller's network namespace. Required.
	Interface string
	// Port is the server's UDP port. Other ports are not touched. Required.
	Port uint16
	// Quota is how many simultaneous connections a client may have: at this
	// count its packets are dropped. Zero is DefaultQuota.
	Quota int
	// Mode is where the program runs. Empty is Native.
	Mode Mode
	// MaxClients is how many clients the kernel's map holds at once; its
	// memory is taken at the start, about 100 bytes each. Zero is
	// DefaultMaxClients.
	MaxClients int
}

// complete fills in the defaults, then validates.
func (o Options) complete() (Options, error) {
	if o.Quota == 0 {
		o.Quota = DefaultQuota
	}
	if o.MaxClients == 0 {
		o.MaxClients = DefaultMaxClients
	}
	mode, err := ParseMode(string(o.Mode))
	o.Mode = mode
	return o, errors.Join(o.validate(), err)
}

func (o Options) validate() error {
	switch {
	case o.Interface == "":
		return errors.New("no interface given: name the one on which clients arrive, such as eth0")
	case o.Port == 0:
		return errors.New("port is 0: give the server's UDP port, 1 to 65535")
	case o.Quota < 1 || o.Quota > math.MaxInt32:
		return fmt.Errorf("quota is %d: give 1 to %d connections", o.Quota, math.MaxInt32)
	case o.MaxClients < 1 || o.MaxClients > math.MaxInt32:
		return fmt.Errorf("max clients is %d: give 1 to %d", o.MaxClients, math.MaxInt32)
	}
	return nil
}

// findInterface looks an interface up in the caller's network namespace.
func findInterface(name string) (*net.Interface, error) {
	iface, err := net.InterfaceByName(name)
	if err == nil {
		return iface, nil
	}
	all, listErr := net.Interfaces()
	if listErr != nil {
		return nil, errors.Join(err, listErr)
	}
	names := make([]string, len(all))
	for i := range all {
		names[i] = all[i].Name
	}
	return nil, fmt.Errorf("no such interface among %q: %w", names, err)
}
