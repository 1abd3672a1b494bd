package quicguard

import (
	"net"
	"net/netip"

	"golang.org/x/net/ipv4"
)

// Filter returns a UDP socket for a quic.Transport. Its ReadBatch, which quic-go uses,
// leaves out the datagrams for which drop returns true. Its other methods to read do
// not filter.
func Filter(conn *net.UDPConn, drop func(from netip.AddrPort, datagram []byte) bool) net.PacketConn {
	return &filtered{UDPConn: conn, batch: ipv4.NewPacketConn(conn), drop: drop}
}

type filtered struct {
	*net.UDPConn
	batch *ipv4.PacketConn // also for IPv6: it uses the socket as it is
	drop  func(from netip.AddrPort, datagram []byte) bool
}

// ReadBatch reads at least one datagram that is not dropped. quic-go keeps the buffer
// of each message by its index, so the messages after a dropped one are copied to
// earlier places.
func (f *filtered) ReadBatch(messages []ipv4.Message, flags int) (int, error) {
	for {
		n, err := f.batch.ReadBatch(messages, flags)
		if err != nil || n == 0 {
			return n, err
		}
		kept := 0
		for i := range messages[:n] {
			m := &messages[i]
			if f.drop(addrPortOf(m.Addr), m.Buffers[0][:m.N]) {
				continue
			}
			if kept < i {
				move(&messages[kept], m)
			}
			kept++
		}
		if kept > 0 {
			return kept, nil
		}
	}
}

// move copies a message into the buffers of another one.
func move(to, from *ipv4.Message) {
	copy(to.Buffers[0], from.Buffers[0][:from.N])
	copy(to.OOB, from.OOB[:from.NN])
	to.N, to.NN, to.Flags, to.Addr = from.N, from.NN, from.Flags, from.Addr
}

func addrPortOf(a net.Addr) netip.AddrPort {
	return netip.AddrPortFrom(addressOf(a), portOf(a))
}
