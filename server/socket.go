package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"

	"golang.org/x/sys/unix"

	"github.com/equic-bench/equic-bench/server/certificate"
)

func listenUDP(ctx context.Context, address string) (*net.UDPConn, error) {
	// udp4: the quota and the XDP program of this version know IPv4 only.
	socket, err := new(net.ListenConfig).ListenPacket(ctx, "udp4", address)
	if err != nil {
		return nil, fmt.Errorf("listen on UDP %q: %w", address, err)
	}
	return socket.(*net.UDPConn), nil
}

// receiveBuffer is the socket's receive buffer in force, in bytes, which may
// be less than the transport asked for; zero where the kernel does not tell.
func receiveBuffer(socket *net.UDPConn) (n int) {
	raw, err := socket.SyscallConn()
	if err != nil {
		return 0
	}
	err = raw.Control(func(fd uintptr) {
		n, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF)
	})
	if err != nil {
		return 0
	}
	return n
}

// tlsConfig presents a certificate. Tickets are off: each request of a trial is a
// whole handshake, as from a new client.
func (o *Options) tlsConfig() (_ *tls.Config, err error) {
	pair := o.Certificate
	if pair == nil {
		if pair, err = certificate.SelfSigned(o.Key); err != nil {
			return nil, err
		}
	}
	return &tls.Config{
		Certificates:           []tls.Certificate{*pair},
		MinVersion:             tls.VersionTLS13,
		SessionTicketsDisabled: true,
	}, nil
}
