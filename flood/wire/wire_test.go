package wire

import (
	"bytes"
	"encoding/binary"
	"net"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/internal/testkit/framekit"
	"github.com/equic-bench/equic-bench/internal/testkit/netkit"
)

// The names of the interfaces. Each port is the bridge's end of a node's pair.
const (
	senderInterface, senderPort     = "equicsend0", "equicsend1"
	receiverInterface, receiverPort = "equicrecv0", "equicrecv1"
)

// network is two nodes and the namespace of the bridge between them.
type network struct{ sender, bridge, receiver netns.NsHandle }

// newNetwork makes a network. The test is then in the bridge's namespace.
func newNetwork(t *testing.T) network {
	t.Helper()
	n := network{sender: netkit.NewNamespace(t), receiver: netkit.NewNamespace(t), bridge: netkit.NewNamespace(t)}
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "equicbridge"}}
	testkit.Must(t, netlink.LinkAdd(bridge))
	testkit.Must(t, netlink.LinkSetUp(bridge))
	for _, end := range []struct {
		node           netns.NsHandle
		name, port, ip string
	}{
		{n.sender, senderInterface, senderPort, "192.0.2.2/24"},
		{n.receiver, receiverInterface, receiverPort, "192.0.2.1/24"},
	} {
		netkit.AddVeth(t, end.port, end.name, end.node)
		testkit.Must(t, netlink.LinkSetMaster(netkit.SetUp(t, end.port), bridge))
		netkit.Enter(t, end.node)
		netkit.SetUp(t, end.name, end.ip)
		netkit.Enter(t, n.bridge)
	}
	return n
}

// index returns the index of an interface in a namespace.
func index(t *testing.T, ns netns.NsHandle, name string) int {
	t.Helper()
	netkit.Enter(t, ns)
	return netkit.Link(t, name).Attrs().Index
}

// open attaches an empty program to an interface until the test ends.
func open(t *testing.T, ns netns.NsHandle, name string) {
	t.Helper()
	program, err := Open(index(t, ns, name))
	testkit.Must(t, err)
	t.Cleanup(func() { testkit.Must(t, program.Close()) })
}

// count counts the frames that leave through the receiver's port until the test ends.
func (n network) count(t *testing.T) *Counter {
	t.Helper()
	c, err := Count(index(t, n.bridge, receiverPort))
	testkit.Must(t, err)
	t.Cleanup(func() { testkit.Must(t, c.Close()) })
	return c
}

// marked returns a frame to the receiver. A bridge may drop incomplete IPv4 packets.
func marked(t *testing.T, to net.HardwareAddr, mark uint8, payload []byte) []byte {
	t.Helper()
	header := framekit.IPv4("192.0.2.2", func(ip *layers.IPv4) { ip.TOS = mark })
	ethernet := framekit.Ethernet(layers.EthernetTypeIPv4)
	ethernet.DstMAC = to
	return framekit.Frame(t, ethernet, header, framekit.UDP(4433), gopacket.Payload(payload))
}

// frames returns frames that differ in their last bytes.
func (n network) frames(t *testing.T, count int) [][]byte {
	t.Helper()
	netkit.Enter(t, n.receiver)
	to := netkit.Link(t, receiverInterface).Attrs().HardwareAddr
	all := make([][]byte, count)
	for i := range all {
		payload := binary.BigEndian.AppendUint32(make([]byte, 1196), uint32(i))
		all[i] = marked(t, to, Mark, payload)
	}
	return all
}

// send sends a number of frames.
func (n network) send(t *testing.T, frames [][]byte, total int) (sent uint64) {
	t.Helper()
	s, err := NewSender(index(t, n.sender, senderInterface), frames)
	testkit.Must(t, err)
	t.Cleanup(func() { testkit.Must(t, s.Close()) })
	for left := total; left > 0; left -= 1000 {
		testkit.Must(t, s.Send(min(left, 1000)))
	}
	sent, err = s.Sent()
	testkit.Must(t, err)
	if sent < uint64(total) {
		t.Errorf("%d frames were sent, want %d", sent, total)
	}
	return sent
}

func (c *Counter) await(t *testing.T, sent uint64) {
	t.Helper()
	testkit.Await(t, "all frames", func() bool {
		seen, err := c.Frames()
		testkit.Must(t, err)
		return seen >= sent
	})
	if seen, err := c.Frames(); seen != sent || err != nil {
		t.Errorf("%d frames were sent, %d arrived; %v", sent, seen, err)
	}
}

func TestEveryFrameThatIsSentArrives(t *testing.T) {
	for _, c := range []struct {
		name   string
		native bool // the receiver has a native XDP program
	}{{"without a program at the receiver", false}, {"with a native program at the receiver", true}} {
		t.Run(c.name, func(t *testing.T) {
			n := newNetwork(t)
			open(t, n.bridge, senderPort)
			if c.native {
				open(t, n.receiver, receiverInterface)
			}
			counter := n.count(t)
			counter.await(t, n.send(t, n.frames(t, 100), 10_000))
		})
	}
}

// The sender also counts the frames that the kernel drops.
func TestAPortWithoutAProgramLosesFramesAndTheCounterShowsIt(t *testing.T) {
	n := newNetwork(t)
	counter := n.count(t)
	sent := n.send(t, n.frames(t, 100), 1000)
	if seen, err := counter.Frames(); seen > sent/2 || err != nil {
		t.Errorf("%d of %d frames arrived, %v; want hardly any", seen, sent, err)
	}
}

func TestFramesAreSentInTurnAndWhole(t *testing.T) {
	n := newNetwork(t)
	open(t, n.bridge, senderPort)
	netkit.Enter(t, n.receiver)
	next := capture(t, FrameBytes)
	frames := n.frames(t, 10)
	n.send(t, frames, 25)
	for i := range 25 {
		if f := next(); !bytes.Equal(f, frames[i%10]) {
			t.Fatalf("frame %d is % x..., want % x...", i, f[:34], frames[i%10][:34])
		}
	}
}

// In IPv6 the mark is in the second and the third half byte of the header.
func TestFramesOfIPv6AreSentWholeAndCounted(t *testing.T) {
	n := newNetwork(t)
	open(t, n.bridge, senderPort)
	counter := n.count(t)
	netkit.Enter(t, n.receiver)
	next := capture(t, FrameBytes6)
	frames := n.frames(t, 2)
	for i, mark := range []uint8{Mark, 2} {
		header := framekit.IPv6("2001:db8:1::2")
		header.TrafficClass, header.FlowLabel = mark, 0xfffff
		ethernet := framekit.Ethernet(layers.EthernetTypeIPv6)
		ethernet.DstMAC = frames[i][:6]
		frames[i] = framekit.Frame(t, ethernet, header, framekit.UDP(4433), gopacket.Payload(frames[i][42:]))
	}
	if n.send(t, frames, 20); !bytes.Equal(next(), frames[0]) {
		t.Error("a frame of IPv6 arrives changed")
	}
	counter.await(t, 10)
}

func TestOtherFramesAreNotCounted(t *testing.T) {
	n := newNetwork(t)
	open(t, n.bridge, senderPort)
	counter := n.count(t)
	frames := n.frames(t, 2)
	const ect0 = 2 // as honest clients mark their packets
	frames[1] = marked(t, net.HardwareAddr(frames[1][:6]), ect0, frames[1][42:])
	n.send(t, frames, 100)
	testkit.Await(t, "half of the frames", func() bool {
		seen, err := counter.Frames()
		testkit.Must(t, err)
		return seen == 50
	})
}
