package client

import (
	"bufio"
	"crypto/tls"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/record"
)

// inFlight is the number of requests that the benchmark has in flight per CPU.
const inFlight = 8

// BenchmarkRequest measures the cost of a request for the generator: cpu-ns/op is the
// user and system time of this process only, since the server is another process.
func BenchmarkRequest(b *testing.B) {
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // as cmd/equic-client does
	bin := testkit.Build(b, "../cmd/equic-server")
	for _, c := range []struct {
		name string
		args []string
		want record.Outcome
	}{
		{"full", []string{"--variant", "no-block"}, record.OK},
		{"refused", []string{"--variant", "userspace-block", "--quota", "1"}, record.Refused},
	} {
		b.Run(c.name, func(b *testing.B) {
			address := startServer(b, filepath.Join(bin, "equic-server"), c.args...)
			if c.want == record.Refused {
				fillQuota(b, address)
			}
			d, err := newDialer(Options{
				Server: address, Timeout: 10 * time.Second, BodyBytes: 256 << 10, KeyExchange: X25519,
			})
			testkit.Must(b, err)
			defer func() { testkit.Must(b, d.sockets.close()) }()
			var before, after syscall.Rusage
			testkit.Must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &before))
			b.SetParallelism(inFlight)
			b.ResetTimer()
			b.RunParallel(func(loop *testing.PB) {
				for loop.Next() {
					if r := d.request(b.Context()); r.Outcome != c.want {
						b.Errorf("a request ended as %s, want %s: %s", r.Outcome, c.want, r.Error)
					}
				}
			})
			b.StopTimer()
			testkit.Must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &after))
			spent := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
			b.ReportMetric(float64(spent)/float64(b.N), "cpu-ns/op")
		})
	}
}

// startServer starts a server on loopback. It ends with the benchmark.
func startServer(b *testing.B, program string, args ...string) (address string) {
	b.Helper()
	address = testkit.FreeAddress(b)
	cmd := exec.CommandContext(b.Context(), program, append(args, "--listen", address, "--key", "rsa-2048")...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	testkit.Must(b, err)
	testkit.Must(b, cmd.Start())
	ready := make(chan struct{})
	go func() {
		lines := bufio.NewScanner(out)
		lines.Scan()
		close(ready)
		for lines.Scan() { // keep reading, so that its final output does not block it
		}
	}()
	b.Cleanup(func() { _ = cmd.Wait() })
	<-ready
	return address
}

// fillQuota opens a connection, waits for the answer to one request, and keeps the
// connection open.
func fillQuota(b *testing.B, address string) {
	b.Helper()
	conn, err := quic.DialAddr(b.Context(), address,
		&tls.Config{InsecureSkipVerify: true, NextProtos: []string{http3.NextProtoH3}},
		&quic.Config{KeepAlivePeriod: time.Second})
	testkit.Must(b, err)
	b.Cleanup(func() { _ = conn.CloseWithError(0, "") })
	req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, "https://"+address+"/1", nil)
	testkit.Must(b, err)
	resp, err := new(http3.Transport).NewClientConn(conn).RoundTrip(req)
	testkit.Must(b, err)
	testkit.Must(b, resp.Body.Close())
}
