package equic

import (
	"maps"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

const (
	xdpPass = 2

	stranger = "198.51.100.1"
	under    = "198.51.100.2"
	at       = "198.51.100.3"
	over     = "198.51.100.4"
	over6    = "2001:db8::1"
)

func TestVerdictOnAPacket(t *testing.T) {
	needRoot(t)
	p := newProgram(t, Options{Ports: onePort, Quota: 3, Policy: PolicyClient, MaxClients: 8})
	for client, n := range map[string]uint32{under: 2, at: 3, over: 4, over6: 4} {
		p.put(t, client, n)
	}
	whole := packet(t, ethernet(layers.EthernetTypeIPv4), ipv4(over, nil), udp(serverPort))
	tests := []struct {
		name   string
		packet []byte
		reason string
	}{
		{"a client without a connection passes", packet(t, ethernet(layers.EthernetTypeIPv4), ipv4(stranger, nil), udp(serverPort)), PassUnknownClient},
		{"a client under its quota passes", packet(t, ethernet(layers.EthernetTypeIPv4), ipv4(under, nil), udp(serverPort)), PassUnderQuota},
		{"a client at its quota is dropped", packet(t, ethernet(layers.EthernetTypeIPv4), ipv4(at, nil), udp(serverPort)), DropOverQuota},
		{"a client over its quota is dropped", whole, DropOverQuota},
		{"a client over its quota with the shortest IP option is dropped", packet(t, ethernet(layers.EthernetTypeIPv4), ipv4(over, options(4)), udp(serverPort)), DropOverQuota},
		{"a client over its quota with the most IP options is dropped", packet(t, ethernet(layers.EthernetTypeIPv4), ipv4(over, options(40)), udp(serverPort)), DropOverQuota},
		{"options that look like a UDP header to the port are not read as one", packet(t, ethernet(layers.EthernetTypeIPv4), ipv4(over, disguised()), udp(serverPort+1)), PassOtherPort},
		{"the first fragment has a UDP header and is dropped", packet(t, ethernet(layers.EthernetTypeIPv4), ipv4(over, fragment(0, layers.IPv4MoreFragments)), udp(serverPort)), DropOverQuota},
		{"a middle fragment passes", packet(t, ethernet(layers.EthernetTypeIPv4), ipv4(over, fragment(185, layers.IPv4MoreFragments)), udp(serverPort)), PassFragment},
		{"the last fragment passes", packet(t, ethernet(layers.EthernetTypeIPv4), ipv4(over, fragment(185, 0)), udp(serverPort)), PassFragment},
		{"a packet that must not be fragmented is dropped like any other", packet(t, ethernet(layers.EthernetTypeIPv4), ipv4(over, fragment(0, layers.IPv4DontFragment)), udp(serverPort)), DropOverQuota},
		{"another UDP port passes", packet(t, ethernet(layers.EthernetTypeIPv4), ipv4(over, nil), udp(53)), PassOtherPort},
		{"the port with its bytes swapped passes", packet(t, ethernet(layers.EthernetTypeIPv4), ipv4(over, nil), udp(serverPort>>8|serverPort<<8&0xffff)), PassOtherPort},
		{"the port as source passes", packet(t, ethernet(layers.EthernetTypeIPv4), ipv4(over, nil), &layers.UDP{SrcPort: serverPort, DstPort: 53}), PassOtherPort},
		{"TCP to the port passes", packet(t, ethernet(layers.EthernetTypeIPv4), ipv4(over, protocol(layers.IPProtocolTCP)), &layers.TCP{DstPort: serverPort}), PassNotUDP},
		{"ICMP passes", packet(t, ethernet(layers.EthernetTypeIPv4), ipv4(over, protocol(layers.IPProtocolICMPv4)), &layers.ICMPv4{}), PassNotUDP},
		{"ARP passes", packet(t, ethernet(layers.EthernetTypeARP), gopacket.Payload(make([]byte, 28))), PassNotIP},
		{"an IPv6 client over its quota is dropped", packet(t, ethernet(layers.EthernetTypeIPv6), ipv6(over6), udp(serverPort)), DropOverQuota},
		{"its neighbour in the same /64 too", packet(t, ethernet(layers.EthernetTypeIPv6), ipv6("2001:db8::2"), udp(serverPort)), DropOverQuota},
		{"an IPv6 client of another /64 passes", packet(t, ethernet(layers.EthernetTypeIPv6), ipv6("2001:db8:0:1::1"), udp(serverPort)), PassUnknownClient},
		{"a client over its quota behind a VLAN tag is dropped", packet(t, ethernet(layers.EthernetTypeDot1Q), vlan(layers.EthernetTypeIPv4), ipv4(over, nil), udp(serverPort)), DropOverQuota},
		{"and behind two", packet(t, ethernet(layers.EthernetTypeQinQ), vlan(layers.EthernetTypeDot1Q), vlan(layers.EthernetTypeIPv4), ipv4(over, nil), udp(serverPort)), DropOverQuota},
		{"behind three it passes", packet(t, ethernet(layers.EthernetTypeQinQ), vlan(layers.EthernetTypeDot1Q), vlan(layers.EthernetTypeDot1Q), vlan(layers.EthernetTypeIPv4), ipv4(over, nil), udp(serverPort)), PassTooDeep},
		{"an Ethernet header alone passes", whole[:14], PassMalformed},
		{"an IP header cut short passes", whole[:33], PassMalformed},
		{"a missing UDP header passes", whole[:34], PassMalformed},
		{"a UDP header cut short passes", whole[:41], PassMalformed},
		{"a UDP header cut short behind options passes", packet(t, ethernet(layers.EthernetTypeIPv4), ipv4(over, options(8)), udp(serverPort))[:49], PassMalformed},
		{"a header length under five words passes", with(whole, 14, 0x44), PassMalformed},
		{"a header length beyond the packet passes", with(whole, 14, 0x4f), PassMalformed},
		{"version 6 behind the type of IPv4 passes", with(whole, 14, 0x65), PassMalformed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before, err := p.stats()
			must(t, err)
			verdict, out, err := p.objs.Equic.Test(test.packet)
			must(t, err)
			after, err := p.stats()
			must(t, err)

			if want := verdictOf(test.reason); verdict != want {
				t.Errorf("verdict %d, want %d", verdict, want)
			}
			want := maps.Clone(before.Packets)
			want[test.reason]++
			if diff := cmp.Diff(want, after.Packets); diff != "" {
				t.Errorf("counters (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.packet, out); diff != "" {
				t.Errorf("the packet changed (-in +out):\n%s", diff)
			}
			if after.Seen != before.Seen+1 || after.Seen != after.Passed+after.Dropped {
				t.Errorf("totals do not add up: %+v", after)
			}
		})
	}
}

func TestPacketOfTheMeasurementIsWhatALayerLibraryReads(t *testing.T) {
	raw := initialPacket(netip.MustParseAddr(over), serverPort)
	p := gopacket.NewPacket(raw, layers.LayerTypeEthernet, gopacket.Default)
	if failure := p.ErrorLayer(); failure != nil {
		t.Fatal(failure.Error())
	}
	if got := p.NetworkLayer().NetworkFlow().Src().String(); got != over {
		t.Errorf("source %s, want %s", got, over)
	}
	if got := p.TransportLayer().(*layers.UDP).DstPort; got != serverPort {
		t.Errorf("port %d, want %d", got, serverPort)
	}
}

// onePort is the test's server.
var onePort = []Port{{Number: serverPort}}

// program is the loaded program without an interface.
type program struct {
	objs    *gatewayObjects
	options Options
}

// newProgram loads the program for the length of the test.
func newProgram(t *testing.T, o Options) *program {
	t.Helper()
	needRoot(t)
	o.Interface = "none"
	o, err := o.complete()
	must(t, err)
	objs, err := load(o)
	must(t, err)
	t.Cleanup(func() { must(t, objs.Close()) })
	for i, a := range o.applications() {
		must(t, objs.Applications.Put(uint32(i+1), a))
	}
	return &program{objs: objs, options: o}
}

// put gives a client a number of connections at the first port.
func (p *program) put(t *testing.T, client string, connections uint32) {
	t.Helper()
	by := prefixes{ipv4: p.options.IPv4Prefix, ipv6: p.options.IPv6Prefix}
	key := by.key(p.options.Ports[0].Number, netip.MustParseAddr(client))
	must(t, p.objs.Clients.Put(key, clientValue{Connections: connections}))
}

func (p *program) stats() (Stats, error) {
	return readStats(p.objs.Packets, p.objs.EventsLost, p.options.Ports)
}

func verdictOf(reason string) uint32 {
	if strings.HasPrefix(reason, "drop_") {
		return xdpDrop
	}
	return xdpPass
}

func packet(t *testing.T, stack ...gopacket.SerializableLayer) []byte {
	t.Helper()
	b := gopacket.NewSerializeBuffer()
	must(t, gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true}, stack...))
	return b.Bytes()
}

func ethernet(kind layers.EthernetType) *layers.Ethernet {
	return &layers.Ethernet{
		SrcMAC:       net.HardwareAddr{2, 0, 0, 0, 0, 1},
		DstMAC:       net.HardwareAddr{2, 0, 0, 0, 0, 2},
		EthernetType: kind,
	}
}

func ipv4(source string, change func(*layers.IPv4)) *layers.IPv4 {
	ip := &layers.IPv4{
		Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP,
		SrcIP: net.ParseIP(source), DstIP: net.ParseIP(serverAddress),
	}
	if change != nil {
		change(ip)
	}
	return ip
}

func ipv6(source string) *layers.IPv6 {
	return &layers.IPv6{
		Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolUDP,
		SrcIP: net.ParseIP(source), DstIP: net.ParseIP("2001:db8::2"),
	}
}

func vlan(kind layers.EthernetType) *layers.Dot1Q {
	return &layers.Dot1Q{VLANIdentifier: 7, Type: kind}
}

func udp(port int) *layers.UDP {
	return &layers.UDP{SrcPort: 40000, DstPort: layers.UDPPort(port)}
}

func protocol(p layers.IPProtocol) func(*layers.IPv4) {
	return func(ip *layers.IPv4) { ip.Protocol = p }
}

func fragment(offset uint16, flags layers.IPv4Flag) func(*layers.IPv4) {
	return func(ip *layers.IPv4) { ip.FragOffset, ip.Flags = offset, flags }
}

// options fills a number of bytes, a multiple of 4, with options that do
// nothing.
func options(bytes int) func(*layers.IPv4) {
	return func(ip *layers.IPv4) {
		for range bytes {
			ip.Options = append(ip.Options, layers.IPv4Option{OptionType: 1})
		}
	}
}

// disguised puts the server's port where the destination port stands in a
// packet without options: bytes 22 and 23 of the IP header.
func disguised() func(*layers.IPv4) {
	return func(ip *layers.IPv4) {
		ip.Options = []layers.IPv4Option{{
			OptionType:   0x88,
			OptionLength: 8,
			OptionData:   []byte{serverPort >> 8, serverPort & 0xff, 0, 0, 0, 0},
		}}
	}
}

// with is a copy of a packet with one byte changed.
func with(packet []byte, offset int, value byte) []byte {
	changed := append([]byte(nil), packet...)
	changed[offset] = value
	return changed
}
