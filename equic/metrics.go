//go:build linux && !mips && !mips64 && !ppc64 && !s390x

package equic

import (
	"bytes"
	"fmt"
	"io"
	"iter"
	"maps"
	"net/http"
	"slices"
	"sync"
)

// MetricsHandler serves the gateway's counters in Prometheus' text format (version
// 0.0.4). Mount it so that only your monitoring can reach it. After Close it answers
// 503.
//
//	equic_packets_total{port,reason}        packets by verdict; port "" is none of Options.Ports
//	equic_would_drop_total{port,reason}     packets that only monitor mode let pass, by what would have dropped them
//	equic_monitor                           one in monitor mode, zero if not
//	equic_attached{interface,mode}          one if the kernel runs the program, zero if not
//	equic_attachment_seconds{interface}     Unix time of the last change of equic_attached
//	equic_connections{port}                 counted connections
//	equic_clients{port}                     clients with connections
//	equic_clients_blocked{port}             clients at their quota that are not allowed
//	equic_clients_turned_away_total{port}   times that a client at its quota was turned away, or in monitor mode would have been
//	equic_networks{port}                    networks that have connections, if they are limited
//	equic_networks_blocked{port}            networks at their quota
//	equic_quota{port}                       connections that each client may have
//	equic_list_prefixes{list,source}        prefixes on the list allowed or denied, each once; the source is file (the feed) or other
//	equic_half_open{address}                handshakes in progress; the address is validated or unvalidated
//	equic_half_open_limit                   those of unvalidated addresses above which new ones are validated
//	equic_table_full_total                  times that there was no room for a client
//	equic_events_lost_total                 events that were not delivered
func MetricsHandler(g *Gateway) http.Handler {
	var one sync.Mutex // each answer copies all clients
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		var b bytes.Buffer
		one.Lock()
		err := g.writeMetrics(&b)
		one.Unlock()
		if err != nil {
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
	m.head("equic_packets_total", "counter", "Packets by verdict and reason.")
	for i := range reasons {
		m.packets("equic_packets_total", s, i, func(c Counts) map[string]uint64 { return c.Packets })
	}
	m.head("equic_would_drop_total", "counter", "Packets that monitor mode let pass, by what would have dropped them.")
	for i := range reasons {
		if isDrop(i) {
			m.packets("equic_would_drop_total", s, i, func(c Counts) map[string]uint64 { return c.WouldDrop })
		}
	}
	m.head("equic_monitor", "gauge", "Whether monitor mode is on: nothing is dropped.")
	m.sample("equic_monitor", map[bool]uint64{true: 1}[g.Monitor()])
	g.writeAttachment(m)
	g.writeClients(m)
	m.head("equic_list_prefixes", "gauge", "Prefixes on a list, each once.")
	m.list("allowed", g.allowed)
	m.list("denied", g.denied)
	m.head("equic_half_open", "gauge", "Handshakes in progress.")
	m.sample("equic_half_open", uint64(s.HalfOpen.Validated), "address", "validated")
	m.sample("equic_half_open", uint64(s.HalfOpen.Unvalidated), "address", "unvalidated")
	m.head("equic_half_open_limit", "gauge", "Unvalidated handshakes in progress above which new ones are validated.")
	m.sample("equic_half_open_limit", uint64(s.HalfOpenLimit)) // validated
	m.head("equic_table_full_total", "counter", "Times that there was no place for a client.")
	m.sample("equic_table_full_total", s.Full)
	m.head("equic_events_lost_total", "counter", "Events that were not delivered.")
	m.sample("equic_events_lost_total", s.EventsLost)
	return nil
}

// packets writes the counter of one reason, for each port to which it may apply.
func (m metrics) packets(name string, s Stats, reason int, of func(Counts) map[string]uint64) {
	if reason < firstOfPort {
		m.sample(name, of(s.Counts)[reasons[reason]], "port", "", "reason", reasons[reason])
		return
	}
	for _, port := range slices.Sorted(maps.Keys(s.Ports)) {
		m.sample(name, of(s.Ports[port])[reasons[reason]], "port", port, "reason", reasons[reason])
	}
}

// list writes the size of a list by source. A prefix that is also in the feed counts
// there alone.
func (m metrics) list(name string, l *List) {
	feed, others := l.sizes()
	m.sample("equic_list_prefixes", uint64(feed), "list", name, "source", "file")
	m.sample("equic_list_prefixes", uint64(others), "list", name, "source", "other")
}

func (g *Gateway) writeAttachment(m metrics) {
	all := g.Attachments()
	m.head("equic_attached", "gauge", "Whether the kernel runs the program.")
	for _, now := range all {
		attached := map[bool]uint64{true: 1}[now.Attached]
		m.sample("equic_attached", attached, "interface", now.Interface, "mode", now.Mode)
	}
	m.head("equic_attachment_seconds", "gauge", "Unix time of the last change of equic_attached.")
	for _, now := range all {
		m.sample("equic_attachment_seconds", uint64(now.Since.Unix()), "interface", now.Interface)
	}
}

func (g *Gateway) writeClients(m metrics) {
	connections, clients, blocked := countClients(g.Clients())
	_, networks, networksBlocked := countClients(g.Networks())
	turnedAway := g.TurnedAway()
	for _, metric := range []struct {
		name, kind, help string
		value            func(port uint16) uint64
	}{
		{"equic_connections", "gauge", "Connections that are counted now.", func(p uint16) uint64 { return connections[p] }},
		{"equic_clients", "gauge", "Clients that have connections.", func(p uint16) uint64 { return clients[p] }},
		{"equic_clients_blocked", "gauge", "Clients at their quota.", func(p uint16) uint64 { return blocked[p] }},
		{
			"equic_clients_turned_away_total", "counter",
			"Times that a client at its quota was turned away, or in monitor mode would have been.",
			func(p uint16) uint64 { return turnedAway[p] },
		},
		{"equic_networks", "gauge", "Networks that have connections, if they are limited.", func(p uint16) uint64 { return networks[p] }},
		{"equic_networks_blocked", "gauge", "Networks at their quota.", func(p uint16) uint64 { return networksBlocked[p] }},
		{"equic_quota", "gauge", "Connections that a client may have.", func(p uint16) uint64 { return uint64(g.Quota(p)) }},
	} {
		m.head(metric.name, metric.kind, metric.help)
		for _, p := range g.options.Ports {
			m.sample(metric.name, metric.value(p.Number), "port", p.Number)
		}
	}
}

// countClients counts clients, or networks, by port.
func countClients(all iter.Seq[Client]) (connections, clients, blocked map[uint16]uint64) {
	connections, clients, blocked = map[uint16]uint64{}, map[uint16]uint64{}, map[uint16]uint64{}
	for c := range all {
		connections[c.Port] += uint64(c.Connections)
		clients[c.Port]++
		if c.Blocked {
			blocked[c.Port]++
		}
	}
	return connections, clients, blocked
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
