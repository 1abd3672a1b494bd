package quicguard

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/net/ipv4"

	"github.com/equic-bench/equic-bench/internal/testkit"
)

func TestWhatIsKeptMovesToTheFrontOfItsBatch(t *testing.T) {
	loopback := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}
	server, err := net.ListenUDP("udp4", loopback)
	testkit.Must(t, err)
	defer server.Close()
	client, err := net.DialUDP("udp4", nil, server.LocalAddr().(*net.UDPAddr))
	testkit.Must(t, err)
	defer client.Close()
	from := client.LocalAddr().(*net.UDPAddr).AddrPort()
	reader := Filter(server, func(a netip.AddrPort, datagram []byte) bool {
		if a != from {
			t.Errorf("a datagram from %s, want %s", a, from)
		}
		return datagram[0] == 'd'
	}).(*filtered)

	for _, text := range []string{"drop", "keep 1", "drop again", "keep 2, which is longer"} {
		_, err := client.Write([]byte(text))
		testkit.Must(t, err)
	}
	testkit.Must(t, server.SetReadDeadline(time.Now().Add(time.Minute)))
	var got []string
	for len(got) < 2 {
		messages := make([]ipv4.Message, 8)
		for i := range messages {
			messages[i].Buffers, messages[i].OOB = [][]byte{make([]byte, 64)}, make([]byte, 64)
		}
		n, err := reader.ReadBatch(messages, 0)
		testkit.Must(t, err)
		for i := range messages[:n] {
			m := &messages[i]
			got = append(got, string(m.Buffers[0][:m.N]))
			if m.Addr.String() != from.String() {
				t.Errorf("its address is %s, want %s", m.Addr, from)
			}
		}
	}
	if got[0] != "keep 1" || got[1] != "keep 2, which is longer" {
		t.Errorf("read %q", got)
	}
}
