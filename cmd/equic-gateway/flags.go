package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os/user"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/equic-bench/equic-bench/equic"
	"github.com/equic-bench/equic-bench/equic/control"
)

const defaultSocket = "/run/equic-gateway.sock"

// flags holds the command line as given.
type flags struct {
	gateway         equic.Options // options that need no parsing
	mode, policy    string
	ports           []string
	allowed, denied []string
	quotas          []string
	files           listFiles
	pass            []string
	socket, metrics string
	group, access   string // of the socket
	events          bool
}

func (f *flags) register(set *pflag.FlagSet) {
	set.SortFlags = false
	o := &f.gateway
	set.StringArrayVar(&o.Interfaces, "interface", nil,
		"network interface on which clients arrive (required, unless the mode is netfilter; repeatable)")
	set.StringArrayVar(&f.ports, "port", nil,
		"UDP port to protect; 443=20 gives it a quota of its own (required, repeatable)")
	set.IntVar(&o.Quota, "quota", equic.DefaultQuota, "connections that a client may have at once")
	set.StringVar(&f.policy, "policy", string(equic.PolicyNew),
		"packets to drop from a client at its quota: new (those that open a connection) or client (all)")
	set.Float64Var(&o.InitialsPerSecond, "rate", 0, "packets that open a connection, per client and second; 0 is no limit")
	set.IntVar(&o.Burst, "burst", 0, "such packets at once; 0 is one second's worth, at least 4")
	set.DurationVar(&o.HoldDown, "hold-down", equic.DefaultHoldDown,
		"how long an ended connection counts if its client was turned away lately (policy new)")
	set.IntVar(&o.HalfOpen.Total, "half-open", equic.DefaultHalfOpen(),
		"handshakes in progress from addresses that are not validated; above it, begin asks for a Retry")
	set.Lookup("half-open").DefValue = strconv.Itoa(equic.DefaultHalfOpenPerCPU) + " per CPU, at least 48"
	set.IntVar(&o.HalfOpen.PerClient, "half-open-per-client", equic.DefaultHalfOpenPerClient, "the same for each client")
	set.StringVar(&f.mode, "mode", string(equic.Native),
		"where the program runs: native (XDP in the driver), generic (XDP), tc, netfilter, or auto (the first that works)")
	set.IntVar(&o.MaxClients, "max-clients", equic.DefaultMaxClients, "clients that the kernel's map holds")
	set.IntVar(&o.IPv4Prefix, "ipv4-prefix", equic.DefaultIPv4Prefix, "length of the IPv4 prefix that is one client")
	set.IntVar(&o.IPv6Prefix, "ipv6-prefix", equic.DefaultIPv6Prefix, "length of the IPv6 prefix that is one client")
	set.StringArrayVar(&f.quotas, "quota-of", nil,
		"quota of each client in a prefix, such as 100.64.0.0/10=200, in place of the others (repeatable)")
	set.IntVar(&o.Networks.Quota, "network-quota", 0,
		"connections that all clients of a network together may have at each port; 0 is no limit")
	set.IntVar(&o.Networks.IPv4Prefix, "network-ipv4-prefix", 0,
		"length of the IPv4 prefix that is a network; 0 is 24, but no more than a client's")
	set.IntVar(&o.Networks.IPv6Prefix, "network-ipv6-prefix", 0, "the same for IPv6; 0 is 48")
	set.StringArrayVar(&f.allowed, "allow", nil, "prefix that is never dropped (repeatable)")
	set.StringArrayVar(&f.denied, "deny", nil, "prefix that is always dropped, unless allowed (repeatable)")
	set.StringVar(&f.files.allow, "allow-file", "", "file with allowed prefixes, one per line; read again on SIGHUP")
	set.StringVar(&f.files.deny, "deny-file", "", "the same for prefixes that are dropped")
	set.IntVar(&o.MaxPrefixes, "max-prefixes", equic.DefaultMaxPrefixes, "prefixes that each of the two lists has room for")
	set.BoolVar(&o.AllowTunnels, "allow-tunnels", false,
		"start even if a tunnel device is up, although packets inside the tunnel are not seen")
	set.BoolVar(&o.LongIDs, "long-ids", false,
		"the server's connection IDs have 8 bytes or more: an Initial to a shorter one opens a connection, too")
	set.BoolVar(&o.Monitor, "monitor", false,
		"count what would be dropped, but drop nothing and admit every client; the socket can change it")
	set.StringVar(&f.socket, "socket", defaultSocket, "Unix socket to listen on")
	set.StringVar(&f.group, "socket-group", "", "group that owns the socket and may connect, by name or number")
	set.StringVar(&f.access, "socket-mode", "", "permissions of the socket, in octal; 0600, or 0660 with a group")
	set.StringSliceVar(&f.pass, "pass", nil,
		"do not drop what no QUIC client sends: fragments, options (IPv4), deep (headers)")
	set.StringVar(&f.metrics, "metrics", "", "loopback address for Prometheus, such as 127.0.0.1:9443; off if not given")
	set.BoolVar(&f.events, "events", false, "write events to standard output, as JSON lines")
	set.IntVar(&o.SamplesPerSecond, "samples", 0, "dropped packets per second that become an event (with --events)")
	set.StringVar(&o.Pin, "pin", "",
		"folder in a BPF file system, such as /sys/fs/bpf/equic, in which program, counts and lists outlive the process")
	set.VisitAll(func(flag *pflag.Flag) {
		if _, repeatable := flag.Value.(pflag.SliceValue); !repeatable {
			flag.Value = &onceValue{Value: flag.Value}
		}
	})
}

// onceValue is a flag that may be given only once: of two quotas, for example, only
// the last would be in force.
type onceValue struct {
	pflag.Value
	given bool
}

func (v *onceValue) Set(text string) error {
	if v.given {
		return errors.New("it is given twice: give it once")
	}
	v.given = true
	return v.Value.Set(text)
}

// inheritTime is how long the gateway keeps connections that an earlier process counted, if their server does
// not count them again.
const inheritTime = 10 * time.Second

// listFiles are the paths of the files with lists, empty for none.
type listFiles struct{ allow, deny string }

// options holds the parsed command line.
type options struct {
	gateway equic.Options
	files   listFiles
	socket  string
	access  control.Access
	metrics string // empty: off
	events  bool
}

func (f *flags) parse() (options, error) {
	o := options{gateway: f.gateway, files: f.files, socket: f.socket, metrics: f.metrics, events: f.events}
	g := &o.gateway
	if len(f.gateway.Interfaces) == 0 && f.mode != string(equic.Netfilter) || len(f.ports) == 0 {
		return o, wrong("give --interface and --port, such as --interface eth0 --port 443")
	}
	if f.socket == "" {
		return o, wrong("--socket is empty: give a path, such as %s", defaultSocket)
	}
	var err error
	if o.access, err = parseAccess(f.group, f.access); err != nil {
		return o, err
	}
	if f.gateway.SamplesPerSecond != 0 && !f.events {
		return o, wrong("--samples are events: give --events, too")
	}
	if err := f.refuseZeros(); err != nil {
		return o, err
	}
	g.Inherit = inheritTime
	if g.HoldDown == 0 {
		g.HoldDown = -1 // zero means the default there
	}
	if g.Mode, err = equic.ParseMode(f.mode); err != nil {
		return o, wrong("--mode: %w", err)
	}
	if g.Mode == equic.Socket {
		return o, wrong("--mode: only the server can attach to its socket, through the library: give another mode")
	}
	if g.Policy, err = equic.ParsePolicy(f.policy); err != nil {
		return o, wrong("--policy: %w", err)
	}
	for _, name := range f.pass {
		unusual, ok := unusuals[name]
		if !ok {
			return o, wrong("--pass: %q is unknown: give fragments, options or deep", name)
		}
		g.Pass |= unusual
	}
	if g.Allowed, err = prefixes(f.allowed); err != nil {
		return o, wrong("--allow: %w", err)
	}
	if g.Denied, err = prefixes(f.denied); err != nil {
		return o, wrong("--deny: %w", err)
	}
	if g.AllowedFeed, err = readPrefixes(f.files.allow); err != nil {
		return o, wrong("--allow-file: %w", err)
	}
	if g.DeniedFeed, err = readPrefixes(f.files.deny); err != nil {
		return o, wrong("--deny-file: %w", err)
	}
	for _, text := range f.quotas {
		q, err := parseQuota(text)
		if err != nil {
			return o, wrong("--quota-of: %w", err)
		}
		g.Quotas = append(g.Quotas, q)
	}
	for _, text := range f.ports {
		p, err := parsePort(text, *g)
		if err != nil {
			return o, wrong("--port: %w", err)
		}
		g.Ports = append(g.Ports, p)
	}
	return o, loopback(f.metrics)
}

// unusuals maps the names in --pass.
var unusuals = map[string]equic.Unusual{
	"fragments": equic.Fragments, "options": equic.IPv4Options, "deep": equic.DeepHeaders,
}

// refuseZeros refuses zeros that equic.Options would replace by the default.
func (f *flags) refuseZeros() error {
	o := f.gateway
	for name, n := range map[string]int{
		"quota": o.Quota, "max-clients": o.MaxClients, "ipv4-prefix": o.IPv4Prefix, "ipv6-prefix": o.IPv6Prefix,
		"half-open": o.HalfOpen.Total, "half-open-per-client": o.HalfOpen.PerClient, "max-prefixes": o.MaxPrefixes,
	} {
		if n == 0 {
			return wrong("--%s is 0: give 1 or more, or leave it out", name)
		}
	}
	if o.InitialsPerSecond < 0 { // no limit there
		return wrong("--rate is %v: give packets per second, or 0 for no limit", o.InitialsPerSecond)
	}
	return nil
}

// parseAccess reads who may connect to the socket. A group may, unless a mode is given
// that does not allow it.
func parseAccess(group, mode string) (access control.Access, err error) {
	if group != "" {
		id, err := parseGroup(group)
		if err != nil {
			return access, wrong("--socket-group: %w", err)
		}
		access.Mode, access.Group = 0o660, &id
	}
	if mode == "" {
		return access, nil
	}
	n, err := strconv.ParseUint(mode, 8, 32)
	if err != nil || n == 0 || n&^0o666 != 0 {
		return access, wrong("--socket-mode: %q is no mode of a socket: give an octal number such as 0660", mode)
	}
	access.Mode = fs.FileMode(n)
	return access, nil
}

// parseGroup reads the name of a group, or its number.
func parseGroup(text string) (int, error) {
	if id, err := strconv.ParseUint(text, 10, 31); err == nil {
		return int(id), nil
	}
	g, err := user.LookupGroup(text)
	if err != nil {
		return 0, fmt.Errorf("%w: give the name or the number of a group, or make the group first", err)
	}
	return strconv.Atoi(g.Gid)
}

// parsePort reads PORT or PORT=QUOTA. Missing values are filled in, so that `status`
// can show them.
func parsePort(text string, o equic.Options) (equic.Port, error) {
	p := equic.Port{Quota: o.Quota, Policy: o.Policy, InitialsPerSecond: o.InitialsPerSecond, Burst: o.Burst}
	number, quota, given := strings.Cut(text, "=")
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil || n == 0 {
		return p, fmt.Errorf("%q is no port: give 1 to 65535, such as 443 or 443=20", text)
	}
	p.Number = uint16(n)
	if given {
		if p.Quota, err = strconv.Atoi(quota); err != nil || p.Quota < 1 {
			return p, fmt.Errorf("%q has no quota behind the =: give 1 or more, such as 443=20", text)
		}
	}
	return p, nil
}

// parseQuota reads PREFIX=QUOTA.
func parseQuota(text string) (q equic.PrefixQuota, err error) {
	prefix, quota, given := strings.Cut(text, "=")
	if q.Prefix, err = control.ParsePrefix(prefix); err != nil {
		return q, err
	}
	if q.Quota, err = strconv.Atoi(quota); err != nil || !given || q.Quota < 1 {
		return q, fmt.Errorf("%q has no quota behind the =: give 1 or more, such as 100.64.0.0/10=200", text)
	}
	return q, nil
}

func prefixes(texts []string) ([]netip.Prefix, error) {
	var list []netip.Prefix
	for _, text := range texts {
		p, err := control.ParsePrefix(text)
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, nil
}

// loopback refuses an address that other machines can reach: the metrics have no access
// control.
func loopback(address string) error {
	if address == "" {
		return nil
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return wrong("--metrics: %w: give one such as 127.0.0.1:9443", err)
	}
	if ip, err := netip.ParseAddr(host); err != nil || !ip.Unmap().IsLoopback() {
		return wrong("--metrics: %q is no loopback address: give one such as 127.0.0.1:9443, and put a proxy before it",
			address)
	}
	return nil
}
