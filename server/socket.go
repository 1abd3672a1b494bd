package server

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net"
	"time"

	"golang.org/x/sys/unix"
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

// KeyType is the type of the key in the server's certificate. Its signature is
// a large part of what a handshake costs.
type KeyType string

// The types of keys. Signing with RSA-2048 costs the server some thirty times
// as much as with ECDSA, and with RSA-4096 two hundred times; verifying costs the
// client half and four times as much (BenchmarkKey).
const (
	KeyECDSA   KeyType = "ecdsa-p256"
	KeyRSA2048 KeyType = "rsa-2048"
	KeyRSA4096 KeyType = "rsa-4096"
)

func (k KeyType) generate() (crypto.Signer, error) {
	switch k {
	case KeyECDSA, "":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case KeyRSA2048:
		return rsa.GenerateKey(rand.Reader, 2048)
	case KeyRSA4096:
		return rsa.GenerateKey(rand.Reader, 4096)
	}
	return nil, fmt.Errorf("unknown type %q: want %s, %s or %s", k, KeyECDSA, KeyRSA2048, KeyRSA4096)
}

// selfSigned makes a key and a certificate that live as long as the process.
// Tickets are off: each request of a trial is a whole handshake, as from a new
// client.
func selfSigned(keyType KeyType) (*tls.Config, error) {
	key, err := keyType.generate()
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(24 * time.Hour),
		DNSNames:     []string{"equic-server"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make certificate: %w", err)
	}
	return &tls.Config{
		Certificates:           []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		MinVersion:             tls.VersionTLS13,
		SessionTicketsDisabled: true,
	}, nil
}
