package bench

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/quic-go/quic-go"
	"github.com/vishvananda/netlink"

	"github.com/equic-bench/equic-bench/equic"
	"github.com/equic-bench/equic-bench/equic/quicguard"
	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/internal/testkit/framekit"
	"github.com/equic-bench/equic-bench/internal/testkit/netkit"
	"github.com/equic-bench/equic-bench/internal/testkit/quickit"
)

const (
	floodInitials = 6000
	floodFor      = 4 * time.Second
	floodHonest   = 20   // honest clients, which connect during the flood
	goalHalfOpen  = 0.10 // of the cost without limits

	// serverVariable makes the test binary a server. Its value is the bits of an RSA key,
	// and "limits" for a server with limits.
	serverVariable = "EQUIC_BENCH_SERVER"
	limited        = " limits"
)

func TestMain(m *testing.M) {
	if server := os.Getenv(serverVariable); server != "" {
		if err := serveFlood(strings.CutSuffix(server, limited)); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// serveFlood serves until its standard input ends, with an RSA key of some bits.
func serveFlood(bits string, limits bool) error {
	size, err := strconv.Atoi(bits)
	if err != nil {
		return err
	}
	o := equic.Options{Interfaces: []string{netkit.ServerInterface}, Ports: onePort}
	if !limits {
		o.Quota, o.HalfOpen = 1<<20, equic.HalfOpenLimits{Total: 1 << 20, PerClient: 1 << 20}
	}
	gateway, err := equic.Attach(o)
	if err != nil {
		return err
	}
	key, err := rsa.GenerateKey(rand.Reader, size)
	if err != nil {
		return err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	config := &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, NextProtos: []string{"bench"},
	}
	address := fmt.Sprintf("%s:%d", netkit.ServerAddress, serverPort)
	listener, err := quicguard.ListenAddr(address, config, nil, gateway)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	go func() {
		for {
			conn, err := listener.Accept(context.Background())
			if err != nil {
				return
			}
			if greeting, err := conn.OpenUniStream(); err == nil {
				_ = greeting.Close() // the client has gone
			}
		}
	}()
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// floodCost is the cost of a flood for the server.
type floodCost struct {
	cpu    time.Duration
	peak   float64 // MiB
	served int     // honest clients that were served, of floodHonest
}

// measureHalfOpen sends Initials that no client continues, and measures their cost for
// a server with and without limits.
func measureHalfOpen(t *testing.T, table *speedTable) {
	t.Helper()
	packets := quickit.Initials(t, floodInitials, "bench")
	for _, bits := range []string{"2048", "4096"} {
		table.section(fmt.Sprintf("%s Initials in %v that are never finished, RSA-%s: limits on handshakes in progress, "+
			"to no limits", thousands(floodInitials), floodFor, bits))
		for name, source := range map[string]func(int) netip.Addr{
			"one address": func(int) netip.Addr { return netip.MustParseAddr("198.51.100.1") },
			"spoofed":     func(i int) netip.Addr { return netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)}) },
		} {
			with, without := flood(t, bits+limited, packets, source), flood(t, bits, packets, source)
			table.addShare(name+": CPU time", with.cpu.Seconds(), without.cpu.Seconds(), "s", goalHalfOpen)
			table.addShare(name+": memory above that at rest", with.peak, without.peak, "MiB", goalHalfOpen)
			table.addShare(fmt.Sprintf("%s: honest clients served meanwhile, of %d", name, floodHonest),
				float64(with.served), float64(without.served), "", noGoal)
		}
	}
}

// flood runs a server in its own process, as serverVariable describes it, and sends it the
// packets.
func flood(t *testing.T, as string, packets [][]byte, source func(int) netip.Addr) (cost floodCost) {
	t.Helper()
	p := netkit.NewPair(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	server := exec.CommandContext(ctx, "/proc/self/exe")
	server.Env = append(os.Environ(), serverVariable+"="+as)
	in, err := server.StdinPipe()
	testkit.Must(t, err)
	out, err := server.StdoutPipe()
	testkit.Must(t, err)
	testkit.Must(t, server.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	testkit.Must(t, err)
	if line != "ready\n" {
		t.Fatal(line)
	}
	// Answers to spoofed addresses take the same route as all answers.
	testkit.Must(t, netlink.RouteAdd(&netlink.Route{Gw: net.ParseIP(netkit.ClientAddress)}))
	send := p.Wire(t)
	frames := make([][]byte, len(packets))
	for i, packet := range packets {
		frames[i] = framekit.Frame(t, framekit.Ethernet(layers.EthernetTypeIPv4), framekit.IPv4(source(i).String(), nil),
			framekit.UDP(serverPort), gopacket.Payload(packet))
	}
	atRest, spent := peakMiB(t, server.Process.Pid), cpuTime(t, server.Process.Pid)
	served := make(chan int, 1)
	netkit.Enter(t, p.Client)
	socket, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(netkit.ClientAddress)})
	testkit.Must(t, err)
	netkit.Enter(t, p.Server)
	tr := &quic.Transport{Conn: socket}
	go func() { served <- connect(ctx, tr) }()
	began := time.Now()
	for i, frame := range frames {
		send(frame)
		time.Sleep(time.Until(began.Add(floodFor * time.Duration(i) / floodInitials)))
	}
	cost.served = <-served
	cost.peak = peakMiB(t, server.Process.Pid) - atRest
	testkit.Must(t, tr.Close())
	testkit.Must(t, socket.Close())
	testkit.Must(t, in.Close())
	testkit.Must(t, server.Wait())
	cost.cpu = server.ProcessState.UserTime() + server.ProcessState.SystemTime() - spent
	return cost
}

// cpuTime returns the CPU time that a process has used so far: the 14th and 15th fields
// of its stat, in ticks of 10 ms.
func cpuTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	testkit.Must(t, err)
	_, rest, _ := strings.Cut(string(stat), ") ") // the name may contain spaces
	f := strings.Fields(rest)
	user, err := strconv.Atoi(f[11])
	testkit.Must(t, err)
	system, err := strconv.Atoi(f[12])
	testkit.Must(t, err)
	return time.Duration(user+system) * 10 * time.Millisecond
}

// connect connects honest clients, one after the other, during the flood.
func connect(ctx context.Context, tr *quic.Transport) (served int) {
	config := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"bench"}}
	to := &net.UDPAddr{IP: net.ParseIP(netkit.ServerAddress), Port: serverPort}
	for range floodHonest {
		dialing, cancel := context.WithTimeout(ctx, 2*time.Second)
		conn, err := tr.Dial(dialing, to, config, nil)
		if err == nil {
			if _, err = conn.AcceptUniStream(dialing); err == nil {
				served++
			}
			_ = conn.CloseWithError(0, "") // always nil
		}
		cancel()
		time.Sleep(floodFor / floodHonest / 2)
	}
	return served
}

// peakMiB returns the peak memory of a process.
func peakMiB(t *testing.T, pid int) float64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	testkit.Must(t, err)
	for line := range strings.Lines(string(status)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "VmHWM:" {
			kib, err := strconv.Atoi(f[1])
			testkit.Must(t, err)
			return float64(kib) / 1024
		}
	}
	t.Fatal("the kernel does not tell the peak of memory")
	return 0
}
