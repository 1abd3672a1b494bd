package main

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/server/certificate"
)

func TestAQUICServerAnswersAndNothingElseDoes(t *testing.T) {
	socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	testkit.Must(t, err)
	defer socket.Close()
	address := socket.LocalAddr().String()
	if err := negotiate(address); err == nil {
		t.Error("a silent socket answered")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if err := answering(address)(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting for a silent socket: error %v", err)
	}
	pair, err := certificate.SelfSigned(certificate.ECDSA)
	testkit.Must(t, err)
	config := &tls.Config{Certificates: []tls.Certificate{*pair}, NextProtos: []string{"any"}}
	listener, err := quic.Listen(socket, config, nil)
	testkit.Must(t, err)
	defer listener.Close()
	testkit.Must(t, answering(address)(t.Context()))
}
