package quicguard

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/equic-bench/equic-bench/equic"
	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/internal/testkit/netkit"
)

// realClient is a client of another implementation, and what it prints of a page.
type realClient struct {
	name, tool string
	arguments  func(address, dir string) []string
	// saves reports whether it writes the page to its folder instead of printing it.
	saves bool
}

var realClients = []realClient{
	{"ngtcp2", "gtlsclient", func(address, dir string) []string {
		host, port, _ := net.SplitHostPort(address)
		return []string{"--exit-on-all-streams-close", "--quiet", "--download", dir, host, port, "https://" + address + "/page"}
	}, true},
	{"Chromium", "chromium", func(address, dir string) []string {
		cert, err := certificate()
		if err != nil {
			panic(err) // the file was made for the server
		}
		leaf, err := x509.ParseCertificate(cert.Certificate[0])
		if err != nil {
			panic(err)
		}
		sum := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
		return []string{
			"--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--virtual-time-budget=5000",
			"--origin-to-force-quic-on=" + address,
			"--ignore-certificate-errors-spki-list=" + base64.StdEncoding.EncodeToString(sum[:]),
			"--user-data-dir=" + dir, "--dump-dom", "https://" + address + "/page",
		}
	}, false},
}

// get runs the client in the client's namespace until it or the context ends, and
// returns what it has received.
func (c realClient) get(ctx context.Context, t *testing.T, n network, address string) string {
	t.Helper()
	dir := t.TempDir()
	command := exec.CommandContext(ctx, c.tool, c.arguments(address, dir)...)
	command.WaitDelay = time.Second
	var out bytes.Buffer
	command.Stdout, command.Stderr = &out, &out
	netkit.Enter(t, n.Client) // for the thread; the process inherits it
	err := command.Start()
	netkit.Enter(t, n.Server)
	testkit.Must(t, err)
	_ = command.Wait() // the test checks only what it has received
	if c.saves {
		page, _ := os.ReadFile(filepath.Join(dir, "page")) // if it has received one
		return string(page) + out.String()
	}
	return out.String()
}

// Each client receives its page, with and without a Retry, and nothing if its address
// is at its quota.
func TestRealClientsAreServedAndTurnedAway(t *testing.T) {
	const page = "a page of the guarded server"
	for _, client := range realClients {
		for name, halfOpen := range map[string]equic.HalfOpenLimits{"": {}, ", after a Retry": {Total: 1}} {
			t.Run(client.name+name, func(t *testing.T) {
				testkit.NeedTool(t, client.tool)
				n := newNetwork(t)
				gateway, err := equic.Attach(equic.Options{
					Interfaces: []string{netkit.ServerInterface}, Ports: []equic.Port{{Number: serverPort}}, Quota: 3, HalfOpen: halfOpen,
				})
				testkit.Must(t, err)
				t.Cleanup(func() { testkit.Must(t, gateway.Close()) })
				socket, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(serverAddress, serverPort)))
				testkit.Must(t, err)
				l, err := Listen(transportOn(t, socket), serverTLS(t), &quic.Config{MaxIdleTimeout: 5 * time.Second}, gateway, Options{})
				testkit.Must(t, err)
				server := &http3.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					_, _ = io.WriteString(w, page)
				})}
				served := make(chan error, 1)
				go func() { served <- server.ServeListener(l) }()
				defer func() {
					testkit.Must(t, errors.Join(server.Close(), l.Close()))
					if err := <-served; !errors.Is(err, http.ErrServerClosed) {
						t.Errorf("ServeListener: %v, want ErrServerClosed", err)
					}
					l.Wait()
				}()
				if halfOpen.Total > 0 { // one is in progress, and never ends
					h, err := gateway.Begin(serverPort, netip.AddrPortFrom(bob, 1), false)
					testkit.Must(t, err)
					defer h.Close()
				}
				patience, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if got := client.get(patience, t, n, l.Addr().String()); !strings.Contains(got, page) {
					t.Errorf("under quota it printed %.2000s\n%+v", got, l.Stats())
				}
				if retried := l.Stats().Retried; (retried > 0) != (halfOpen.Total > 0) {
					t.Errorf("%d packets were answered with a Retry", retried)
				}
				testkit.Await(t, "its connections have ended", func() bool { return gateway.Count(serverPort, alice) == 0 })
				for range 3 {
					testkit.Must(t, gateway.Inc(serverPort, alice))
				}
				// Wait until its second attempt is dropped too.
				patience, cancel = context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				go func() {
					defer cancel()
					for tick := time.Tick(10 * time.Millisecond); patience.Err() == nil; <-tick {
						stats, err := gateway.Stats()
						if err != nil || stats.Packets[equic.DropOverQuota] > 1 {
							return
						}
					}
				}()
				if got := client.get(patience, t, n, l.Addr().String()); strings.Contains(got, page) {
					t.Errorf("over quota it got the page")
				}
				stats, err := gateway.Stats()
				testkit.Must(t, err)
				if stats.Packets[equic.DropOverQuota] == 0 {
					t.Errorf("%v; want packets dropped", stats.Packets)
				}
			})
		}
	}
}
