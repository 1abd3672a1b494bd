package quicguard

import (
	"net"
	"net/netip"

	"golang.org/x/net/ipv4"
)

// Filter is a UDP socket for a quic.Transport that does not return the datagrams that
// drop says to drop: quic-go does not see them. Other ways to read than ReadBatch,
// which quic-go uses, are not filtered.
func Filter(conn *net.UDPConn, drop func(from netip.AddrPort, datagram []byte) bool) net.PacketConn {
	return &filtered{UDPConn: conn, batch: ipv4.NewPacketConn(conn), drop: drop}
}

type filtered struct {
	*net.UDPConn
	batch *ipv4.PacketConn // also for IPv6: it takes the socket as it is
	drop  func(from netip.AddrPort, datagram []byte) bool
}

// ReadBatch reads at least one datagram that is not dropped. quic-go keeps the buffer of
// each message by its index, so what is behind a dropped one is copied to its place.
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
