package equic

import (
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/internal/testkit/netkit"
)

// modesOfInterfaces returns the modes that need no socket.
func modesOfInterfaces() []Mode { return []Mode{Native, Generic, TC, Netfilter} }

func TestEveryHookReadsPacketsAlike(t *testing.T) {
	for _, mode := range []Mode{TC, Netfilter} {
		t.Run(string(mode), func(t *testing.T) {
			p := newProgram(t, Options{Ports: onePort, Quota: 3, Policy: PolicyClient, MaxClients: 8, Mode: mode})
			p.fillClients(t)
			p.expectAll(t, seenBehindTheDriver(slices.Concat(ipv4Cases(t), ipv6Cases(t))))
		})
	}
}

// A driver may put the headers of a packet into another buffer than the first.
func TestPacketsInPartsAreReadAlike(t *testing.T) {
	readInParts = true
	defer func() { readInParts = false }()
	p := newProgram(t, Options{Ports: onePort, Quota: 3, Policy: PolicyClient, MaxClients: 8})
	p.fillClients(t)
	p.expectAll(t, slices.Concat(ipv4Cases(t), ipv6Cases(t), vlanCases(t)))
}

// seenBehindTheDriver returns the packets that the kernel passes to a program in the
// stack.
func seenBehindTheDriver(cases []packetCase) []packetCase {
	return slices.DeleteFunc(cases, func(c packetCase) bool {
		const headers = 14 + 40 // bytes
		return len(c.packet) < headers && c.reason == PassMalformed || c.reason == PassNotIP ||
			strings.Contains(c.name, "behind the type") // the stack has checked these bytes
	})
}

func TestEveryHookDropsAClientAtItsQuotaAndLetsItGoWithTheGateway(t *testing.T) {
	for _, mode := range append(modesOfInterfaces(), Socket) {
		for _, server := range []string{serverAddress, serverAddress6} {
			t.Run(string(mode)+", "+server, func(t *testing.T) {
				p := newPair(t)
				p.addIPv6(t)
				f := p.newFlow(t, server, serverPort)
				g := mustAttach(t, Options{
					Interfaces: []string{serverIface}, Ports: onePort, Quota: 1, Mode: mode, Sockets: []syscall.Conn{f.server}, HoldDown: -1,
				})
				client := addressOf(f)
				f.arrives(t, initial())
				testkit.Must(t, g.Inc(serverPort, client))
				f.stalls(t, g, initial(), DropOverQuota)
				f.arrives(t, short()) // the policy is PolicyNew
				if at := g.Attachments()[0]; !at.Attached || at.Mode != mode {
					t.Errorf("attachment %+v", at)
				}
				testkit.Must(t, g.Close())
				f.arrives(t, initial())
				if at := g.Attachments()[0]; at.Attached || at.Err == nil {
					t.Errorf("attachment %+v after Close", at)
				}
			})
		}
	}
}

func TestASocketThatIsClosedBeforeItsGatewayIsNoError(t *testing.T) {
	testkit.NeedRoot(t)
	socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	testkit.Must(t, err)
	ports := []Port{{Number: uint16(socket.LocalAddr().(*net.UDPAddr).Port)}}
	g := mustAttach(t, Options{Ports: ports, Mode: Socket, Sockets: []syscall.Conn{socket}})
	testkit.Must(t, socket.Close())
	testkit.Must(t, g.Close())
}

func TestASocketThatWouldNotBeProtectedIsRefused(t *testing.T) {
	testkit.NeedRoot(t)
	socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	testkit.Must(t, err)
	defer socket.Close()
	port := uint16(socket.LocalAddr().(*net.UDPAddr).Port)
	o := Options{Ports: []Port{{Number: port ^ 1}}, Mode: Socket, Sockets: []syscall.Conn{socket}}
	_, err = Attach(o)
	wantError(t, err, ErrOptions, "not of a protected UDP port")
	o.Ports[0].Number = port
	g := mustAttach(t, o)
	if _, err := Attach(o); err == nil || !strings.Contains(err.Error(), "has a filter already") {
		t.Errorf("a second gateway: error %v", err)
	}
	testkit.Must(t, g.Close())
	mustAttach(t, o)
}

func TestTwoGatewaysInNetfilterAreRefused(t *testing.T) {
	newPair(t)
	mustAttach(t, Options{Ports: onePort, Mode: Netfilter})
	_, err := Attach(Options{Ports: onePort, Mode: Netfilter})
	wantError(t, err, unix.EBUSY, "is attached already")
}

func TestTheTCProgramIsAttachedAgain(t *testing.T) {
	p := newPair(t)
	told := make(attachments, 8)
	g := mustAttach(t, Options{
		Interfaces: []string{serverIface}, Ports: onePort, Mode: TC, OnAttachment: func(now Attachment) { told <- now },
	})
	testkit.Must(t, netlink.LinkDel(netkit.Link(t, serverIface)))
	p.recreate(t)
	now := told.next(t)
	for !now.Attached {
		now = told.next(t)
	}
	send := p.Wire(t)
	testkit.Must(t, g.Inc(serverPort, alice))
	for range DefaultQuota {
		testkit.Must(t, g.Inc(serverPort, alice))
	}
	testkit.Await(t, "the client is dropped again", func() bool {
		send(datagram(t, alice.String(), initial()))
		return packets(t, g, DropOverQuota) > 0
	})
}

// If a sender gives the kernel several datagrams at once (GSO), they go through the
// stack as one packet unless a driver splits it.
func TestAnInitialBehindAnotherDatagramOfItsPacketIsNoBypass(t *testing.T) {
	for _, mode := range modesOfInterfaces() {
		t.Run(string(mode), func(t *testing.T) {
			p := newPair(t)
			g := mustAttach(t, Options{Interfaces: []string{serverIface}, Ports: onePort, Quota: 1, Mode: mode, HoldDown: -1})
			f := p.newFlow(t, serverAddress, serverPort)
			raw, err := f.client.SyscallConn()
			testkit.Must(t, err)
			var failure error
			testkit.Must(t, raw.Control(func(fd uintptr) {
				failure = unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT, quicMinInitial)
			}))
			testkit.Must(t, failure)
			first := slices.Concat(short(), make([]byte, quicMinInitial))[:quicMinInitial]
			f.send(t, slices.Concat(first, initial()))
			f.receive(t, first)
			f.receive(t, initial())
			client := f.client.LocalAddr().(*net.UDPAddr).AddrPort()
			testkit.Must(t, g.Inc(serverPort, client.Addr()))
			f.send(t, slices.Concat(first, initial()))
			testkit.Await(t, "the drop", func() bool { return packets(t, g, DropOverQuota) == 1 })
			// Nor is an Initial after a packet of a handshake in progress.
			h, err := g.Begin(serverPort, client, false)
			testkit.Must(t, err)
			f.send(t, slices.Concat(long(quicV1, 1, quicMinInitial), initial()))
			testkit.Await(t, "the second drop", func() bool { return packets(t, g, DropOverQuota) == 2 })
			h.Close()
			testkit.Must(t, g.Dec(serverPort, client.Addr()))
			if mode == Native { // the driver splits the packet
				f.receive(t, first)
				f.receive(t, long(quicV1, 1, quicMinInitial))
			}
			f.arrives(t, []byte("let in again"))
		})
	}
}

func TestMeasuringADropWorksInEveryMode(t *testing.T) {
	testkit.Slow(t, "each mode takes a second")
	for _, mode := range append(modesOfInterfaces(), Socket) {
		t.Run(string(mode), func(t *testing.T) {
			p := newPair(t)
			f := p.newFlow(t, serverAddress, serverPort)
			g := mustAttach(t, Options{
				Interfaces: []string{serverIface}, Ports: onePort, Mode: mode, Sockets: []syscall.Conn{f.server},
			})
			cost, err := g.MeasureDrop(t.Context())
			testkit.Must(t, err)
			t.Logf("%+v", cost)
			if cost.EmptyNS < 0 || cost.DropNS == 0 {
				t.Errorf("cost %+v", cost)
			}
		})
	}
}

func TestAModeThatIsUnknownNamesAll(t *testing.T) {
	_, err := ParseMode("offload")
	for _, m := range Modes() {
		if err == nil || !strings.Contains(err.Error(), string(m)) {
			t.Errorf("error %v does not name %s", err, m)
		}
	}
}
