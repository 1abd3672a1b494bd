// Package framekit makes Ethernet frames for tests, from a client to the server
// of a netkit.Pair.
package framekit

import (
	"net"
	"slices"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/internal/testkit/netkit"
)

// Frame returns a frame of these layers, of which the first is Ethernet. Lengths and
// checksums are correct, and there is no padding.
func Frame(tb testing.TB, stack ...gopacket.SerializableLayer) []byte {
	tb.Helper()
	var network gopacket.NetworkLayer
	for _, layer := range stack {
		switch l := layer.(type) {
		case *layers.IPv4:
			network = l
		case *layers.IPv6:
			network = l
		case *layers.UDP:
			testkit.Must(tb, l.SetNetworkLayerForChecksum(network))
		case *layers.TCP:
			testkit.Must(tb, l.SetNetworkLayerForChecksum(network))
		}
	}
	b := gopacket.NewSerializeBuffer()
	// The library pads a frame to 60 bytes; the size without padding is where the frame
	// ends.
	testkit.Must(tb, gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true}, stack[1:]...))
	size := len(b.Bytes())
	how := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	testkit.Must(tb, gopacket.SerializeLayers(b, how, stack...))
	return slices.Clone(b.Bytes()[:14+size])
}

// Ethernet returns a header for this kind of content.
func Ethernet(kind layers.EthernetType) *layers.Ethernet {
	return &layers.Ethernet{
		SrcMAC:       net.HardwareAddr{2, 0, 0, 0, 0, 1},
		DstMAC:       net.HardwareAddr{2, 0, 0, 0, 0, 2},
		EthernetType: kind,
	}
}

// IPv4 returns a header. If change is not nil, it may change the header.
func IPv4(source string, change func(*layers.IPv4)) *layers.IPv4 {
	ip := &layers.IPv4{
		Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP,
		SrcIP: net.ParseIP(source), DstIP: net.ParseIP(netkit.ServerAddress),
	}
	if change != nil {
		change(ip)
	}
	return ip
}

// IPv6 returns a header without extensions.
func IPv6(source string) *layers.IPv6 {
	return &layers.IPv6{
		Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolUDP,
		SrcIP: net.ParseIP(source), DstIP: net.ParseIP(netkit.ServerAddress6),
	}
}

// VLAN returns a tag of IEEE 802.1Q.
func VLAN(kind layers.EthernetType) *layers.Dot1Q {
	return &layers.Dot1Q{VLANIdentifier: 7, Type: kind}
}

// UDP returns a header to a port.
func UDP(port int) *layers.UDP {
	return &layers.UDP{SrcPort: 40000, DstPort: layers.UDPPort(port)}
}

// Options returns a change that adds this number of bytes, a multiple of 4, of options
// that do nothing.
func Options(bytes int) func(*layers.IPv4) {
	return func(ip *layers.IPv4) {
		for range bytes {
			ip.Options = append(ip.Options, layers.IPv4Option{OptionType: 1})
		}
	}
}

// Protocol returns a change of the protocol after the header.
func Protocol(p layers.IPProtocol) func(*layers.IPv4) {
	return func(ip *layers.IPv4) { ip.Protocol = p }
}
