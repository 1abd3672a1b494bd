package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"
)

const (
	answerTimeout = 200 * time.Millisecond
	attemptPause  = 20 * time.Millisecond
)

// answering returns a function that waits until a QUIC server answers at an address of
// this machine.
func answering(address string) func(context.Context) error {
	return func(ctx context.Context) error {
		for negotiate(address) != nil {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(attemptPause):
			}
		}
		return ctx.Err()
	}
}

// negotiate asks a QUIC server for a version that none has, and returns nil if the answer
// is a Version Negotiation packet (RFC 9000, 6.1). This needs neither a handshake nor a
// protocol above QUIC, and leaves no connection behind.
func negotiate(address string) error {
	conn, err := net.Dial("udp", address) //nolint:noctx // it waits for nothing
	if err != nil {
		return err
	}
	defer conn.Close()
	const (
		longHeader = 0xc0
		reserved   = 0x1a2a3a4a // RFC 9000, 15
		idBytes    = 8
		smallest   = 1200 // of a datagram that a server has to answer
	)
	packet := make([]byte, smallest)
	_, _ = rand.Read(packet) // never fails
	packet[0] = longHeader
	binary.BigEndian.PutUint32(packet[1:], reserved)
	packet[5], packet[6+idBytes] = idBytes, idBytes
	if _, err := conn.Write(packet); err != nil {
		return err
	}
	if err := conn.SetReadDeadline(time.Now().Add(answerTimeout)); err != nil {
		return err
	}
	answer := make([]byte, smallest)
	n, err := conn.Read(answer)
	if err != nil {
		return err
	}
	if n < 5 || answer[0]&0x80 == 0 || binary.BigEndian.Uint32(answer[1:]) != 0 {
		return fmt.Errorf("%s: %w", address, errNoQUIC)
	}
	return nil
}

var errNoQUIC = errors.New("the answer is no QUIC version negotiation")
