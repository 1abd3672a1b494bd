// Package quickit records QUIC packets for tests. It is used by the tests of the
// packages that speak QUIC.
package quickit

import (
	"context"
	"crypto/tls"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/equic-bench/equic-bench/internal/testkit"
)

// Initials returns the first packets of n attempts by clients of an ALPN protocol:
// whole ClientHellos that no client continues. The test must have loopback addresses.
func Initials(tb testing.TB, n int, protocol string) [][]byte {
	tb.Helper()
	loopback := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}
	sink, err := net.ListenUDP("udp4", loopback)
	testkit.Must(tb, err)
	defer sink.Close()
	testkit.Must(tb, sink.SetReadDeadline(time.Now().Add(time.Minute)))
	source, err := net.ListenUDP("udp4", loopback)
	testkit.Must(tb, err)
	defer source.Close()
	tr := &quic.Transport{Conn: source}
	defer tr.Close()
	seen := make(map[string]bool)
	packets := make([][]byte, n)
	for i := range packets {
		packets[i] = firstPacket(tb, tr, sink, protocol, seen)
	}
	return packets
}

// firstPacket dials, and stops when the first packet to a new ID has arrived.
func firstPacket(tb testing.TB, tr *quic.Transport, sink *net.UDPConn, protocol string, seen map[string]bool) []byte {
	tb.Helper()
	config := &tls.Config{
		InsecureSkipVerify: true, NextProtos: []string{protocol},
		CurvePreferences: []tls.CurveID{tls.X25519}, // so that the ClientHello fits in one packet
	}
	ctx, cancel := context.WithCancel(tb.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = tr.Dial(ctx, sink.LocalAddr(), config, nil)
	}()
	defer func() {
		cancel()
		<-done
	}()
	b := make([]byte, 2048)
	for {
		size, err := sink.Read(b)
		testkit.Must(tb, err)
		if id := string(b[6:14]); !seen[id] && b[0]&0xf0 == 0xc0 {
			seen[id] = true
			return slices.Clone(b[:size])
		}
	}
}
