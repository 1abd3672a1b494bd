package scenarios

import (
	"fmt"
	"math"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
	"go.yaml.in/yaml/v3"

	"github.com/equic-bench/equic-bench/record"
)

// Server is the measured server and its limits.
type Server struct {
	Body        int64 // bytes of the response to "/"
	Quota       int   // simultaneous connections admitted per client address
	IdleTimeout time.Duration
	Key         string // of its certificate: "ecdsa-p256", or "rsa-2048" or "rsa-4096"
	CPUs        []int  // none: the run chooses them (auto)
	Memory      int64  // bytes; zero is no limit
	XDPMode     string
	// Interface is whose network the nodes have: InterfaceOwn, or InterfaceHost.
	Interface string
	// Retry is when variants that answer with a Retry do: RetryAlways, or the number of
	// handshakes in progress from addresses that are not validated above which they do.
	// Empty is the default of the server.
	Retry string
	// Command runs a foreign server, with Placeholders; none means our own.
	Command  []string
	Image    string // of the container in which Command runs; empty: it is a program of this machine
	Path     string // of a request's URL
	Ready    string // text in the line that Command prints when it is ready; empty: wait until it answers
	Protocol string // H3 or HQ
	Limits   Limits
}

// The values of Server.Interface.
const (
	InterfaceOwn  = "own"
	InterfaceHost = "host"
)

// Limits are what a gateway, or nftables, enforces in front of a foreign server.
type Limits struct {
	Rate  float64        // packets that open a connection, per client and second; zero is no limit
	Burst int            // such packets at once; zero is one second's worth, and at least 4
	Deny  []netip.Prefix // clients that are always dropped
}

// Some reports whether there is anything to enforce.
func (l Limits) Some() bool { return l.Rate > 0 || len(l.Deny) > 0 }

// AtOnce returns Burst, or its default.
func (l Limits) AtOnce() int {
	if l.Burst > 0 {
		return l.Burst
	}
	return max(leastBurst, int(math.Ceil(l.Rate)))
}

// Whole returns the rate as a whole number of packets in a second, a minute or an hour, as
// nftables takes it; false if it is none.
func (l Limits) Whole() (packets uint64, per time.Duration, ok bool) {
	for _, per := range []time.Duration{time.Second, time.Minute, time.Hour} {
		n := l.Rate * per.Seconds()
		if whole := math.Round(n); whole > 0 && math.Abs(n-whole) < 1e-9*n {
			return uint64(whole), per, true
		}
	}
	return 0, 0, false
}

// leastBurst is the least default of a burst: what the attempts of two honest requests
// take.
const leastBurst = 4

// The protocols above QUIC.
const (
	H3 = "h3"         // HTTP/3
	HQ = "hq-interop" // HTTP/0.9 on a QUIC stream, as servers without HTTP/3 speak for tests
)

// Foreign reports whether the server is not one of our programs: it prints no records,
// and has neither quotas nor variants of its own.
func (s Server) Foreign() bool { return len(s.Command) > 0 }

// SharesCounts reports whether a foreign server uses the gateway's socket, so that the
// gateway knows its connections.
func (s Server) SharesCounts() bool {
	return slices.ContainsFunc(s.Command, func(word string) bool { return strings.Contains(word, PlaceSocket) })
}

// Runs reports whether a variant exists for the server.
func (s Server) Runs(v record.Variant) bool {
	switch {
	case v == record.NoBlock:
		return true
	case !v.InFront():
		return !s.Foreign()
	}
	return s.Foreign() && (s.Limits.Some() || v == record.GatewayInFront && s.SharesCounts())
}

// RetryAlways is a value of Server.Retry: every address is validated.
const RetryAlways = "always"

// Placeholders are the words of Server.Command that a run replaces. A foreign server
// also finds their values in its environment (PlaceVariable).
const (
	PlaceAddress     = "{address}"     // of the server
	PlacePort        = "{port}"        // network.port
	PlaceCertificate = "{certificate}" // a file (PEM)
	PlaceKey         = "{key}"         // its private key (PEM)
	PlaceRoot        = "{root}"        // a folder with index.html, of server.body bytes
	PlaceSocket      = "{socket}"      // of the gateway in front of it; empty in other variants
)

// Placeholders are all of them.
var Placeholders = []string{PlaceAddress, PlacePort, PlaceCertificate, PlaceKey, PlaceRoot, PlaceSocket}

// PlaceVariable returns the environment variable with the value of a placeholder:
// SERVER_ADDRESS for {address}.
func PlaceVariable(place string) string {
	return "SERVER_" + strings.ToUpper(strings.Trim(place, "{}"))
}

func (d *decoder) server(s *Server) reader {
	return d.mapping(fields{
		"body": d.size(&s.Body, 1, 64<<20).about("Size of the response to each request."),
		"quota": d.integer(&s.Quota, 1, 1_000_000).
			about("Connections that one client address may have at the same time."),
		"idle_timeout": d.duration(&s.IdleTimeout, 100*time.Millisecond, 10*time.Minute).
			about("QUIC's idle timeout: a connection without packets for this long is closed. Until then a client that " +
				"xdp-block blocks stays blocked."),
		"key": d.choice(&s.Key, "ecdsa-p256", "rsa-2048", "rsa-4096").
			about("Type of the key in the certificate: it decides who pays more for a handshake, server or client " +
				"(docs/method.md, Load)."),
		"retry": d.retry(&s.Retry).about("When userspace-retry, and variants that drop packets under policy new, " +
			"answer an attempt from an address that is not validated with a Retry: always, or above this number of handshakes " +
			"in progress from such addresses, of one client or of all. Without it, the limit is 24 for one client, " +
			"and for all clients together 24 per CPU of the server, at least 48."),
		"cpus": d.cpus(&s.CPUs).about("CPUs of the server, counted from 0. With auto it gets one CPU, on the " +
			"fastest core, and the other " +
			"hardware threads of that core stay idle."),
		"memory": d.size(&s.Memory, 32<<20, 1<<40).
			about("The server's limit, without swap; memory percentages are of it."),
		"command": d.words(&s.Command).about("A server of yours, in place of ours: its program and arguments, " +
			"with {address}, {port}, {certificate}, {key}, {root} and {socket} (docs/servers.md). It prints no records, so " +
			"the figures that need them are left out. Without image it needs the runtime netns."),
		"image": d.text(&s.Image).about("With command: the image of the container in which it runs, which the engine " +
			"has already. Runtime docker."),
		"ready": d.text(&s.Ready).about("With command: a text in the line of output that the server prints once it is " +
			"ready. Without it, the server is ready when it answers QUIC."),
		"path": d.text(&s.Path).about("What the clients request, with command: / if it is left out. The response has the size of body."),
		"protocol": d.choice(&s.Protocol, H3, HQ).
			about("What the clients speak, with command: HTTP/3, or a plain request on a QUIC stream, for servers without " +
				"HTTP/3."),
		"limits": d.limits(&s.Limits).about("What stands in front of a server of yours: what the variants gateway and " +
			"nftables-limit enforce."),
		"interface": d.choice(&s.Interface, InterfaceOwn, InterfaceHost).
			about("Whose network interface the server has: its own, in the network of the trial; or that of its host, with the " +
				"clients in the networks of theirs, so that XDP runs on a real network card. The latter needs the runtime swarm " +
				"and a host for each client (docs/swarm.md)."),
		"xdp_mode": d.choice(&s.XDPMode, "native", "generic").
			about("Where the XDP program runs: in the driver, or in the network stack."),
	})
}

func (d *decoder) limits(l *Limits) reader {
	return d.mapping(fields{
		"rate": d.rate(&l.Rate, mostRate).about("Packets that open a connection, of each client address. A request takes " +
			"one to three of them (docs/servers.md)."),
		"burst": d.integer(&l.Burst, 1, 1_000_000).
			about("Such packets of a client at once; one second's worth if it is left out, and at least 4."),
		"deny": d.prefixes(&l.Deny).about("Client addresses that are always dropped."),
	})
}

func (d *decoder) prefixes(to *[]netip.Prefix) reader {
	schema := textSchema("")
	schema.Examples = []any{"172.31.93.15/32"}
	item := reader{schema: schema, takes: "addresses such as 172.31.93.15/32", read: func(n *yaml.Node, path string) {
		v, ok := d.scalar(n, path, "a prefix such as 172.31.93.15/32")
		if !ok {
			return
		}
		p, err := netip.ParsePrefix(v)
		if err != nil || p != p.Masked() {
			d.wrong(n, path, fmt.Sprintf("%q is not a prefix", v), "write one such as 172.31.93.15/32")
			return
		}
		*to = append(*to, p)
	}}
	return d.list(func() { *to = nil }, item)
}

// servers reads the servers for the schema and the manual only: servers, loads and matrix
// are taken out of the file before a cell is read.
func (d *decoder) servers() reader {
	one := d.server(new(defaults().Server))
	schema := &jsonschema.Schema{Type: "object", AdditionalProperties: one.schema}
	return reader{schema: schema, takes: "names, each with keys as under `server`"}
}

// withServers makes a cell of each load and each named server. The server's keys are
// added to those that all servers share, or replace them.
func (d *decoder) withServers(cells []cell, servers *yaml.Node) []cell {
	if servers.Kind != yaml.MappingNode || len(servers.Content) == 0 {
		d.wrong(servers, "servers", "is not a list of servers", "write a name, and under it keys as under server")
		return nil
	}
	var all []cell
	for _, c := range cells {
		for i := 0; i < len(servers.Content); i += 2 {
			name, server := servers.Content[i], servers.Content[i+1]
			if server.Kind == yaml.AliasNode {
				server = server.Alias
			}
			switch {
			case !validLabel.MatchString(name.Value):
				d.wrong(name, "servers", fmt.Sprintf("%q cannot name a server", name.Value),
					"use at most 20 lower-case letters, digits and hyphens")
			case server.Kind != yaml.MappingNode:
				d.wrong(server, "servers."+name.Value, "is not a list of keys", "write keys as under server, such as {key: rsa-4096}")
			default:
				all = append(all, c.withServer(name.Value, server))
			}
		}
	}
	return all
}

func (c *cell) withServer(name string, server *yaml.Node) cell {
	with := *c
	with.root, with.named = clone(c.root), name
	for i := 0; i < len(server.Content); i += 2 {
		put(with.root, []string{"server", server.Content[i].Value}, clone(server.Content[i+1]))
	}
	with.point = append(slices.Clone(c.point), name)
	with.server = append(slices.Clone(c.server), name)
	with.set = append(slices.Clone(c.set), "server="+name)
	return with
}

// checkServer checks what only some servers can do.
func (d *decoder) checkServer(s *Scenario) {
	refuse := func(key, what, remedy string) { d.problem(d.key(key), key+": "+what, remedy) }
	if what, remedy := s.lethalQuota(); what != "" {
		d.problem(d.key("server.quota"), what, remedy)
	}
	if what, remedy := s.strangeVariant(); what != "" {
		d.problem(d.key("variants", "server.command"), what, remedy)
	}
	if path := s.Server.Path; path != "" && path[0] != '/' {
		refuse("server.path", fmt.Sprintf("%q does not begin with a slash", s.Server.Path), "write one such as /index.html")
	}
	if _, limited := d.keys["server.limits"]; limited && !s.Server.Limits.Some() {
		refuse("server.limits", "limits nothing", "add rate: 60/s, or deny")
	}
	if !s.Server.Foreign() {
		d.checkOurs(s.Server, refuse)
		return
	}
	if s.Server.Retry != "" {
		refuse("server.retry", "server.command runs another server, which has its own rules for a Retry", "leave it out")
	}
	for _, word := range s.Server.Command {
		for _, place := range placeholder.FindAllString(word, -1) {
			if !slices.Contains(Placeholders, place) {
				refuse("server.command", place+" is no placeholder", "use "+strings.Join(Placeholders, ", "))
			}
		}
	}
}

// checkOurs refuses keys that our server does not have.
func (d *decoder) checkOurs(s Server, refuse func(key, what, remedy string)) {
	if s.Ready != "" {
		refuse("server.ready", "there is no server.command that prints it", "leave it out")
	}
	if s.Path != "" {
		refuse("server.path", "our server serves / only", "leave it out, or add server.command")
	}
	if s.Image != "" {
		refuse("server.image", "there is no server.command to run in it", "add the command")
	}
	if s.Protocol == HQ {
		refuse("server.protocol", "our server speaks h3 only", "leave it out, or add server.command")
	}
	if s.Limits.Some() {
		refuse("server.limits", "our server enforces its quota by itself", "leave it out, or add server.command")
	}
}

var placeholder = regexp.MustCompile(`\{[a-z]*\}`)
