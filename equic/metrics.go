//go:build linux && !mips && !mips64 && !ppc64 && !s390x

package equic

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
)

// MetricsHandler serves the gateway's counters in Prometheus' text format (version
// 0.0.4). Mount it so that only your monitoring can reach it. After Close it answers
// 503.
//
//	equic_packets_total{port,reason}   packets by verdict; port "" is none of Options.Ports
//	equic_attached{interface,mode}     one if the kernel runs the program, zero if not
//	equic_attachment_seconds           time of the last change of that, since the Unix epoch
//	equic_connections{port}            counted connections
//	equic_clients{port}                clients with connections
//	equic_clients_blocked{port}        clients at their quota
//	equic_quota{port}                  connections that each client may have
//	equic_half_open{address}           handshakes in progress; the address is validated or unvalidated
//	equic_table_full_total             times that there was no room for a client
//	equic_events_lost_total            events that were not delivered
func MetricsHandler(g *Gateway) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		var b bytes.Buffer
		if err := g.writeMetrics(&b); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		_, _ = w.Write(b.Bytes()) // the client has gone
	})
}

func (g *Gateway) writeMetrics(w io.Writer) error {
	s, err := g.Stats()
	if err != nil {
		return err
	}
	m := metrics{w}
	m.head("equic_packets_total", "counter", "Packets by what became of them.")
	for i, reason := range reasons {
		if i < firstOfPort {
			m.sample("equic_packets_total", s.Packets[reason], "port", "", "reason", reason)
			continue
		}
		for _, port := range slices.Sorted(maps.Keys(s.Ports)) {
			m.sample("equic_packets_total", s.Ports[port].Packets[reason], "port", port, "reason", reason)
		}
	}
	g.writeAttachment(m)
	g.writeClients(m)
	m.head("equic_half_open", "gauge", "Handshakes in progress.")
	m.sample("equic_half_open", uint64(s.HalfOpen.Validated), "address", "validated")
	m.sample("equic_half_open", uint64(s.HalfOpen.Unvalidated), "address", "unvalidated")
	m.head("equic_table_full_total", "counter", "Times that there was no place for a client.")
	m.sample("equic_table_full_total", s.Full)
	m.head("equic_events_lost_total", "counter", "Events that were not delivered.")
	m.sample("equic_events_lost_total", s.EventsLost)
	return nil
}

func (g *Gateway) writeAttachment(m metrics) {
	now := g.Attachment()
	attached := map[bool]uint64{true: 1}[now.Attached]
	m.head("equic_attached", "gauge", "Whether the kernel runs the program.")
	m.sample("equic_attached", attached, "interface", now.Interface, "mode", now.Mode)
	m.head("equic_attachment_seconds", "gauge", "Unix time since when that is so.")
	m.sample("equic_attachment_seconds", uint64(now.Since.Unix()))
}

func (g *Gateway) writeClients(m metrics) {
	connections, clients, blocked := map[uint16]uint64{}, map[uint16]uint64{}, map[uint16]uint64{}
	for c := range g.Clients() {
		connections[c.Port] += uint64(c.Connections)
		clients[c.Port]++
		if c.Blocked {
			blocked[c.Port]++
		}
	}
	for _, gauge := range []struct {
		name, help string
		value      func(port uint16) uint64
	}{
		{"equic_connections", "Connections that are counted now.", func(p uint16) uint64 { return connections[p] }},
		{"equic_clients", "Clients that have connections.", func(p uint16) uint64 { return clients[p] }},
		{"equic_clients_blocked", "Clients at their quota.", func(p uint16) uint64 { return blocked[p] }},
		{"equic_quota", "Connections that a client may have.", func(p uint16) uint64 { return uint64(g.Quota(p)) }},
	} {
		m.head(gauge.name, "gauge", gauge.help)
		for _, p := range g.options.Ports {
			m.sample(gauge.name, gauge.value(p.Number), "port", p.Number)
		}
	}
}

// metrics writes lines to a buffer, so writing cannot fail.
type metrics struct{ w io.Writer }

func (m metrics) head(name, kind, help string) {
	_, _ = fmt.Fprintf(m.w, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

// sample writes one value with its labels: name, value, name, value. None of our labels
// contains a character that needs an escape.
func (m metrics) sample(name string, value uint64, labels ...any) {
	_, _ = io.WriteString(m.w, name)
	for i := 0; i < len(labels); i += 2 {
		separator := ","
		if i == 0 {
			separator = "{"
		}
		_, _ = fmt.Fprintf(m.w, `%s%s="%v"`, separator, labels[i], labels[i+1])
	}
	if len(labels) > 0 {
		_, _ = io.WriteString(m.w, "}")
	}
	_, _ = fmt.Fprintf(m.w, " %d\n", value)
}
