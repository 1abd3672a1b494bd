package main

import (
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/equic-bench/equic-bench/client"
	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/server/certificate"
)

// Our client gets whole bodies from servers of others, with a Retry where they ask for
// one, and counts a body of another size as failed.
func TestTheClientSpeaksWithOtherServers(t *testing.T) {
	testkit.Slow(t, "builds Caddy")
	needBinary(t)
	testkit.NeedTool(t, "gtlsserver") // Debian: ngtcp2-server
	needServers(t)
	files := serverFiles(t)
	ngtcp2 := []string{
		"gtlsserver", "--quiet", "-d", filepath.Join(files, "root"), "127.0.0.1", "{port}",
		filepath.Join(files, "key.pem"), filepath.Join(files, "certificate.pem"),
	}
	caddy := []string{
		"../../bin/servers/caddy", "run", "--adapter", "caddyfile", "--config", "../../scenarios/servers/caddy/Caddyfile",
	}
	for name, test := range map[string]struct {
		command []string
		retries int64 // at least, for each request
	}{
		"ngtcp2": {ngtcp2, 0}, "ngtcp2 with Retry": {slices.Insert(slices.Clone(ngtcp2), 1, "--validate-addr"), 1},
		"caddy": {caddy, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := relayTo(t, startServer(t, files, test.command))
			const requests = 5
			testkit.Await(t, "an answer", func() bool { return ask(t, r, "1", "16384").Outcomes[record.OK] == 1 })
			r.retries.Store(0)
			if s := ask(t, r, "5", "16384"); s.Outcomes[record.OK] != requests {
				t.Errorf("outcomes %v, want %d ok", s.Outcomes, requests)
			}
			if n := r.retries.Load(); n < test.retries*requests || test.retries == 0 && n > 0 {
				t.Errorf("%d Retry packets for %d requests, want %d for each", n, requests, test.retries)
			}
			if s := ask(t, r, "5", "16385"); s.Outcomes[record.Failed] != requests {
				t.Errorf("of another size: outcomes %v, want %d failed", s.Outcomes, requests)
			}
		})
	}
}

// serverFiles returns a folder with a certificate, its key, and what a server serves.
func serverFiles(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	pair, err := certificate.SelfSigned(certificate.ECDSA)
	testkit.Must(t, err)
	chain, key, err := certificate.PEM(pair)
	testkit.Must(t, err)
	testkit.Must(t, os.WriteFile(filepath.Join(dir, "certificate.pem"), chain, 0o600))
	testkit.Must(t, os.WriteFile(filepath.Join(dir, "key.pem"), key, 0o600))
	testkit.Must(t, os.Mkdir(filepath.Join(dir, "root"), 0o700))
	testkit.Must(t, os.WriteFile(filepath.Join(dir, "root", "index.html"), make([]byte, 16384), 0o600))
	return dir
}

// startServer starts a server on a free port of the loopback interface, and returns its
// address.
func startServer(t *testing.T, files string, command []string) string {
	t.Helper()
	address := testkit.FreeAddress(t)
	_, port, err := net.SplitHostPort(address)
	testkit.Must(t, err)
	args := slices.Clone(command[1:])
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "{port}", port)
	}
	c := exec.CommandContext(t.Context(), command[0], args...)
	c.Env = append(os.Environ(), "HOME="+files, "SERVER_ADDRESS=127.0.0.1", "SERVER_PORT="+port,
		"SERVER_CERTIFICATE="+filepath.Join(files, "certificate.pem"), "SERVER_KEY="+filepath.Join(files, "key.pem"),
		"SERVER_ROOT="+filepath.Join(files, "root"))
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	testkit.Must(t, c.Start())
	t.Cleanup(func() { _ = c.Wait() }) // it was asked to end
	return address
}

// ask sends requests, one after the other.
func ask(t *testing.T, r *relay, requests, body string) client.Summary {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), filepath.Join(filepath.Dir(binary), "equic-client"),
		"--server", r.socket.LocalAddr().String(), "--requests", requests, "--body", body, "--summary", "--timeout", "5s").Output()
	testkit.Must(t, err)
	var s client.Summary
	testkit.Must(t, json.Unmarshal(out, &s))
	return s
}

// relay passes datagrams between clients and a server, and counts the server's Retry
// packets (RFC 9000, 17.2.5).
type relay struct {
	socket  *net.UDPConn
	retries atomic.Int64
}

func relayTo(t *testing.T, server string) *relay {
	t.Helper()
	to, err := net.ResolveUDPAddr("udp", server)
	testkit.Must(t, err)
	socket, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	testkit.Must(t, err)
	r := &relay{socket: socket}
	servers := map[string]*net.UDPConn{} // by the client's address
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 1<<16)
		for {
			n, from, err := socket.ReadFromUDP(b)
			if err != nil {
				break
			}
			up := servers[from.String()]
			if up == nil {
				if up, err = net.DialUDP("udp4", nil, to); err != nil {
					break
				}
				servers[from.String()] = up
				go r.back(up, from)
			}
			_, _ = up.Write(b[:n]) // a server that does not run yet refuses it
		}
		for _, up := range servers {
			_ = up.Close()
		}
	}()
	t.Cleanup(func() {
		_ = socket.Close()
		<-done
	})
	return r
}

// back passes the server's datagrams on to a client, until the connection is closed.
func (r *relay) back(up *net.UDPConn, to *net.UDPAddr) {
	b := make([]byte, 1<<16)
	for {
		n, err := up.Read(b)
		switch {
		case errors.Is(err, syscall.ECONNREFUSED): // no server listens yet
			continue
		case err != nil:
			return
		}
		const retry = 0xf0
		if b[0]&0xf0 == retry {
			r.retries.Add(1)
		}
		_, _ = r.socket.WriteToUDP(b[:n], to) // the test may be over
	}
}
