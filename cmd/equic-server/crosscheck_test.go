package main

import (
	"math"
	"testing"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/record"
)

// These tests compare the records of the programs with the counters of the kernel's
// network interfaces, and the server's records with the clients'.

// docs/method/definitions.md, gateway: "Seen and dropped are exactly what the interface's
// driver counts (`ethtool -S`)", as xdp_packets and xdp_drops: both count every
// packet that reaches the program.
func TestCrossCheckDropsWithTheInterface(t *testing.T) {
	testkit.NeedRoot(t)
	testkit.NeedTool(t, "ethtool")
	for _, variant := range []string{"xdp-block", "xdp-block-new"} {
		t.Run(variant, func(t *testing.T) {
			w := newWire(t)
			server := w.startServer(t, "--variant", variant, "--quota", "2", "--idle-timeout", "1s", "--body", "4000000")
			// One after the other, so that all pass.
			w.startClient(t, 0, "--requests", "10", "--timeout", "10s", "--body", "4000000").wait(t)
			// Faster than the server can serve them, so that the client is often at its quota.
			w.startClient(t, 0, "--mode", "parallel", "--requests", "200", "--rate", "200", "--timeout", "2s", "--body",
				"4000000").wait(t)
			server.stop(t)

			driver := w.driverCounters(t)
			gateway := server.collect().gateway
			if gateway == nil {
				t.Fatal("no gateway record")
			}
			t.Logf("%d dropped, %d passed", gateway.Dropped, gateway.Passed)
			if gateway.Dropped < 50 || gateway.Passed < 50 {
				t.Errorf("%d dropped, %d passed: too few to compare", gateway.Dropped, gateway.Passed)
			}
			agree(t, "packets dropped", gateway.Dropped, driver["xdp_drops"], 0)
			agree(t, "packets seen", gateway.Seen, driver["xdp_packets"], 0)
		})
	}
}

// The overhead of a datagram that carries a body, with an Ethernet header of 14 bytes,
// an IPv4 header of 20 and a UDP header of 8 around it.
const (
	lowerHeaders = 14 + 20 + 8
	// quic-go never sends more than maxDatagram bytes of UDP payload, and full
	// ones never have fewer than minDatagram (RFC 9000, 14).
	maxDatagram, minDatagram = 1452, 1200
	// A short header has at most 1 + 20 + 4 bytes, a STREAM frame's 1 + 8 + 8 +
	// 2, the tag 16 (RFC 9000, 17.3.1 and 19.8; RFC 9001, 5.3).
	quicHeaders = 25 + 19 + 16
)

// docs/method/definitions.md, udp: "The interface sends 3 to 12 % more bytes than the
// bodies have". The least is what Ethernet, IP and UDP add to
// the largest datagrams. The most is what these and QUIC add to the smallest, 9
// %, and 8 KiB for each connection, 3 %: a handshake of three datagrams, its
// acknowledgements, HTTP/3's settings, and two probes of the path's MTU.
//
// And it "receives at most 1 % more packets than there are datagrams". Packets
// that arrive after the server has stopped are not counted as datagrams.
func TestCrossCheckBytesAndPacketsWithTheInterface(t *testing.T) {
	w := newWire(t)
	server := w.startServer(t, "--variant", "no-block")
	clientNode := w.startClient(t, 0, "--requests", "200")
	clientNode.wait(t)
	server.stop(t)

	wire, client, at := w.counters(t), clientNode.collect(), server.collect()
	if client.outcomes[record.OK] != 200 {
		t.Errorf("outcomes %v; want 200 ok", client.outcomes)
	}
	agree(t, "bytes of bodies, received and sent", client.bodyBytes, at.bodyBytes, 0)
	body := float64(client.bodyBytes)
	least := body * (maxDatagram + lowerHeaders) / maxDatagram
	most := body*(minDatagram+lowerHeaders)/(minDatagram-quicHeaders) + 200*8<<10
	t.Logf("%.0f bytes of bodies, %d on the wire (%+.2f %%); bounds %+.2f and %+.2f %%",
		body, wire.TxBytes, 100*(float64(wire.TxBytes)/body-1), 100*(least/body-1), 100*(most/body-1))
	if sent := float64(wire.TxBytes); sent < least || sent > most {
		t.Errorf("%d bytes on the wire; want %.0f to %.0f", wire.TxBytes, least, most)
	}
	if wire.TxBytes > wire.TxPackets*(maxDatagram+lowerHeaders) {
		t.Errorf("%d packets of %d bytes: the interface counts several as one", wire.TxPackets, wire.TxBytes)
	}
	if len(at.samples) == 0 {
		t.Fatal("no samples")
	}
	agree(t, "datagrams", at.samples[len(at.samples)-1].UDPInDatagrams, wire.RxPackets, 0.01)
}

// docs/method/definitions.md, Outcomes: "Each request ends in one outcome". The server has served exactly those
// requests that a client reports as ok. Behind XDP, a response may be served and not arrive in
// time. Then the server has served at least as many, and at most the lost ones more.
//
// The server has refused exactly those requests that a client reports as refused after
// a handshake. Before it, the server can distinguish two attempts only by the port, and
// counts one refusal if a port is drawn again within 100 ms: at 200/s for 20 of 28,000
// ports, 0.07 %. It counts one more each time that its transport dropped an answer and
// the client tried again. The client's own times say how often it may have tried. A busy
// server may read the two datagrams of a first flight more than 100 ms apart, so 2 % may
// count twice.
func TestCrossCheckRequestsOfBothEnds(t *testing.T) {
	for _, test := range []struct {
		variant, requests, rate, body string
		turnsAway, loses, early       bool
	}{
		// At a rate that a slow machine can serve: from 32 connections on that are not
		// accepted yet, the transport refuses by itself.
		{"no-block", "60", "30", "262144", false, false, false},
		{"userspace-block", "200", "300", "262144", true, false, false},
		{"userspace-early", "1000", "200", "4000000", true, false, true},
		{"xdp-block", "200", "300", "262144", true, true, false},
	} {
		t.Run(test.variant, func(t *testing.T) {
			w := newWire(t)
			// XDP is only in front of the first client: on the interface to it.
			server := w.startServer(t, "--variant", test.variant, "--quota", "2", "--idle-timeout", "1s", "--body", test.body)
			nodes := [...]*node{
				w.startClient(t, 0, "--mode", "parallel", "--requests", test.requests, "--rate", test.rate, "--timeout", "3s",
					"--body", test.body),
				w.startClient(t, 1, "--requests", "100", "--body", test.body),
			}
			for _, n := range nodes {
				n.wait(t)
			}
			server.stop(t)

			at := server.collect()
			for i, n := range nodes {
				client, address := n.collect().outcomes, clientAddresses[i]
				served, refused := at.served[address], at.refused[address]
				t.Logf("%s: %v, %d retries; the server served %d, refused %d",
					address, client, n.retries(), served, refused)
				lost := 0
				if test.loses {
					lost = client[record.Timeout] + client[record.Failed]
				}
				if served < client[record.OK] || served > client[record.OK]+lost {
					t.Errorf("%s: %v, but the server served %d", address, client, served)
				}
				least, most := client[record.Refused], client[record.Refused]
				if test.early {
					least, most = least-least/50, most+most/50+n.retries()
				}
				if refused < least || refused > most {
					t.Errorf("%s: %v, but the server refused %d; want %d to %d", address, client, refused, least, most)
				}
			}
			client := nodes[0].collect().outcomes
			if away := client[record.Refused] + client[record.Timeout]; test.turnsAway != (away > 0) {
				t.Errorf("%d requests of the parallel client were turned away", away)
			}
		})
	}
}

// retries returns how often a client without an answer to its first packets has sent
// them again: after 200 ms, then after twice the last wait (RFC 9002, 6.2; the
// transport assumes 100 ms for an unknown round-trip time).
func (n *node) retries() int {
	count := 0
	for _, l := range n.records {
		if l.Request == nil {
			continue
		}
		unanswered := l.Request.HandshakeNS
		if unanswered == 0 {
			unanswered = l.Request.EndNS
		}
		for at, wait := int64(200e6), int64(200e6); at <= unanswered; at += wait {
			count++
			wait *= 2
		}
	}
	return count
}

// agree fails if two counts differ by more than a share of the second.
func agree[N int | int64 | uint64](t *testing.T, what string, ours, theirs N, tolerance float64) {
	t.Helper()
	t.Logf("%s: ours %d, theirs %d", what, ours, theirs)
	if math.Abs(float64(ours)-float64(theirs)) > tolerance*float64(theirs) {
		t.Errorf("%s: ours %d, theirs %d; they may differ by %g %%", what, ours, theirs, 100*tolerance)
	}
}

// sums holds the totals of a node's records.
type sums struct {
	outcomes        map[record.Outcome]int
	served, refused map[string]int // by the client's address
	bodyBytes       int64          // of a client's requests, or a server's connections
	samples         []record.Sample
	gateway         *record.Gateway
}

// collect adds up the records of a node, once it has ended.
func (n *node) collect() *sums {
	s := &sums{outcomes: map[record.Outcome]int{}, served: map[string]int{}, refused: map[string]int{}}
	for _, l := range n.records {
		switch {
		case l.Request != nil:
			s.outcomes[l.Request.Outcome]++
			s.bodyBytes += l.Request.BodyBytes
		case l.Connection != nil:
			s.served[l.Connection.Client] += l.Connection.Served
			s.bodyBytes += l.Connection.BodyBytes
		case l.Refusal != nil:
			s.refused[l.Refusal.Client]++
		case l.Sample != nil:
			s.samples = append(s.samples, *l.Sample)
		case l.Gateway != nil:
			s.gateway = l.Gateway
		}
	}
	return s
}
