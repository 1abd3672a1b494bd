package quicguard_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/equic-bench/equic-bench/equic"
	"github.com/equic-bench/equic-bench/equic/quicguard"
)

// A complete HTTP/3 server. Each client address may have five connections. Beyond that,
// the kernel drops its attempts to open more.
func Example() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) (err error) {
	cert, err := tls.LoadX509KeyPair("cert.pem", "key.pem")
	if err != nil {
		return err
	}
	gateway, err := equic.Attach(equic.Options{Interfaces: []string{"eth0"}, Ports: []equic.Port{{Number: 443}}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, gateway.Close()) }()

	tlsConfig := http3.ConfigureTLSConfig(&tls.Config{Certificates: []tls.Certificate{cert}})
	// A killed client occupies its places for 10 seconds, not 30.
	config := &quic.Config{MaxIdleTimeout: 10 * time.Second, KeepAlivePeriod: 4 * time.Second}
	guarded, err := quicguard.ListenAddr(":443", tlsConfig, config, gateway) //nolint:contextcheck // a ClientHello has its own
	if err != nil {
		return err
	}
	server := &http3.Server{Handler: http.HandlerFunc(hello)}
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		stopped <- shutDown(context.WithoutCancel(ctx), server, guarded)
	}()
	if err := server.ServeListener(guarded); !errors.Is(err, http.ErrServerClosed) {
		return errors.Join(err, guarded.Close())
	}
	return <-stopped
}

// shutDown gives requests ten seconds to end, then closes the open connections. It
// returns when every connection is released; the gateway is closed after that.
func shutDown(ctx context.Context, server *http3.Server, guarded *quicguard.Listener) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	err := server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = nil // some clients took longer: their connections are closed
	}
	err = errors.Join(err, guarded.Close())
	guarded.Wait()
	log.Printf("stopped: %+v", guarded.Stats())
	return err
}

func hello(w http.ResponseWriter, r *http.Request) {
	_, _ = fmt.Fprintln(w, "hello,", r.RemoteAddr)
}

// If capabilities are missing, the kernel cannot be used. The quota and the Retry still
// work in user space.
func ExampleListenAddr_withoutGateway() {
	gateway, err := equic.Attach(equic.Options{Interfaces: []string{"eth0"}, Ports: []equic.Port{{Number: 443}}})
	if err != nil {
		log.Print("the quota is in user space only: ", err) // gateway is nil
	} else {
		defer gateway.Close()
	}
	guarded, err := quicguard.ListenAddr(":443", http3.ConfigureTLSConfig(&tls.Config{ /* certificates */ }), nil, gateway)
	if err != nil {
		log.Print(err)
		return
	}
	defer guarded.Close()
	server := &http3.Server{Handler: http.HandlerFunc(hello)}
	log.Print(server.ServeListener(guarded))
}
