package equic_test

import (
	"context"
	"fmt"
	"log"
	"net/netip"
	"os"
	"os/signal"
	"syscall"

	"github.com/equic-bench/equic-bench/equic"
)

// A server protects its port until it gets SIGINT or SIGTERM. If it is killed, the
// kernel detaches the program.
func Example() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx); err != nil {
		log.Fatal(err)
	}
}

func serve(ctx context.Context) error {
	gateway, err := equic.Attach(equic.Options{Interfaces: []string{"eth0"}, Ports: []equic.Port{{Number: 443}}})
	if err != nil {
		return err
	}
	defer gateway.Close()

	// For each connection, once its handshake is complete:
	client := netip.MustParseAddr("192.0.2.10")
	if err := gateway.Inc(443, client); err != nil {
		log.Print(err) // the connection is not counted
	}
	// and once it is closed:
	if err := gateway.Dec(443, client); err != nil {
		log.Print(err)
	}

	<-ctx.Done()
	stats, err := gateway.Stats()
	if err != nil {
		return err
	}
	fmt.Println("dropped", stats.Dropped, "of", stats.Seen, "packets in", gateway.Mode(), "mode")
	return nil
}
