package client

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/record"
)

func TestASocketIsUsedAgainOnlyAfterARest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := newSockets(&net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}, record.Sources{})
		testkit.Must(t, err)
		take := func() socket {
			x, err := s.take()
			testkit.Must(t, err)
			return x
		}
		first, broken := take(), take()
		s.put(first, record.Timeout)
		s.put(broken, record.Failed)
		time.Sleep(rest - 1) // in a bubble: no real time passes
		second := take()
		if second.Conn == first.Conn {
			t.Error("the second request has the first one's socket at once")
		}
		time.Sleep(time.Nanosecond)
		if again := take(); again.Conn != first.Conn {
			t.Error("a new socket was made although one had rested")
		}
		s.put(first, record.OK)
		s.put(second, record.Refused)
		if len(s.idle) != 2 {
			t.Errorf("%d sockets are kept, want 2: the broken one is closed", len(s.idle))
		}
		testkit.Must(t, s.close())
	})
}

func TestEachRequestHasTheNextOfSeveralSources(t *testing.T) {
	sources := record.Sources{Network: netip.MustParsePrefix("127.0.5.0/24"), Count: 3}
	s, err := newSockets(&net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}, sources)
	testkit.Must(t, err)
	for i, want := range []string{"127.0.5.0", "127.0.5.1", "127.0.5.2", "127.0.5.0"} {
		x, err := s.take()
		testkit.Must(t, err)
		if got := x.Conn.LocalAddr().(*net.UDPAddr).IP.String(); got != want {
			t.Errorf("request %d comes from %s, want %s", i, got, want)
		}
		s.put(x, record.OK)
		if len(s.idle) != 0 {
			t.Error("a socket is kept although the next request has another address")
		}
	}
	testkit.Must(t, s.close())
}

func TestSourcesAreOfTheServersVersionOfIP(t *testing.T) {
	sources := record.Sources{Network: netip.MustParsePrefix("10.128.0.0/24"), Count: 3}
	if _, err := newSockets(&net.UDPAddr{IP: net.IPv6loopback}, sources); err == nil {
		t.Error("IPv4 sources for an IPv6 server")
	}
}

func TestDatagramsOfOneBurstAreToldApart(t *testing.T) {
	conn, err := listen("udp4", nil)
	testkit.Must(t, err)
	defer conn.Close()
	sender, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	testkit.Must(t, err)
	defer sender.Close()

	const segment = 1200
	burst := make([]byte, 19*segment+700)
	for i := range burst {
		burst[i] = byte(i / segment)
	}
	to := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: conn.LocalAddr().(*net.UDPAddr).Port}
	_, _, err = sender.WriteMsgUDP(burst, segmentSize(segment), to)
	testkit.Must(t, err)
	_, err = sender.WriteTo([]byte("alone"), to)
	testkit.Must(t, err)

	reader, ok := conn.(*groConn)
	if !ok {
		t.Fatal("this kernel has no receive offload")
	}
	var lengths []int
	var got []byte
	for len(lengths) < 21 {
		ms := make([]ipv4.Message, 8)
		for i := range ms {
			ms[i].Buffers, ms[i].OOB = [][]byte{make([]byte, 1500)}, make([]byte, 128)
		}
		n, err := reader.ReadBatch(ms, 0)
		testkit.Must(t, err)
		for _, m := range ms[:n] {
			lengths = append(lengths, m.N)
			got = append(got, m.Buffers[0][:m.N]...)
			if m.Addr.String() != sender.LocalAddr().String() {
				t.Errorf("a datagram from %v, want %v", m.Addr, sender.LocalAddr())
			}
		}
	}
	if want := append(burst, "alone"...); !bytes.Equal(got, want) {
		t.Errorf("%d bytes in datagrams of %v, want the %d that were sent", len(got), lengths, len(want))
	}
	if lengths[0] != segment || lengths[19] != 700 || lengths[20] != 5 {
		t.Errorf("datagrams of %v", lengths)
	}
}

// segmentSize returns the control message that makes the kernel split what is sent.
func segmentSize(n uint16) []byte {
	b := make([]byte, unix.CmsgSpace(2))
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
	h.Level, h.Type = unix.IPPROTO_UDP, unix.UDP_SEGMENT
	h.SetLen(unix.CmsgLen(2))
	binary.NativeEndian.PutUint16(b[unix.CmsgLen(0):], n)
	return b
}

func TestWithoutDescriptorsRequestsFailLocally(t *testing.T) {
	bin := testkit.Build(t, "../cmd/equic-client")
	out, err := exec.CommandContext(t.Context(), "sh", "-c", `ulimit -n 64; exec "$@"`, "sh",
		filepath.Join(bin, "equic-client"),
		"--server", blackHole(t), "--mode", "parallel", "--requests", "200", "--rate", "2000", "--timeout", "1s").Output()
	testkit.Must(t, err)
	outcomes := map[record.Outcome]int{}
	err = record.ReadLines(bytes.NewReader(out), "client", func(l *record.Line) error {
		if r := l.Request; r != nil {
			outcomes[r.Outcome]++
			if r.Outcome == record.Local && !strings.Contains(r.Error, "too many open files") {
				return fmt.Errorf("request %+v", r)
			}
		}
		return nil
	})
	testkit.Must(t, err)
	if outcomes[record.Local] < 100 || outcomes[record.Timeout] < 10 ||
		outcomes[record.Local]+outcomes[record.Timeout] != 200 {
		t.Errorf("outcomes %v; want all that have no descriptor to be local, and no errors", outcomes)
	}
}
