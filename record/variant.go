package record

import (
	"fmt"
	"strings"
)

// Variant is the name of a way to refuse clients: a place and a policy (docs/method.md,
// Variants).
type Variant string

// The variants: first in the order of the paper's figures, then by place from the
// application down to the driver. Except for the first five, a name is the place,
// "-block", and "-new" under policy new.
const (
	NoBlock        Variant = "no-block"
	UserspaceBlock Variant = "userspace-block"
	UserspaceEarly Variant = "userspace-early"
	XDPBlock       Variant = "xdp-block"
	XDPBlockNew    Variant = "xdp-block-new"

	UserspaceRetry    Variant = "userspace-retry"
	AppDropBlock      Variant = "app-drop-block"
	AppDropBlockNew   Variant = "app-drop-block-new"
	SocketBlock       Variant = "socket-block"
	SocketBlockNew    Variant = "socket-block-new"
	NetfilterBlock    Variant = "netfilter-block"
	NetfilterBlockNew Variant = "netfilter-block-new"
	NftablesBlock     Variant = "nftables-block"
	TCBlock           Variant = "tc-block"
	TCBlockNew        Variant = "tc-block-new"
	GenericBlock      Variant = "generic-block"
	GenericBlockNew   Variant = "generic-block-new"

	// The variants of a foreign server: nothing counts its connections, unless it uses the
	// gateway's socket.
	GatewayInFront  Variant = "gateway"
	NftablesInFront Variant = "nftables-limit"
)

// Place is the place in the stack at which a client is refused.
type Place string

// The places, from the application down to the driver.
const (
	PlaceNone      Place = "none"      // every client is admitted
	PlaceLate      Place = "late"      // user space, after the handshake, as in the paper
	PlaceEarly     Place = "early"     // user space, on the first packet, before any crypto
	PlaceRetry     Place = "retry"     // user space, once the address is validated by a Retry
	PlaceAppDrop   Place = "app-drop"  // user space reads the datagram, and drops it before QUIC reads it
	PlaceSocket    Place = "socket"    // the kernel, before the socket's queue
	PlaceNetfilter Place = "netfilter" // the kernel, at the prerouting hook
	PlaceNftables  Place = "nftables"  // the kernel, at the prerouting hook, by a set and a rule, without eBPF
	PlaceTC        Place = "tc"        // the kernel, at the interface's tc ingress
	PlaceGeneric   Place = "generic"   // the kernel, at XDP in its generic form
	PlaceXDP       Place = "xdp"       // the kernel, at XDP in the driver

	// Places in front of a foreign server.
	PlaceGateway       Place = "gateway"        // an equic-gateway, at XDP in the driver
	PlaceNftablesLimit Place = "nftables-limit" // rules of nftables, at the prerouting hook
)

// Drops reports whether our server has packets dropped there before QUIC reads them,
// without any answer. In the other places of user space it refuses.
func (p Place) Drops() bool { return p == PlaceAppDrop || p.InKernel() }

// InFront reports whether the place is in front of a foreign server.
func (p Place) InFront() bool { return p == PlaceGateway || p == PlaceNftablesLimit }

// InKernel reports whether our server has the kernel drop there.
func (p Place) InKernel() bool {
	switch p {
	case PlaceSocket, PlaceNetfilter, PlaceNftables, PlaceTC, PlaceGeneric, PlaceXDP:
		return true
	}
	return false
}

// Policy selects which packets of a client at its quota are refused.
type Policy string

// The policies.
const (
	PolicyNone   Policy = "none"
	PolicyClient Policy = "client" // every packet: Algorithm 1
	PolicyNew    Policy = "new"    // only what opens a connection
)

// VariantSpec is one row of the list of variants: all properties of a variant that the
// scenarios, the server and the report use.
type VariantSpec struct {
	Name   Variant
	Place  Place
	Policy Policy
	Look   Look
}

// Look is the appearance of a variant in figures: its colour (the palette of Okabe and
// Ito, safe for colour-blind readers), and for black and white its dash, mark and
// hatching.
type Look struct {
	Color  [3]uint8  // red, green, blue
	Dashes []float64 // lengths drawn and left out in turn, in points; none is a solid line
	Mark   Mark
	Hollow bool // only the outline of the mark has the colour
	// Size of the mark relative to the others. Curves often coincide: larger marks are
	// drawn first, so that all stay visible.
	Size  float64
	Hatch Hatch
}

// Mark is the shape of a mark.
type Mark string

// The marks.
const (
	Box      Mark = "box"
	Pyramid  Mark = "pyramid"
	Circle   Mark = "circle"
	Wedge    Mark = "wedge" // a pyramid upside down
	Diamond  Mark = "diamond"
	Pentagon Mark = "pentagon"
	Hexagon  Mark = "hexagon"
	Slab     Mark = "slab"   // twice as wide as high
	Pillar   Mark = "pillar" // twice as high as wide
	Right    Mark = "right"  // a pyramid that points to the right
	Left     Mark = "left"   // a pyramid that points to the left
)

// Hatch is a pattern of lines over a bar.
type Hatch string

// The patterns; "" is none.
const (
	Rising  Hatch = "rising"
	Falling Hatch = "falling"
	Crossed Hatch = "crossed"
	Level   Hatch = "level"
)

// variants are all variants. To add one, add a row here and its refusal in the server
// (docs/extending.md).
var variants = []VariantSpec{
	{
		Name: NoBlock, Place: PlaceNone, Policy: PolicyNone,
		Look: Look{Color: [3]uint8{86, 86, 86}, Dashes: []float64{1, 1.6}, Mark: Box, Size: 0.8},
	},
	{
		Name: UserspaceBlock, Place: PlaceLate, Policy: PolicyNew,
		Look: Look{Color: [3]uint8{213, 94, 0}, Dashes: []float64{5, 2}, Mark: Pyramid, Size: 1, Hatch: Rising},
	},
	{
		Name: UserspaceEarly, Place: PlaceEarly, Policy: PolicyNew,
		Look: Look{
			Color: [3]uint8{204, 121, 167}, Dashes: []float64{5, 1.5, 1, 1.5},
			Mark: Pyramid, Hollow: true, Size: 1.45, Hatch: Crossed,
		},
	},
	{
		Name: XDPBlock, Place: PlaceXDP, Policy: PolicyClient,
		Look: Look{Color: [3]uint8{0, 114, 178}, Mark: Circle, Size: 1.25, Hatch: Falling},
	},
	{
		Name: XDPBlockNew, Place: PlaceXDP, Policy: PolicyNew,
		Look: Look{
			Color: [3]uint8{0, 158, 115}, Dashes: []float64{9, 2},
			Mark: Circle, Hollow: true, Size: 1.65, Hatch: Level,
		},
	},
	{
		Name: UserspaceRetry, Place: PlaceRetry, Policy: PolicyNew,
		Look: Look{Color: [3]uint8{153, 79, 0}, Dashes: []float64{3, 3}, Mark: Pillar, Size: 1, Hatch: Crossed},
	},
	{
		Name: AppDropBlock, Place: PlaceAppDrop, Policy: PolicyClient,
		Look: Look{Color: [3]uint8{230, 159, 0}, Dashes: []float64{7, 1}, Mark: Diamond, Size: 1.2, Hatch: Falling},
	},
	{
		Name: AppDropBlockNew, Place: PlaceAppDrop, Policy: PolicyNew,
		Look: Look{
			Color: [3]uint8{230, 159, 0}, Dashes: []float64{7, 1, 1, 1}, Mark: Diamond, Hollow: true, Size: 1.5, Hatch: Level,
		},
	},
	{
		Name: SocketBlock, Place: PlaceSocket, Policy: PolicyClient,
		Look: Look{Color: [3]uint8{86, 180, 233}, Dashes: []float64{11, 1}, Mark: Wedge, Size: 1.2, Hatch: Falling},
	},
	{
		Name: SocketBlockNew, Place: PlaceSocket, Policy: PolicyNew,
		Look: Look{
			Color: [3]uint8{86, 180, 233}, Dashes: []float64{11, 1, 1, 1}, Mark: Wedge, Hollow: true, Size: 1.5, Hatch: Level,
		},
	},
	{
		Name: NetfilterBlock, Place: PlaceNetfilter, Policy: PolicyClient,
		Look: Look{Color: [3]uint8{120, 94, 200}, Dashes: []float64{5, 1}, Mark: Pentagon, Size: 1.2, Hatch: Falling},
	},
	{
		Name: NetfilterBlockNew, Place: PlaceNetfilter, Policy: PolicyNew,
		Look: Look{
			Color: [3]uint8{120, 94, 200}, Dashes: []float64{5, 1, 1, 1}, Mark: Pentagon, Hollow: true, Size: 1.5, Hatch: Level,
		},
	},
	{
		Name: NftablesBlock, Place: PlaceNftables, Policy: PolicyClient,
		Look: Look{Color: [3]uint8{150, 60, 90}, Dashes: []float64{3, 1, 1, 1}, Mark: Pillar, Hollow: true, Size: 1.5, Hatch: Falling},
	},
	{
		Name: TCBlock, Place: PlaceTC, Policy: PolicyClient,
		Look: Look{Color: [3]uint8{0, 140, 150}, Dashes: []float64{14, 2}, Mark: Hexagon, Size: 1.2, Hatch: Falling},
	},
	{
		Name: TCBlockNew, Place: PlaceTC, Policy: PolicyNew,
		Look: Look{
			Color: [3]uint8{0, 140, 150}, Dashes: []float64{14, 2, 2, 2}, Mark: Hexagon, Hollow: true, Size: 1.5, Hatch: Level,
		},
	},
	{
		Name: GenericBlock, Place: PlaceGeneric, Policy: PolicyClient,
		Look: Look{Color: [3]uint8{110, 130, 40}, Dashes: []float64{9, 1}, Mark: Slab, Size: 1.2, Hatch: Falling},
	},
	{
		Name: GenericBlockNew, Place: PlaceGeneric, Policy: PolicyNew,
		Look: Look{
			Color: [3]uint8{110, 130, 40}, Dashes: []float64{9, 1, 1, 1}, Mark: Slab, Hollow: true, Size: 1.5, Hatch: Level,
		},
	},
	{
		Name: GatewayInFront, Place: PlaceGateway, Policy: PolicyNew,
		Look: Look{
			Color: [3]uint8{0, 90, 140}, Dashes: []float64{9, 2, 3, 2}, Mark: Right, Size: 1.3, Hatch: Rising,
		},
	},
	{
		Name: NftablesInFront, Place: PlaceNftablesLimit, Policy: PolicyNew,
		Look: Look{
			Color: [3]uint8{150, 60, 90}, Dashes: []float64{6, 1, 1, 1, 1, 1}, Mark: Left, Size: 1.3, Hatch: Rising,
		},
	},
}

// VariantNames returns the names of all variants, in the order of the list.
func VariantNames() []string {
	var names []string
	for i := range variants {
		names = append(names, string(variants[i].Name))
	}
	return names
}

// ParseVariant returns the variant of that name. If there is none, the error lists all
// names.
func ParseVariant(name string) (Variant, error) {
	for i := range variants {
		if string(variants[i].Name) == name {
			return variants[i].Name, nil
		}
	}
	return "", fmt.Errorf("unknown variant %q: use one of %s", name, strings.Join(VariantNames(), ", "))
}

// Spec returns the variant's row. It panics if there is none: names must come from
// ParseVariant.
func (v Variant) Spec() VariantSpec {
	for i := range variants {
		if variants[i].Name == v {
			return variants[i]
		}
	}
	panic("no such variant: " + string(v))
}

// BeyondThePaper reports whether the place of the variant is none of those that policies.yaml compares.
func (v Variant) BeyondThePaper() bool {
	switch v.Spec().Place {
	case PlaceNone, PlaceLate, PlaceEarly, PlaceXDP:
		return false
	}
	return true
}

// InFront reports whether the variant protects a foreign server, from in front of it.
func (v Variant) InFront() bool { return v.Spec().Place.InFront() }

// InKernel reports whether our server has the kernel refuse the client.
func (v Variant) InKernel() bool { return v.Spec().Place.InKernel() }

// Drops reports whether packets of the client are dropped before QUIC reads them.
func (v Variant) Drops() bool { return v.Spec().Place.Drops() }

// Retries reports whether the server answers attempts with a Retry to validate the
// client's address: at PlaceRetry, and where packets are dropped under policy new.
func (v Variant) Retries() bool {
	return v.Spec().Place == PlaceRetry || v.Drops() && v.Spec().Policy == PolicyNew
}

// Mode returns the name of the place in a server's records, if packets are dropped. For
// PlaceXDP it is the mode of the scenario, xdp.
func (v Variant) Mode(xdp string) string {
	switch p := v.Spec().Place; {
	case p == PlaceXDP:
		return xdp
	case p.Drops():
		return string(p)
	}
	return ""
}
