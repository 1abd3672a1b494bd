package netns

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/orchestrate"
	"github.com/equic-bench/equic-bench/record"
)

const serverAddress6, clientAddress6 = "fd00:e9:1c:2::1", "fd00:e9:1c:b::1"

// in6 gives the nodes of a spec IPv6 addresses, in place of those of IPv4 or, with both,
// beside them.
func in6(s orchestrate.Spec, both bool) orchestrate.Spec {
	s.Subnet6 = netip.MustParsePrefix("fd00:e9:1c::/48")
	for i, address := range []string{serverAddress6, clientAddress6}[:len(s.Nodes)] {
		if both {
			s.Nodes[i].Other = netip.MustParseAddr(address)
		} else {
			s.Nodes[i].Address = netip.MustParseAddr(address)
		}
	}
	return s
}

// playAnswers answers so many datagrams, and prints from how many addresses they came.
func playAnswers(count string) int {
	n, err := strconv.Atoi(count)
	socket, listenErr := new(net.ListenConfig).ListenPacket(context.Background(), "udp", ":4433")
	if err != nil || listenErr != nil {
		fmt.Println(err, listenErr)
		return 1
	}
	defer socket.Close()
	fmt.Println("listening")
	addresses := map[string]bool{}
	for range n {
		b := make([]byte, 64)
		size, from, err := socket.ReadFrom(b)
		if err == nil {
			_, err = socket.WriteTo(b[:size], from)
		}
		if err != nil {
			fmt.Println(err)
			return 1
		}
		addresses[from.(*net.UDPAddr).AddrPort().Addr().Unmap().String()] = true
	}
	fmt.Println(len(addresses), "addresses")
	return 0
}

// playSources sends a datagram from each of its addresses to a server, and prints how many
// were answered.
func playSources(server, network, count string) int {
	n, err := strconv.Atoi(count)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	sources := record.Sources{Network: netip.MustParsePrefix(network), Count: n}
	for i := range n {
		if err := askFrom(sources.At(i), server); err != nil {
			fmt.Println(sources.At(i), err)
			return 1
		}
	}
	fmt.Println(n, "answered")
	return 0
}

func askFrom(source netip.Addr, server string) error {
	to, err := net.ResolveUDPAddr("udp", server)
	if err != nil {
		return err
	}
	conn, err := net.DialUDP("udp", &net.UDPAddr{IP: source.AsSlice()}, to)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("hello")); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 64))
	return err
}

func TestNodesHaveTheAddressesOfTheirFamilies(t *testing.T) {
	for _, c := range []struct {
		name      string
		both      bool
		has, lack []string
	}{
		{"IPv6", false, []string{serverAddress6 + "/48", "::1/128"}, []string{serverAddress}},
		{"both", true, []string{serverAddress6 + "/48", serverAddress + "/24"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := open(t, in6(spec("describe"), c.both))
			stdout, _ := start(t, n, "server")
			if code := wait(t, n, "server"); code != 0 {
				t.Errorf("exit code %d", code)
			}
			for _, address := range c.has {
				if !strings.Contains(stdout.String(), address) {
					t.Errorf("no address %s in %s", address, stdout)
				}
			}
			for _, address := range c.lack {
				if strings.Contains(stdout.String(), address) {
					t.Errorf("the address %s in %s", address, stdout)
				}
			}
		})
	}
}

// Without settings of its own, a namespace with IPv6 asks for routers and tests its addresses.
func TestNoNodeTakesAddressesOrAsksForRouters(t *testing.T) {
	n := open(t, in6(spec("describe"), false)).(*nodes)
	settings := map[string]string{
		"conf/eth0/accept_ra": "0", "conf/eth0/autoconf": "0", "conf/eth0/router_solicitations": "0",
		"conf/eth0/accept_dad": "0", "conf/eth0/disable_ipv6": "0", "conf/lo/disable_ipv6": "0",
	}
	testkit.Must(t, runInNamespace(n.network.nodes["server"], func() error {
		for name, want := range settings {
			got, err := os.ReadFile(filepath.Join(ipv6Settings, name))
			if err != nil {
				return err
			}
			if strings.TrimSpace(string(got)) != want {
				t.Errorf("%s is %s, want %s", name, got, want)
			}
		}
		return nil
	}))
	testkit.Must(t, runInNamespace(n.network.bridge, func() error {
		got, err := os.ReadFile(filepath.Join(ipv6Settings, "conf/br0/disable_ipv6"))
		if err == nil && strings.TrimSpace(string(got)) != "1" {
			t.Error("the bridge has IPv6")
		}
		return err
	}))
}

func TestAnAttackerSendsFromItsAddressesAndIsOneNeighbour(t *testing.T) {
	for _, c := range []struct {
		name, server, network string
		six                   bool
	}{
		{"IPv4", serverAddress, "10.128.4.0/22", false},
		{"IPv6", serverAddress6, "fd01:e9:3::/48", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			const count = 300
			server := net.JoinHostPort(c.server, "4433")
			s := spec(fmt.Sprint("answer ", count), fmt.Sprint("sources ", server, " ", c.network, " ", count))
			family := netlink.FAMILY_V4
			if c.six {
				s, family = in6(s, false), netlink.FAMILY_V6
			}
			s.Nodes[1].Addresses = record.Sources{Network: netip.MustParsePrefix(c.network), Count: count}
			n := open(t, s)
			reader, w := io.Pipe()
			testkit.Must(t, n.Start(t.Context(), "server", w, w))
			_, err := io.ReadFull(reader, make([]byte, len("listening\n")))
			testkit.Must(t, err)
			said := make(chan string)
			go func() { all, _ := io.ReadAll(reader); said <- string(all) }()
			stdout, _ := start(t, n, "client")
			if code := wait(t, n, "client"); code != 0 || stdout.String() != fmt.Sprint(count, " answered\n") {
				t.Errorf("exit code %d: %s", code, stdout)
				testkit.Must(t, n.Signal(t.Context(), "server", unix.SIGKILL))
			}
			wait(t, n, "server")
			testkit.Must(t, w.Close())
			if got := <-said; got != fmt.Sprint(count, " addresses\n") {
				t.Errorf("the server saw %s", got)
			}
			testkit.Must(t, runInNamespace(n.(*nodes).network.nodes["server"], func() error {
				neighbours, err := netlink.NeighList(0, family)
				// Besides the attacker, at most the addresses from which it asked for the server.
				if len(neighbours) > 10 {
					t.Errorf("%d addresses are %d neighbours", count, len(neighbours))
				}
				return err
			}))
		})
	}
}
