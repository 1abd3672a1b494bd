package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"

	"golang.org/x/sys/unix"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/server/certificate"
)

// listenUDP opens the server's only socket. That of FamilyBoth receives packets of both
// versions of IP, if its address has no host.
func listenUDP(ctx context.Context, address string, family record.Family) (*net.UDPConn, error) {
	socket, err := new(net.ListenConfig).ListenPacket(ctx, family.UDP(), address)
	if err != nil {
		return nil, fmt.Errorf("listen on UDP %q: %w", address, err)
	}
	return socket.(*net.UDPConn), nil
}

// receiveBuffer returns the size of the socket's receive buffer in force, in bytes. It
// may be less than the transport requested. It is zero if the kernel does not report
// it.
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

// tlsConfig returns a configuration with the certificate. Tickets are disabled: each
// request of a trial has a full handshake, as from a new client.
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
