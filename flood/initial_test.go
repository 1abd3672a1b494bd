package flood

import (
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"net"
	"sync/atomic"
	"testing"

	"github.com/quic-go/quic-go"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/server/certificate"
)

// RFC 9001, appendix A.1.
func TestKeysFollowFromTheConnectionID(t *testing.T) {
	id, err := hex.DecodeString("8394c8f03e515708")
	testkit.Must(t, err)
	k, err := clientKeys(id)
	testkit.Must(t, err)
	for _, c := range []struct {
		name, want string
		got        []byte
	}{
		{"key", "1f369613dd76d5467730efcbe3b1a22d", k.key},
		{"iv", "fa044b2f42a3fd3b46fb255c", k.iv},
		{"hp", "9f50449e04a0e810283a1e9933adedd2", k.header},
	} {
		if got := hex.EncodeToString(c.got); got != c.want {
			t.Errorf("%s is %s, want %s", c.name, got, c.want)
		}
	}
}

// begins starts a server, and counts its handshakes. The count increases when it has
// read a ClientHello.
func begins(t *testing.T) (address *net.UDPAddr, count *atomic.Int64) {
	t.Helper()
	cert, err := certificate.SelfSigned(certificate.ECDSA)
	testkit.Must(t, err)
	count = new(atomic.Int64)
	config := &tls.Config{
		NextProtos: []string{"h3"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			count.Add(1)
			return &tls.Config{Certificates: []tls.Certificate{*cert}, NextProtos: []string{"h3"}}, nil
		},
	}
	listener, err := quic.ListenAddr("127.0.0.1:0", config, nil)
	testkit.Must(t, err)
	accepted := make(chan error, 1)
	go func() {
		_, err := listener.Accept(context.Background())
		accepted <- err
	}()
	t.Cleanup(func() {
		testkit.Must(t, listener.Close())
		if err := <-accepted; !errors.Is(err, quic.ErrServerClosed) {
			t.Errorf("a handshake was completed: %v", err)
		}
	})
	return listener.Addr().(*net.UDPAddr), count
}

func TestEachInitialBeginsAHandshake(t *testing.T) {
	o := Options{Kind: record.HalfOpen, Frames: 20}
	payloads, err := o.payloads(t.Context())
	testkit.Must(t, err)
	address, count := begins(t)
	conn, err := net.DialUDP("udp4", nil, address)
	testkit.Must(t, err)
	defer conn.Close()
	for i, p := range payloads {
		if len(p) != payloadBytes {
			t.Errorf("a datagram of %d bytes", len(p))
		}
		_, err := conn.Write(p)
		testkit.Must(t, err)
		testkit.Await(t, "the handshake", func() bool { return count.Load() == int64(i+1) })
	}
}

func TestJunkIsNotQUIC(t *testing.T) {
	o := Options{Kind: record.Junk, Frames: 100}
	payloads, err := o.payloads(t.Context())
	testkit.Must(t, err)
	seen := map[string]bool{}
	for _, p := range payloads {
		if seen[string(p)] = true; len(p) != payloadBytes || p[0]&0xc0 != 0 {
			t.Errorf("%d bytes that begin with %#x", len(p), p[0])
		}
	}
	if len(seen) != 100 {
		t.Errorf("%d different datagrams, want 100", len(seen))
	}
}
