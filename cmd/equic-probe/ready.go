package main

import (
	"context"
	"crypto/tls"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

const (
	attemptTimeout = time.Second
	attemptPause   = 20 * time.Millisecond
)

// answering returns a function that waits until a server completes a QUIC handshake at an
// address of this machine.
func answering(address string) func(context.Context) error {
	return func(ctx context.Context) error {
		for {
			if handshake(ctx, address) == nil {
				return nil
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(attemptPause):
			}
		}
	}
}

func handshake(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	conn, err := quic.DialAddr(ctx, address,
		&tls.Config{InsecureSkipVerify: true, NextProtos: []string{http3.NextProtoH3}}, nil)
	if err != nil {
		return err
	}
	return conn.CloseWithError(0, "")
}
