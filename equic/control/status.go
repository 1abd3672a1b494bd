package control

import (
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"net/netip"
	"time"

	"github.com/equic-bench/equic-bench/equic"
)

// status is the reply to `status`. Packets are totals since the start. Clients and
// connections are current numbers.
type status struct {
	Attached    bool              `json:"attached"` // everywhere
	Mode        equic.Mode        `json:"mode"`
	Attachments []attachment      `json:"attachments"`
	Monitor     bool              `json:"monitor"` // nothing is dropped
	Ports       []portStatus      `json:"ports"`   // in the order of Options.Ports
	Connections int               `json:"connections"`
	Inherited   int               `json:"inherited"` // of an earlier process, and in no other number yet
	Clients     int               `json:"clients"`
	Blocked     int               `json:"blocked"`
	HalfOpen    halfOpen          `json:"half_open"`
	Seen        uint64            `json:"seen"`
	Passed      uint64            `json:"passed"`
	Dropped     uint64            `json:"dropped"`
	Packets     map[string]uint64 `json:"packets"`    // of the whole interface, by reason
	WouldDrop   map[string]uint64 `json:"would_drop"` // those that only monitor mode let pass
	TableFull   uint64            `json:"table_full"`
	EventsLost  uint64            `json:"events_lost"`
	Allowed     []netip.Prefix    `json:"allowed"` // without the feeds, which may be long
	Denied      []netip.Prefix    `json:"denied"`
	AllowedFeed int               `json:"allowed_feed"` // number of prefixes
	DeniedFeed  int               `json:"denied_feed"`
	Expiring    []expiring        `json:"expiring"`
}

// attachment is one interface, or the place of a mode that has none.
type attachment struct {
	Interface string    `json:"interface,omitempty"`
	Attached  bool      `json:"attached"`
	Since     time.Time `json:"since"`            // when it was attached, or detached
	Reason    string    `json:"reason,omitempty"` // why it is not attached
}

// expiring is a prefix in Allowed or Denied that will leave its list.
type expiring struct {
	List        string       `json:"list"` // allowed or denied
	Prefix      netip.Prefix `json:"prefix"`
	Until       time.Time    `json:"until"`
	SecondsLeft int          `json:"seconds_left"` // rounded up
}

// halfOpen is the number of handshakes in progress, from validated and from other
// addresses, and the limit on the latter.
type halfOpen struct {
	Validated   int `json:"validated"`
	Unvalidated int `json:"unvalidated"`
	Limit       int `json:"limit"`
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
	TurnedAway        uint64            `json:"turned_away"` // times that a client at its quota was, or would have been
	Seen              uint64            `json:"seen"`
	Passed            uint64            `json:"passed"`
	Dropped           uint64            `json:"dropped"`
	Packets           map[string]uint64 `json:"packets"` // by reason
	WouldDrop         map[string]uint64 `json:"would_drop"`
}

// status returns the state of the gateway as a JSON object.
func (s *Server) status() (string, error) {
	stats, err := s.Gateway.Stats()
	if err != nil {
		return "", err
	}
	report := status{
		Monitor: s.Gateway.Monitor(), Inherited: s.Gateway.Inherited(),
		Seen: stats.Seen, Passed: stats.Passed, Dropped: stats.Dropped, Packets: stats.Packets, WouldDrop: stats.WouldDrop,
		HalfOpen:  halfOpen{stats.HalfOpen.Validated, stats.HalfOpen.Unvalidated, stats.HalfOpenLimit},
		TableFull: stats.Full, EventsLost: stats.EventsLost,
		AllowedFeed: s.Allowed.FeedSize(), DeniedFeed: s.Denied.FeedSize(), Expiring: []expiring{}, // not null in JSON
	}
	report.Allowed = report.list("allowed", s.Allowed.Added())
	report.Denied = report.list("denied", s.Denied.Added())
	report.attachments(s.Gateway.Attachments())
	turnedAway := s.Gateway.TurnedAway()
	for _, p := range s.Gateway.Ports() {
		n := stats.Ports[p.Number]
		report.Ports = append(report.Ports, portStatus{
			Port: p.Number, Quota: p.Quota, Policy: p.Policy,
			InitialsPerSecond: max(p.InitialsPerSecond, 0), Burst: p.Burst,
			TurnedAway: turnedAway[p.Number],
			Seen:       n.Seen, Passed: n.Passed, Dropped: n.Dropped, Packets: n.Packets, WouldDrop: n.WouldDrop,
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

// attachments adds where the program is attached.
func (report *status) attachments(all []equic.Attachment) {
	report.Attached = true
	for _, at := range all {
		a := attachment{Interface: at.Interface, Attached: at.Attached, Since: at.Since.UTC()}
		if at.Err != nil {
			a.Reason = at.Err.Error()
		}
		report.Attached = report.Attached && at.Attached
		report.Mode = at.Mode
		report.Attachments = append(report.Attachments, a)
	}
}

// list returns the prefixes on a list, not nil, and notes those that will leave it.
func (report *status) list(name string, on []equic.Listing) []netip.Prefix {
	prefixes := make([]netip.Prefix, len(on))
	for i, l := range on {
		prefixes[i] = l.Prefix
		if !l.Until.IsZero() {
			left := max(0, int(math.Ceil(time.Until(l.Until).Seconds())))
			report.Expiring = append(report.Expiring, expiring{name, l.Prefix, l.Until.UTC(), left})
		}
	}
	return prefixes
}

// clientStatus is one element of the reply to `clients`.
type clientStatus struct {
	Client      netip.Prefix `json:"client"`
	Port        uint16       `json:"port"`
	Connections int          `json:"connections"`
	Blocked     bool         `json:"blocked"`
}

// clients writes a JSON array of all clients, or networks, in no particular order. WriteTimeout
// applies to the whole reply, so a slow reader cannot occupy a place for long.
func (s *session) clients(all func() iter.Seq[equic.Client]) error {
	select {
	case s.server.snapshots <- struct{}{}:
		defer func() { <-s.server.snapshots }()
	default:
		return fmt.Errorf("%d connections are reading the clients now: ask again", maxSnapshots)
	}
	s.timed.begin()
	defer s.timed.end()
	separator := "["
	for c := range all() {
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
