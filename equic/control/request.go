package control

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/equic-bench/equic-bench/equic"
)

// names are the requests, as an error message lists them.
const names = "inc, tryinc, dec, validate, begin, hello, complete, fail, cancel, " +
	"status, clients, networks, quota, rate, monitor, allow, unallow, deny, undeny, evict, claimed, handover"

const beginForm = "begin ID FROM [validated|asked] [PORT]"

// request is a kind of request.
type request struct {
	form        string // as an error message shows it
	least, most int    // arguments
	do          func(s *session, arguments []string) (reply string, err error)
}

// requests are all requests, by name.
var requests = map[string]request{
	"inc":    {"inc ADDR [PORT]", 1, 2, counts((*session).inc)},
	"tryinc": {"tryinc ADDR [PORT]", 1, 2, counts((*session).tryInc)},
	"dec":    {"dec ADDR [PORT]", 1, 2, counts((*session).dec)},

	"validate": {"validate ADDR [PORT]", 1, 2, counts((*session).validate)},
	"begin":    {beginForm, 2, 4, begin},
	"hello":    {"hello ID", 1, 1, ofHandshake((*session).hello)},
	"complete": {"complete ID", 1, 1, ofHandshake((*session).complete)},
	"fail":     {"fail ID", 1, 1, ofHandshake((*session).fail)},
	"cancel":   {"cancel ID", 1, 1, ofHandshake((*session).cancel)},

	"status":  {"status", 0, 0, func(s *session, _ []string) (string, error) { return s.server.status() }},
	"clients": {"clients", 0, 0, func(s *session, _ []string) (string, error) { return "", s.clients(s.server.Gateway.Clients) }},
	"networks": {"networks", 0, 0, func(s *session, _ []string) (string, error) {
		return "", s.clients(s.server.Gateway.Networks)
	}},
	"quota":   {"quota N [PORT]", 1, 2, quota},
	"rate":    {"rate R [BURST [PORT]]", 1, 3, rate},
	"monitor": {"monitor on|off", 1, 1, monitor},
	"allow":   {"allow PREFIX [for DURATION]", 1, 3, list(allowed)},
	"unallow": {"unallow PREFIX", 1, 1, unlist(allowed)},
	"deny":    {"deny PREFIX [for DURATION]", 1, 3, list(denied)},
	"undeny":  {"undeny PREFIX", 1, 1, unlist(denied)},

	"evict": {"evict PREFIX [for DURATION]", 1, 3, evict},

	"claimed": {"claimed", 0, 0, func(s *session, _ []string) (string, error) { return "", s.reportClaimed() }},
	"handover": {"handover [FOLDER]", 0, 1, func(s *session, arguments []string) (string, error) {
		return "", s.handOver(arguments)
	}},
}

// counts makes the request inc, tryinc, dec or validate.
func counts(do func(*session, client) error) func(*session, []string) (string, error) {
	return func(s *session, arguments []string) (string, error) {
		addr, err := netip.ParseAddr(arguments[0])
		if err != nil {
			return "", fmt.Errorf("%.64q is not an address: give one such as 192.0.2.7 or 2001:db8::7", arguments[0])
		}
		port, err := s.server.port(arguments[1:])
		if err != nil {
			return "", err
		}
		return "", do(s, client{port: port, addr: addr.Unmap().WithZone("")})
	}
}

// quota changes the quota of a port.
func quota(s *session, arguments []string) (string, error) {
	n, err := strconv.Atoi(arguments[0])
	if err != nil {
		return "", fmt.Errorf("quota is %.32q: give a number of connections", arguments[0])
	}
	port, err := s.server.port(arguments[1:])
	if err != nil {
		return "", err
	}
	return "", s.server.Gateway.SetQuota(port, n)
}

// rate changes the rate of a port.
func rate(s *session, arguments []string) (string, error) {
	perSecond, err := strconv.ParseFloat(arguments[0], 64)
	if err != nil || perSecond < 0 {
		return "", fmt.Errorf("rate is %.32q: give packets per second, or 0 for no limit", arguments[0])
	}
	burst := 0
	if len(arguments) > 1 {
		if burst, err = strconv.Atoi(arguments[1]); err != nil {
			return "", fmt.Errorf("burst is %.32q: give a number of packets, or 0 for one second's worth", arguments[1])
		}
	}
	port, err := s.server.port(arguments[min(2, len(arguments)):])
	if err != nil {
		return "", err
	}
	return "", s.server.Gateway.SetRate(port, perSecond, burst)
}

// monitor turns monitor mode on or off.
func monitor(s *session, arguments []string) (string, error) {
	on := arguments[0] == "on"
	if !on && arguments[0] != "off" {
		return "", fmt.Errorf("monitor is %.32q: give on or off", arguments[0])
	}
	before := s.server.Gateway.Monitor()
	if err := s.server.Gateway.SetMonitor(on); err != nil {
		return "", err
	}
	switch {
	case on && !before:
		s.server.Log.Warn("monitor mode is on: nothing is dropped")
	case before && !on:
		s.server.Log.Info("monitor mode is off: clients over their limits are dropped")
	}
	return "", nil
}

// reportClaimed reports, once for each connection, that its server has claimed all it has.
func (s *session) reportClaimed() error {
	if s.claimed {
		return errors.New("this connection has sent claimed before")
	}
	s.claimed = true
	if s.owner { // the predecessor's owners are those that had counted something
		s.server.Gateway.Claimed()
	}
	return nil
}

// handOver gives the gateway up for a successor. If that names its folder, it must be this gateway's.
func (s *session) handOver(folder []string) error {
	if s.server.Options.HandOver == nil {
		return errors.New("this gateway cannot be handed over: restart it with --pin")
	}
	if len(folder) > 0 {
		ours, err := os.Stat(s.server.Folder)
		theirs, theirErr := os.Stat(folder[0])
		if err := errors.Join(err, theirErr); err != nil {
			return err
		}
		if !os.SameFile(ours, theirs) {
			return fmt.Errorf("this gateway is in %s: give the socket of the one in %s", s.server.Folder, folder[0])
		}
	}
	s.server.Log.Info("a successor takes over")
	s.end = s.server.HandOver
	return nil
}

func allowed(s *Server) List { return s.Allowed }
func denied(s *Server) List  { return s.Denied }

// list makes the request allow or deny.
func list(of func(*Server) List) func(*session, []string) (string, error) {
	return func(s *session, arguments []string) (string, error) {
		p, err := ParsePrefix(arguments[0])
		if err != nil {
			return "", err
		}
		if len(arguments) == 1 {
			return "", of(s.server).Add(p)
		}
		d, err := duration(arguments[1:])
		if err != nil {
			return "", err
		}
		return "", of(s.server).AddFor(p, d)
	}
}

// evictTime is how long evict drops the packets of a client: twice the idle timeout of quic-go, and
// some more. A server that sends once in that time starts its timer again (RFC 9000, 10.1).
const evictTime = 65 * time.Second

// evict ends the connections of clients: all of their packets are dropped until the server's
// idle timeout has ended them.
func evict(s *session, arguments []string) (string, error) {
	p, err := ParsePrefix(arguments[0])
	if err != nil {
		return "", err
	}
	d := evictTime
	if len(arguments) > 1 {
		if d, err = duration(arguments[1:]); err != nil {
			return "", err
		}
	}
	if p, err = equic.ListedPrefix(p); err != nil {
		return "", err
	}
	for _, l := range s.server.Denied.Added() {
		if l.Prefix == p && (l.Until.IsZero() || time.Until(l.Until) > d) {
			return "", nil // it is denied for longer
		}
	}
	return "", s.server.Denied.AddFor(p, d)
}

// duration parses "for DURATION".
func duration(arguments []string) (time.Duration, error) {
	const advice = "give one such as for 90s, for 10m or for 24h"
	if arguments[0] != "for" {
		return 0, fmt.Errorf("%.32q is no time: %s", arguments[0], advice)
	}
	if len(arguments) == 1 {
		return 0, errors.New("for has no time after it: " + advice)
	}
	d, err := time.ParseDuration(arguments[1])
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("for %.32q is no time: %s", arguments[1], advice)
	}
	return d, nil
}

// unlist makes the request unallow or undeny.
func unlist(of func(*Server) List) func(*session, []string) (string, error) {
	return func(s *session, arguments []string) (string, error) {
		p, err := ParsePrefix(arguments[0])
		if err != nil {
			return "", err
		}
		return "", of(s.server).Remove(p)
	}
}

// ParsePrefix parses a prefix. A single address is a prefix of full length.
func ParsePrefix(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%.64q is not a prefix: give one such as 192.0.2.0/24, or an address", text)
	}
	return p, nil
}

// port parses the argument PORT. It may be left out if there is only one port.
func (s *Server) port(arguments []string) (uint16, error) {
	if len(arguments) == 0 {
		if len(s.Ports) != 1 {
			return 0, fmt.Errorf("several ports are protected: give one of %s", portNames(s.Ports))
		}
		return s.Ports[0].Number, nil
	}
	n, err := strconv.ParseUint(arguments[0], 10, 16)
	for _, p := range s.Ports {
		if err == nil && uint64(p.Number) == n {
			return p.Number, nil
		}
	}
	return 0, fmt.Errorf("port %.32q is not protected: give one of %s", arguments[0], portNames(s.Ports))
}

func portNames(ports []equic.Port) string {
	names := make([]string, len(ports))
	for i, p := range ports {
		names[i] = strconv.Itoa(int(p.Number))
	}
	return strings.Join(names, ", ")
}
