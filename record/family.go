package record

import "fmt"

// Family is the version of IP in a trial's network. Empty is FamilyIPv4.
type Family string

// The families. With FamilyBoth each node has an address of both, and the clients of a
// group use them in turn.
const (
	FamilyIPv4 Family = "ipv4"
	FamilyIPv6 Family = "ipv6"
	FamilyBoth Family = "both"
)

// FamilyNames returns the names of all families.
func FamilyNames() []string {
	return []string{string(FamilyIPv4), string(FamilyIPv6), string(FamilyBoth)}
}

// ParseFamily returns the family of that name. Empty is FamilyIPv4.
func ParseFamily(name string) (Family, error) {
	switch f := Family(name); f {
	case "":
		return FamilyIPv4, nil
	case FamilyIPv4, FamilyIPv6, FamilyBoth:
		return f, nil
	}
	return "", fmt.Errorf("unknown family %q: want one of %q", name, FamilyNames())
}

// Has4 reports whether nodes have an IPv4 address.
func (f Family) Has4() bool { return f != FamilyIPv6 }

// Has6 reports whether nodes have an IPv6 address.
func (f Family) Has6() bool { return f == FamilyIPv6 || f == FamilyBoth }

// UsesIPv6 reports whether client i of a group, from zero, reaches the server by IPv6.
func (f Family) UsesIPv6(i int) bool { return f == FamilyIPv6 || f == FamilyBoth && i%2 == 1 }

// UDP returns the network of package net for a server's socket: udp4, udp6, or udp for
// one socket of both versions.
func (f Family) UDP() string {
	switch f {
	case FamilyIPv6:
		return "udp6"
	case FamilyBoth:
		return "udp"
	}
	return "udp4"
}
