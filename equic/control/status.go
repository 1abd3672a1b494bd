package control

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/equic-bench/equic-bench/equic"
)

// status is the reply to `status`. Packets are totals since the start. Clients and
// connections are current numbers.
type status struct {
	Interface   string            `json:"interface"`
	Attached    bool              `json:"attached"`
	Mode        equic.Mode        `json:"mode"`
	Since       time.Time         `json:"since"`            // when it was attached, or detached
	Reason      string            `json:"reason,omitempty"` // why it is not attached
	Ports       []portStatus      `json:"ports"`            // in the order of Options.Ports
	Connections int               `json:"connections"`
	Clients     int               `json:"clients"`
	Blocked     int               `json:"blocked"`
	HalfOpen    halfOpen          `json:"half_open"`
	Seen        uint64            `json:"seen"`
	Passed      uint64            `json:"passed"`
	Dropped     uint64            `json:"dropped"`
	Packets     map[string]uint64 `json:"packets"` // of the whole interface, by reason
	TableFull   uint64            `json:"table_full"`
	EventsLost  uint64            `json:"events_lost"`
	Allowed     []netip.Prefix    `json:"allowed"`
	Denied      []netip.Prefix    `json:"denied"`
}

// halfOpen is the number of handshakes in progress, from validated and from other
// addresses.
type halfOpen struct {
	Validated   int `json:"validated"`
	Unvalidated int `json:"unvalidated"`
}

// portStatus is one port in the reply to `status`.
type portStatus struct {
	Port              uint16            `json:"port"`
	Quota             int               `json:"quota"`
	Policy            equic.Policy      `json:"policy"`
	InitialsPerSecond float64           `json:"initials_per_second"` // zero: no limit
	Burst             int               `json:"burst"`               // zero: one second's worth, at least 4
	Connections       int               `json:"connections"`
	Clients           int               `json:"clients"`
	Blocked           int               `json:"blocked"`
	Seen              uint64            `json:"seen"`
	Passed            uint64            `json:"passed"`
	Dropped           uint64            `json:"dropped"`
	Packets           map[string]uint64 `json:"packets"` // by reason
}

// status returns the state of the gateway as a JSON object.
func (s *Server) status() (string, error) {
	stats, err := s.Gateway.Stats()
	if err != nil {
		return "", err
	}
	at := s.Gateway.Attachment()
	report := status{
		Interface: at.Interface, Attached: at.Attached, Mode: at.Mode, Since: at.Since.UTC(),
		Seen: stats.Seen, Passed: stats.Passed, Dropped: stats.Dropped, Packets: stats.Packets,
		HalfOpen: halfOpen(stats.HalfOpen), TableFull: stats.Full, EventsLost: stats.EventsLost,
		Allowed: notNil(s.Allowed.Prefixes()), Denied: notNil(s.Denied.Prefixes()),
	}
	if at.Err != nil {
		report.Reason = at.Err.Error()
	}
	for _, p := range s.Ports {
		n := stats.Ports[p.Number]
		r := s.rates.of(p.Number)
		report.Ports = append(report.Ports, portStatus{
			Port: p.Number, Quota: s.Gateway.Quota(p.Number), Policy: p.Policy,
			InitialsPerSecond: max(r.perSecond, 0), Burst: r.burst,
			Seen: n.Seen, Passed: n.Passed, Dropped: n.Dropped, Packets: n.Packets,
		})
	}
	s.count(&report)
	line, err := json.Marshal(report)
	if err != nil {
		return "", fmt.Errorf("write status: %w", err)
	}
	return string(line), nil
}

// count adds the current clients to the report. Only one connection at a time: each
// call copies all clients.
func (s *Server) count(report *status) {
	s.counting.Lock()
	defer s.counting.Unlock()
	of := make(map[uint16]*portStatus, len(report.Ports))
	for i := range report.Ports {
		of[report.Ports[i].Port] = &report.Ports[i]
	}
	for c := range s.Gateway.Clients() {
		p := of[c.Port]
		if p == nil {
			continue
		}
		p.Clients++
		p.Connections += c.Connections
		if c.Blocked {
			p.Blocked++
		}
	}
	for _, p := range report.Ports {
		report.Clients += p.Clients
		report.Connections += p.Connections
		report.Blocked += p.Blocked
	}
}

// notNil makes an empty list [] in JSON, not null.
func notNil(list []netip.Prefix) []netip.Prefix {
	return append([]netip.Prefix{}, list...)
}

// clientStatus is one element of the reply to `clients`.
type clientStatus struct {
	Client      netip.Prefix `json:"client"`
	Port        uint16       `json:"port"`
	Connections int          `json:"connections"`
	Blocked     bool         `json:"blocked"`
}

// clients writes a JSON array of all clients, in no particular order. WriteTimeout
// applies to the whole reply, so a slow reader cannot occupy a place for long.
func (s *session) clients() error {
	select {
	case s.server.snapshots <- struct{}{}:
		defer func() { <-s.server.snapshots }()
	default:
		return fmt.Errorf("%d connections read the clients now: ask again", maxSnapshots)
	}
	s.timed.begin()
	defer s.timed.end()
	separator := "["
	for c := range s.server.Gateway.Clients() {
		element, err := json.Marshal(clientStatus{c.Prefix, c.Port, c.Connections, c.Blocked})
		if err == nil {
			_, err = s.out.WriteString(separator)
		}
		if err == nil {
			_, err = s.out.Write(element)
		}
		if err != nil {
			return errSent // the writer keeps the error for serve
		}
		separator = ","
	}
	if separator == "[" {
		_ = s.out.WriteByte('[')
	}
	_, _ = s.out.WriteString("]\n")
	return errSent
}

// rates are the rates in force, as they were requested: the gateway stores them in
// another form.
type rates struct {
	mu     sync.Mutex
	byPort map[uint16]rateOf
}

type rateOf struct {
	perSecond float64
	burst     int
}

func newRates(ports []equic.Port) *rates {
	r := &rates{byPort: make(map[uint16]rateOf)}
	for _, p := range ports {
		r.byPort[p.Number] = rateOf{perSecond: p.InitialsPerSecond, burst: p.Burst}
	}
	return r
}

// set changes a rate, and stores it on success.
func (r *rates) set(port uint16, perSecond float64, burst int, change func(uint16, float64, int) error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := change(port, perSecond, burst); err != nil {
		return err
	}
	r.byPort[port] = rateOf{perSecond: perSecond, burst: burst}
	return nil
}

func (r *rates) of(port uint16) rateOf {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.byPort[port]
}
