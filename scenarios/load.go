package scenarios

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/equic-bench/equic-bench/record"
)

// Load reads and checks a scenario file. Problems with the file, including its absence,
// are an *Error.
func Load(path string) (*Scenario, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &Error{[]Problem{{File: path, What: "there is no such file", Remedy: similarFile(path)}}}
	}
	if err != nil {
		const remedy = "name a readable file such as scenarios/quick.yaml"
		return nil, &Error{[]Problem{{File: path, What: "cannot be read: " + err.Error(), Remedy: remedy}}}
	}
	return Parse(path, text)
}

// similarFile suggests a scenario with a similar name, in the same folder or in
// scenarios/.
func similarFile(path string) string {
	byName := map[string]string{}
	for _, dir := range []string{"scenarios", filepath.Dir(path)} {
		files, _ := filepath.Glob(filepath.Join(dir, "*.yaml")) // none, if the folder's name is a bad pattern
		for _, file := range files {
			byName[filepath.Base(file)] = file
		}
	}
	name := strings.TrimSuffix(filepath.Base(path), ".yaml") + ".yaml"
	if file := byName[name]; file != "" {
		return fmt.Sprintf("did you mean %q?", file)
	}
	return cmp.Or(DidYouMean(name, slices.Sorted(maps.Keys(byName))), "name a scenario such as scenarios/quick.yaml")
}

// Parse checks the text of a scenario and fills in the defaults. The name is the
// file's, for errors. All problems are reported at once, as an *Error.
func Parse(name string, text []byte) (*Scenario, error) {
	d := &decoder{file: name}
	root := d.document(text)
	if root == nil {
		return nil, d.err()
	}
	var all []*Scenario
	for _, c := range d.cells(root) {
		s := d.cell(&c)
		s.Path, s.Text = name, text
		all = append(all, s)
	}
	d.checkUsed(all)
	if err := d.err(); err != nil {
		return nil, err
	}
	s := *all[0]
	if s.Cell != "" {
		s.cells = all
	}
	return &s, nil
}

// cell reads and checks one cell.
func (d *decoder) cell(c *cell) *Scenario {
	d.keys, d.load = map[string]position{}, c.load
	d.searches = child(c.root, "search") != nil
	s := defaults()
	s.Cell, s.Load, s.Point, s.Set = c.name(), c.load, strings.Join(c.point, "-"), c.set
	s.ServerPoint = strings.Join(c.server, "-")
	d.read(c.root, "", d.scenario(s))
	if c.variants != nil {
		d.readVariants(c.variants, s)
	}
	if _, given := d.keys["variants"]; s.Server.Foreign() && !given && c.named == "" {
		s.Variants = []record.Variant{record.NoBlock}
	}
	if c.named != "" {
		s.only = slices.DeleteFunc(slices.Clone(s.allowed(s.Variants)), func(v record.Variant) bool { return !s.Server.Runs(v) })
	}
	// Keys of all groups.
	s.Parallel.share(s.Sequential)
	for i := range s.Background {
		s.Background[i].share(s.Sequential)
	}
	if s.Neighbour.Count > 0 {
		s.Neighbour.MaxInFlight = 1
		s.Neighbour.share(s.Sequential)
	}
	if s.Search != nil {
		s.bound()
	}
	d.check(s)
	return s
}

// share copies the values that all groups have in common from another group.
func (c *Clients) share(from Clients) {
	c.CPUs, c.Timeout, c.Start, c.KeyExchange = from.CPUs, from.Timeout, from.Start, from.KeyExchange
}

// defaults returns a scenario with the default values: the paper's if the paper gives
// them.
func defaults() *Scenario {
	return &Scenario{
		Variants:    []record.Variant{record.NoBlock, record.UserspaceBlock, record.XDPBlock},
		Repetitions: 1,
		Server: Server{
			Body:        256 << 10,
			Quota:       5,
			IdleTimeout: 5 * time.Second,
			Key:         "ecdsa-p256",
			Memory:      2 << 30,
			XDPMode:     "native",
			Interface:   InterfaceOwn,
			Protocol:    H3,
		},
		Sequential: Clients{
			MaxInFlight: 1,
			Timeout:     10 * time.Second,
			Start:       Together,
			KeyExchange: X25519MLKEM768,
		},
		Parallel: attacker(),
		Network: Network{
			Family: record.FamilyIPv4, Subnet: "172.31.99.0/24", Subnet6: "fd00:e9:1c::/48", Port: 4433,
		},
		Trial: Trial{
			Startup:        5 * time.Second,
			SampleInterval: 100 * time.Millisecond,
			Drain:          15 * time.Second,
			Settle:         5 * time.Second,
			Syscalls:       true,
		},
	}
}

// scenario returns the reader of a scenario file: how each key is read.
func (d *decoder) scenario(s *Scenario) reader {
	return d.mapping(fields{
		"name":        d.name(&s.Name).about("A part of the run directory's name: lower-case letters, digits and hyphens."),
		"description": d.text(&s.Description).about("One line for people."),
		"variants": d.variants(&s.Variants).
			about("What turns a client away, each in trials of its own (docs/method.md, Variants)."),
		"repetitions": d.integer(&s.Repetitions, 1, MostRepetitions).
			about("Blocks: each runs every variant once, in an order drawn from the seed. A 95 % interval of a median " +
				"needs six."),
		"server": d.server(&s.Server).about("The measured server."),
		"servers": d.servers().about("Several servers, each in trials of its own. Choose any names. What they share " +
			"goes under server. Each runs only the variants that it supports."),
		"clients": d.some(d.mapping(fields{
			"cpus": d.cpus(&s.Sequential.CPUs).about("CPUs of all clients, counted from 0: not the server's. With auto they " +
				"get all other fast cores; if " +
				"there is no other core, the other thread of the server's."),
			"timeout": d.duration(&s.Sequential.Timeout, 10*time.Millisecond, 10*time.Minute).
				about("How long a request may take, from its start. After that its outcome is timeout. A handshake ends sooner: " +
					"after 5 s without an answer, or after 10 s in all."),
			"start": d.choice(&s.Sequential.Start, Together, Staggered).
				about("Whether the clients of a group start in step, or in turn, evenly over one interval of their rate."),
			"key_exchange": d.choice(&s.Sequential.KeyExchange, X25519MLKEM768, X25519).
				about("What a client offers in TLS: today's default, whose hello fills two packets, or the one before, with " +
					"one packet and less work for the client (docs/method.md, Load)."),
			"sequential": d.sequential(&s.Sequential).
				about("The load that is measured: one request at a time, each on a new connection."),
			"parallel": d.attacks(s).
				about("The attack: requests start on schedule, whether or not earlier ones have ended. Without it there is none. A " +
					"list of such groups attacks together, and the figures are of the first."),
			"neighbour": d.sequential(&s.Neighbour).
				about("Honest clients at the attackers' addresses, as behind one NAT: neighbour i has the address of attacker i, " +
					"in turn. They show the harm of blocking to clients that share an address (runtime netns)."),
		}), 1, 2, "sequential", "parallel").about("The groups of clients, and what they share."),
		"loads": d.loads().about("Several loads, each in trials of its own, instead of the groups under clients. Their " +
			"names are yours. A load can have some of the scenario's variants only."),
		"matrix": d.matrix().about("Keys of server, clients, trial or a load (loads.NAME.parallel.rate), each with several " +
			"values: every combination has trials of its own."),
		"search": d.search(&s.Search).about("Has the run find the breaking point of each variant in each cell, the " +
			"strongest attack that it withstands, by bisection (docs/method.md, The breaking point). The attack then has " +
			"a `duration`, and no `rate` except its own bounds, such as 1x to 1000x."),
		"network": d.mapping(fields{
			"family": d.choice((*string)(&s.Network.Family), record.FamilyNames()...).
				about("Version of IP. With both, each node has an address of both, and the clients of a group use them in turn, " +
					"the first IPv4 (docs/servers.md, Networks; ipv6 and both: runtime netns)."),
			"subnet6": d.text(&s.Network.Subnet6).about("A unique local IPv6 subnet, /48, in which each node has a /64 of its " +
				"own, as a client in IPv6 is a /64."),
			"subnet": d.text(&s.Network.Subnet).about("A private IPv4 subnet, /22 to /28, that nothing else here uses."),
			"port":   d.integer(&s.Network.Port, 1, 65535).about("The server's UDP port."),
		}).about("The network of the nodes."),
		"trial": d.mapping(fields{
			"startup": d.duration(&s.Trial.Startup, time.Second, 10*time.Minute).
				about("Time from the start of a trial to its epoch, when all nodes must be ready; less if the run knows " +
					"how long they take, and up to four times as long after a trial in which it was too short. A node that is " +
					"later makes the trial invalid."),
			"sample_interval": d.withReason(d.duration(&s.Trial.SampleInterval, 10*time.Millisecond, time.Second),
				"the rule generator-not-bottleneck looks at each second of the attack").
				about("Time between two samples of CPU and memory, at most 1s, so that each second of the attack has one."),
			"drain": d.duration(&s.Trial.Drain, time.Second, 10*time.Minute).
				about("How long to wait for outstanding requests after they time out."),
			"settle": d.duration(&s.Trial.Settle, 0, 10*time.Minute).
				about("Longest wait before each trial for the CPUs of its nodes to become idle; 0s means no wait."),
			"syscalls": d.boolean(&s.Trial.Syscalls).
				about("Whether the server's system calls are counted, in every variant. If not, and if no variant drops " +
					"packets in the kernel, the server needs no capability and the kernel no BTF."),
			"alternate": d.duration(&s.Trial.Alternate, 0, time.Minute).
				about("Divides a trial into stretches of this length, 300ms or more, and measures the server in only half of " +
					"them: the report then has the cost of measuring. 0s, the default, measures all the time."),
		}).about("The course of one trial."),
	}, "name", "clients")
}

func (d *decoder) clients(c *Clients) fields {
	return fields{
		"count":    d.integer(&c.Count, 1, mostClients).about("How many clients, each with an address of its own."),
		"requests": d.integer(&c.Requests, 1, 1_000_000).about("How many requests each client makes."),
		"duration": d.duration(&c.Duration, time.Second, time.Hour).
			about("How long each client starts requests, in place of requests."),
		"rate": d.rate(&c.Rate, mostRate).
			about("Intended starts per second of each client. Without it, a request starts when the one before has ended."),
	}
}

func (d *decoder) sequential(c *Clients) reader {
	f := d.clients(c)
	f["pace"] = d.duration(&c.Pace, time.Millisecond, time.Minute).
		about("Shortest time from the start of one request to that of the next, in place of rate. A request that takes " +
			"longer delays all later ones, as in the paper. Up to 10 ms by which a timer is late are caught up.")
	return d.some(d.some(d.mapping(f, "count"), 1, 1, "requests", "duration"), 0, 1, "rate", "pace")
}

// loads reads the loads for the schema and the manual only: loads and matrix are taken
// out of the file before a cell is read.
func (d *decoder) loads() reader {
	groups := fields{
		"sequential": d.sequential(&Clients{}),
		"parallel":   d.attacks(defaults()),
		"neighbour":  d.sequential(&Clients{}),
		"variants":   d.variants(new([]record.Variant)),
	}
	load := d.mapping(groups)
	schema := &jsonschema.Schema{Type: "object", AdditionalProperties: load.schema}
	return reader{schema: schema, takes: "names, each with `sequential`, `parallel` and `neighbour` as under clients, and `variants`"}
}

func (d *decoder) matrix() reader {
	list := listSchema(reader{schema: &jsonschema.Schema{}})
	schema := &jsonschema.Schema{Type: "object", AdditionalProperties: list}
	return reader{schema: schema, takes: "keys such as `server.key`, each with a list of values"}
}

// attacker returns the defaults of an attack.
func attacker() Clients { return Clients{Kind: record.Requests, Addresses: 1, MaxInFlight: 1000} }

// attackKinds returns the kinds of attack.
func attackKinds() (names []string) {
	for _, a := range append([]record.Attack{record.Requests, record.Hold}, record.Floods...) {
		names = append(names, string(a))
	}
	return names
}

// attacks reads a group of attackers, or a list of groups. A search finds the rate of
// the first.
func (d *decoder) attacks(s *Scenario) reader {
	first := d.attack(&s.Parallel, d.searches)
	list := &jsonschema.Schema{Type: "array", Items: first.schema, MinItems: new(1)}
	r := first
	r.schema = &jsonschema.Schema{AnyOf: []*jsonschema.Schema{first.schema, list}}
	r.read = func(n *yaml.Node, path string) {
		if n.Kind != yaml.SequenceNode {
			first.read(n, path)
			return
		}
		if len(n.Content) == 0 {
			d.wrong(n, path, "is an empty list", "write a group of attackers, or leave it out")
			return
		}
		d.read(n.Content[0], path, first)
		for i, group := range n.Content[1:] {
			c := attacker()
			d.read(group, fmt.Sprintf("%s[%d]", path, i+2), d.attack(&c, false))
			s.Background = append(s.Background, c)
		}
	}
	return r
}

func (d *decoder) attack(c *Clients, searched bool) reader {
	f := d.clients(c)
	f["kind"] = d.choice((*string)(&c.Kind), attackKinds()...).
		about("What an attacker does: it closes each connection after its response, or holds it open; or it makes no " +
			"request, and floods the server with Initials from its own or random addresses, with random " +
			"bytes, or with Initials that are too short (docs/method.md, Load).")
	f["addresses"] = d.integer(&c.Addresses, 1, record.MostSources).
		about("How many addresses each attacker sends from, in turn. Each is a client of its own, with its own quota, and the " +
			"server reaches them by a route (docs/servers.md, Networks; more than one: runtime netns).")
	f["hold"] = d.duration(&c.Hold, time.Millisecond, time.Hour).
		about("How long a connection stays open after its response, of kind hold.")
	f["rate"] = d.strength(c).
		about("Intended starts per second of each attacker; or of all together, as a multiple of the requests per second " +
			"that the server can serve on this machine: 2x. With up to 2x it is what the clients can start, if that is less. " +
			"A flood can have a higher rate, or max: as many as possible. With a search it is left out, or has the bounds of " +
			"this attack: 1x to 1000x.")
	f["delay"] = d.duration(&c.Delay, 0, time.Hour).about("From the start of the load to the first request of the attack.")
	f["max_in_flight"] = d.integer(&c.MaxInFlight, 1, 1_000_000).
		about("Requests of each attacker that may be under way; the next one waits, and is counted as held.")
	required := []string{"count", "rate"}
	if searched {
		f["rate"] = d.bounds(c)
		required = []string{"count"}
	}
	r := d.some(d.mapping(f, required...), 1, 1, "requests", "duration")
	r.schema.Required = []string{"count"} // the schema cannot express that a rate is required without a search
	return r
}

// document returns the root of the only YAML document of a file, or nil.
func (d *decoder) document(text []byte) *yaml.Node {
	in := yaml.NewDecoder(bytes.NewReader(text))
	var first, second yaml.Node
	if err := in.Decode(&first); err != nil {
		d.syntax(err)
		return nil
	}
	switch err := in.Decode(&second); {
	case err == nil:
		d.problem(positionOf(&second), "a second document begins", "keep one scenario in each file")
		return nil
	case !errors.Is(err, io.EOF):
		d.syntax(err)
		return nil
	}
	return first.Content[0]
}

// syntaxError splits the parser's errors.
var syntaxError = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

func (d *decoder) syntax(err error) {
	if errors.Is(err, io.EOF) {
		d.problem(position{}, "the file is empty", "start from a copy of scenarios/quick.yaml")
		return
	}
	text, line := strings.ReplaceAll(err.Error(), "\n", " "), 0
	if m := syntaxError.FindStringSubmatch(text); m != nil {
		text = m[2]
		line, _ = strconv.Atoi(m[1]) // no number: the whole file
	}
	d.problem(position{line: line}, "not YAML: "+text,
		"look near that line for a missing quote, bracket or colon, or a tab")
}
