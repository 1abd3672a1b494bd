// Package results contains the directory of a run, with its reader and writer.
//
// It is between orchestrate, which writes runs, and report, which reads them. The
// records inside a run are those of package record.
package results

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/equic-bench/equic-bench/record"
)

// SchemaVersion is the version of the run directory's layout, and OldestSchema the
// oldest that can still be read. A reader refuses a run of another version. Version 2
// added arms, version 3 cells, and version 4 searches: an older reader would mistake
// their trials for others of the same variant.
const (
	SchemaVersion = 4
	OldestSchema  = 1
)

// Manifest describes what was run and on which machine. It is written when a run starts
// and again when it ends.
type Manifest struct {
	Schema  int       `json:"schema"`
	ID      string    `json:"id"`
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended,omitzero"`
	// Resumed are the times at which the run was continued after it had ended too
	// early.
	Resumed []time.Time `json:"resumed,omitempty"`
	// OverheadNS is the median over trials of the time that the scenario does not ask
	// for.
	OverheadNS int64 `json:"overhead_ns,omitempty"`
	// SettleNS is the median over trials of the wait before each.
	SettleNS int64    `json:"settle_ns,omitempty"`
	Command  []string `json:"command"`
	// ValidityVersion is the version of the rules for valid trials (package validity).
	// Absent is 1.
	ValidityVersion int    `json:"validity_version,omitempty"`
	Scenario        string `json:"scenario"` // its name
	ScenarioSHA256  string `json:"scenario_sha256"`
	Seed            uint64 `json:"seed"`

	// Experiment is the experiment that was run. If there are Cells, it is that of the
	// first one.
	Experiment Experiment `json:"experiment"`
	Cells      []Cell     `json:"cells,omitempty"`
	// Capacities are the capacities from which the rates of attacks follow, one for
	// each server.
	Capacities []Capacity     `json:"capacities,omitempty"`
	Plan       []PlannedTrial `json:"plan"`

	// Binaries maps the name of each binary in the nodes to its SHA-256.
	Binaries map[string]string `json:"binaries"`
	// Certificates are the certificates of the servers: one for all trials, and one
	// more for each time the run was resumed. They are absent in older runs, in which a
	// server made a new one at each start.
	Certificates []Certificate `json:"certificates,omitempty"`
	// Modules maps module paths to versions, as linked into equic-bench.
	Modules map[string]string `json:"modules"`
	Version string            `json:"version"`
	Go      string            `json:"go"`

	Machine Machine `json:"machine"`
	Runtime Runtime `json:"runtime"`
	// Placement is absent in older runs, whose scenarios named all CPUs.
	Placement *Placement `json:"placement,omitempty"`
	Warnings  []string   `json:"warnings,omitempty"`
}

// Placement is how the CPUs of an Experiment were chosen.
type Placement struct {
	// ServerAuto and ClientsAuto report whether the run chose the CPUs, instead of the
	// scenario.
	ServerAuto  bool `json:"server_auto"`
	ClientsAuto bool `json:"clients_auto"`
	// ServerSiblings are the other hardware threads of the server's cores.
	ServerSiblings []int `json:"server_siblings,omitempty"`
}

// Cell is one combination of a load and of the values of a matrix. It has its own
// trials.
type Cell struct {
	Name  string   `json:"name"`
	Load  string   `json:"load,omitempty"`
	Point string   `json:"point,omitempty"` // label of the matrix's values
	Set   []string `json:"set,omitempty"`   // each of these values as key=value
	// Server is Point without the values of groups of clients: Capacity.Point.
	Server string `json:"server,omitempty"`

	Experiment Experiment `json:"experiment"`
}

// Capacity is what a server can serve on this machine, in requests per second with its
// CPUs busy, and the evidence for it (docs/method.md, Strength).
type Capacity struct {
	// Point is the label of the matrix's values, without those of groups of clients.
	// Cells with the same label have the same server.
	Point string `json:"point,omitempty"`
	// Given is true if the user set ServingPerS. The other values are then not known.
	Given       bool    `json:"given,omitempty"`
	ServingPerS float64 `json:"serving_per_s"`
	// ThroughputPerS was served over the window, and ByCPUTimePerS follows from the
	// server's CPU time per request. ServingPerS is the former if the server was at
	// least 95 % busy. Otherwise the clients were the limit, and it is the latter.
	ThroughputPerS float64 `json:"throughput_per_s,omitempty"`
	// Shared is true if server and clients share CPUs. ServingPerS is then what the
	// machine serves.
	Shared        bool    `json:"shared_cpus,omitempty"`
	ByCPUTimePerS float64 `json:"by_cpu_time_per_s,omitempty"`
	ServerCPUs    int     `json:"server_cpus,omitempty"`
	ServerBusy    float64 `json:"server_busy,omitempty"` // of its CPUs, in 0..1
	Requests      int     `json:"requests,omitempty"`    // served in the window
	WindowNS      int64   `json:"window_ns,omitempty"`
	// RefusingPerS is how many requests the server can refuse after their handshake
	// with all of its CPU time, at RefusingNS each.
	RefusingPerS float64 `json:"refusing_per_s,omitempty"`
	RefusingNS   float64 `json:"refusing_ns,omitempty"`
	// The clients' CPU time for a request that is served, and for one that is refused,
	// and the number of their CPUs.
	ServingClientNS  float64 `json:"serving_client_ns,omitempty"`
	RefusingClientNS float64 `json:"refusing_client_ns,omitempty"`
	ClientCPUs       int     `json:"client_cpus,omitempty"`
}

// SharesCPUs reports whether the server and the clients run on some of the same CPUs.
func (e *Experiment) SharesCPUs() bool {
	return !e.Apart && slices.ContainsFunc(e.ServerCPUs, func(cpu int) bool { return slices.Contains(e.ClientCPUs, cpu) })
}

// Foreign reports whether the server is not ours.
func (e *Experiment) Foreign() bool { return len(e.Command) > 0 }

// Floods reports whether an attack sends datagrams that are no requests.
func (e *Experiment) Floods() bool {
	is := func(l Load) bool { return l.Kind.Flood() }
	return is(e.Parallel) || slices.ContainsFunc(e.Background, is)
}

// ExperimentOf returns the experiment of the cell of that name; "" is the only cell. It
// is nil for an unknown name.
func (m *Manifest) ExperimentOf(cell string) *Experiment {
	if cell == "" {
		return &m.Experiment
	}
	for i := range m.Cells {
		if m.Cells[i].Name == cell {
			return &m.Cells[i].Experiment
		}
	}
	return nil
}

// Experiment is the resolved scenario: everything that is needed to turn the records
// into figures.
type Experiment struct {
	Variants []string `json:"variants"`
	// Arms are the arms, besides Plain, in which each block runs every variant.
	Arms       []Arm `json:"arms,omitempty"`
	Sequential Load  `json:"sequential"`
	Parallel   Load  `json:"parallel"` // the attack
	// Background are more groups of attackers. Only the server's figures include their effect.
	Background []Load `json:"background,omitempty"`
	// Neighbour are honest clients at the attackers' addresses; none in older runs.
	Neighbour Load    `json:"neighbour,omitzero"`
	Search    *Search `json:"search,omitempty"`
	// Family is the version of IP; empty is IPv4, as in older runs. Subnets are those of
	// the nodes; none are recorded for IPv4 alone.
	Family    record.Family `json:"family,omitempty"`
	Subnets   []string      `json:"subnets,omitempty"`
	BodyBytes int64         `json:"body_bytes"`
	// Command runs the server, if it is not ours: such a server leaves no records but those
	// of the probe. Path is what clients request; empty is "/".
	Command []string `json:"server_command,omitempty"`
	Image   string   `json:"server_image,omitempty"` // of its container; empty: a program of this machine
	Path    string   `json:"path,omitempty"`
	// Protocol is what the clients speak above QUIC; empty is HTTP/3.
	Protocol string `json:"protocol,omitempty"`
	// Limits are what the variants in front of the server enforce.
	Limits *Limits `json:"limits,omitempty"`
	Quota  int     `json:"quota"`
	// RequestTimeoutNS limits each request, from its actual start.
	RequestTimeoutNS int64 `json:"request_timeout_ns"`
	IdleTimeoutNS    int64 `json:"idle_timeout_ns"`
	// ServerKey is the type of the key in the server's certificate.
	ServerKey string `json:"server_key"`
	// ServerRetry is when variants that answer with a Retry do: "always", or the number of
	// handshakes in progress above which they do. Empty is the server's default.
	ServerRetry string `json:"server_retry,omitempty"`
	// ClientKeyExchange is what the clients offer in TLS. Empty, as in older runs, is
	// x25519mlkem768.
	ClientKeyExchange string `json:"client_key_exchange,omitempty"`
	// ServerMemoryBytes is the server's memory limit. Zero is none.
	ServerMemoryBytes int64 `json:"server_memory_bytes"`
	ServerCPUs        []int `json:"server_cpus"`
	ClientCPUs        []int `json:"client_cpus"`
	// Apart is true if the server and the clients have hosts of their own. Older runs lack it.
	Apart            bool   `json:"apart,omitempty"`
	XDPMode          string `json:"xdp_mode"` // as requested
	SampleIntervalNS int64  `json:"sample_interval_ns"`
	// HostNetwork reports whether the nodes had the networks of their hosts: XDP then ran on
	// a network card.
	HostNetwork bool `json:"host_network,omitempty"`
	// AlternateNS is the length of the stretches. The server is measured in one half of
	// them (MeasuredStretch). It is zero if the server is measured all the time.
	AlternateNS int64 `json:"alternate_ns,omitempty"`
	// Syscalls reports whether the server's system calls are to be counted. It is nil
	// in older runs, which did not record it.
	Syscalls *bool `json:"syscalls,omitempty"`
}

// Limits are enforced in front of a foreign server.
type Limits struct {
	PerSecond float64  `json:"initials_per_second,omitempty"` // per client address
	Burst     int      `json:"burst,omitempty"`
	Deny      []string `json:"deny,omitempty"` // prefixes
}

// Certificate is the certificate of servers. Its key is not stored.
type Certificate struct {
	Key    string `json:"key"` // its type: "rsa-2048"
	SHA256 string `json:"sha256"`
}

// Load is the load of one group of clients.
type Load struct {
	// Kind is the kind of attack. Empty is requests. HoldNS is how long its connections
	// stay open after their responses.
	Kind    record.Attack `json:"kind,omitempty"`
	HoldNS  int64         `json:"hold_ns,omitempty"`
	Clients int           `json:"clients"`
	// Addresses is how many addresses each attacker sends from, each a client of its own.
	// Zero is the node's only one.
	Addresses int `json:"addresses,omitempty"`
	Requests  int `json:"requests"` // per client
	// DurationNS is how long each client starts requests, if Requests is not set.
	DurationNS int64 `json:"duration_ns,omitempty"`
	// RatePerSecond is the scheduled rate per client. Zero is a closed loop.
	RatePerSecond float64 `json:"rate_per_second"`
	// PaceNS is the least time from start to start in a closed loop.
	PaceNS int64 `json:"pace_ns,omitempty"`
	// Strength is the rate of all clients as a multiple of the server's capacity.
	// RatePerSecond follows from it. It is zero if the scenario gives a rate.
	Strength float64 `json:"strength,omitempty"`
	// Reached is the strength of the attack if the clients cannot start more and the
	// scenario allows that. It is then less than Strength. Otherwise it is zero.
	Reached     float64 `json:"strength_reached,omitempty"`
	DelayNS     int64   `json:"delay_ns"` // from the epoch
	MaxInFlight int     `json:"max_in_flight"`
}

// ScheduledNS returns how long the schedule of one client lasts: from its first
// intended start to one interval after its last. It is zero for a closed loop that ends
// with its last request.
func (l Load) ScheduledNS() int64 {
	switch {
	case l.DurationNS > 0:
		return l.DurationNS
	case l.RatePerSecond <= 0:
		return 0
	}
	return int64(float64(l.Requests) / l.RatePerSecond * 1e9)
}

// Strongest returns the strength of the attack: Reached if it is set, else Strength.
func (l Load) Strongest() float64 { return cmp.Or(l.Reached, l.Strength) }

// Words returns the capacity as a sentence without its full stop.
func (c *Capacity) Words() string {
	words := fmt.Sprintf("the server can serve %.0f requests/s", c.ServingPerS)
	if c.Point != "" {
		words = c.Point + ": " + words
	}
	return words
}

// StrengthLabel formats a strength as scenarios do: "1.25x".
func StrengthLabel(strength float64) string { return strconv.FormatFloat(strength, 'g', -1, 64) + "x" }

// PlannedTrial is one trial of the plan.
type PlannedTrial struct {
	Index   int    `json:"index"` // from 1
	Block   int    `json:"block"` // from 1; each block has every variant once in each cell and arm
	Cell    string `json:"cell,omitempty"`
	Variant string `json:"variant"`
	Arm     Arm    `json:"arm,omitempty"`
	// Strength is the strength of the attack in a trial of a search, else zero.
	Strength float64 `json:"strength,omitempty"`
}

// Label returns the cell, if there are several, the variant, its arm if that is not
// Plain, and the strength of the attack in a search: "mixed-xdp-block-1.25x". It is
// unique in a block.
func (p PlannedTrial) Label() string {
	label := p.Arm.Label(p.Variant)
	if p.Cell != "" {
		label = p.Cell + "-" + label
	}
	if p.Strength > 0 {
		label += "-" + StrengthLabel(p.Strength)
	}
	return label
}

// Arm distinguishes the trials of one variant in a block.
type Arm string

// The arms.
const (
	Plain Arm = ""
	// Again is the same as Plain: an A/A test, to measure noise.
	Again Arm = "again"
	// Unmeasured has a server without probe and system-call counter, to find the effect
	// of measuring. Only runs of earlier versions have it.
	Unmeasured Arm = "unmeasured"
)

// Label returns the name of a variant in the arm.
func (a Arm) Label(variant string) string {
	if a == Plain {
		return variant
	}
	return variant + "-" + string(a)
}

// Machine describes the host, as far as it can change a figure.
type Machine struct {
	OS          string  `json:"os"`
	Kernel      string  `json:"kernel"`
	Arch        string  `json:"arch"`
	CPUModel    string  `json:"cpu_model"`
	CPUs        int     `json:"cpus"`
	Governor    string  `json:"governor,omitempty"`
	MemoryBytes int64   `json:"memory_bytes"`
	SwapBytes   int64   `json:"swap_bytes"`
	ClockSource string  `json:"clock_source,omitempty"`
	Load1       float64 `json:"load1"` // one-minute load average at the start
	// RmemMaxBytes is net.core.rmem_max.
	RmemMaxBytes int64 `json:"rmem_max_bytes,omitempty"`
}

// Runtime describes what the nodes ran in.
type Runtime struct {
	Name       string `json:"name"` // "docker", "netns" or "swarm"
	Version    string `json:"version"`
	API        string `json:"api,omitempty"`
	Image      string `json:"image,omitempty"` // its ID, not reproducible
	CgroupMode string `json:"cgroup_mode,omitempty"`
	// Limits are the limits that the runtime enforced, and the means.
	Limits []string `json:"limits,omitempty"`
	// Capabilities are those of a server that attaches XDP.
	Capabilities []string `json:"capabilities,omitempty"`
	// Hosts are those of a swarm that take part; none means the machine of equic-bench.
	Hosts []Host `json:"hosts,omitempty"`
}

// Host is a host on which nodes run.
type Host struct {
	Name        string `json:"name"`
	Role        string `json:"role"` // "server" or "clients"
	Address     string `json:"address"`
	CPUs        int    `json:"cpus"`
	MemoryBytes int64  `json:"memory_bytes"`
	Arch        string `json:"arch"`
	Engine      string `json:"engine"` // its version
}

// Check is the result of one rule of validity (docs/method/definitions.md) for a trial.
type Check struct {
	Rule     string `json:"rule"`
	OK       bool   `json:"ok"`
	Evidence string `json:"evidence"`
}

// Node is one node of a trial.
type Node struct {
	Name    string `json:"name"` // "server", "sequential-1", "parallel-4"
	Role    string `json:"role"` // RoleServer and so on
	Address string `json:"address"`
	// Host is the name of its host, if that is not the machine of equic-bench.
	Host string `json:"host,omitempty"`
	// Sources is the network from whose addresses an attacker sends in place of Address, if
	// it has several.
	Sources string `json:"sources,omitempty"`
	ReadyNS int64  `json:"ready_ns"` // relative to the epoch
	// ReadySeenNS is when its ready record arrived, by the monotonic clock of
	// equic-bench. It is zero if none arrived, and in older runs.
	ReadySeenNS int64 `json:"ready_seen_ns,omitempty"`
	ExitCode    int   `json:"exit_code"`
	// Ended is absent in older runs.
	Ended NodeEnd `json:"ended,omitempty"`
	// LastWords is the end of the log of a node that died.
	LastWords string `json:"last_words,omitempty"`
	Lines     int    `json:"lines"` // records in its file
	// Fault is why the rest of its output is not in its file.
	Fault   string `json:"fault,omitempty"`
	Records string `json:"records"`
	Log     string `json:"log,omitempty"`
}

// Title returns the node's name, and that of its host if it has one.
func (n *Node) Title() string {
	if n.Host == "" {
		return n.Name
	}
	return n.Name + " (on " + n.Host + ")"
}

// NodeEnd is how a node ended.
type NodeEnd string

// The ways in which a node ends.
const (
	EndedItself  NodeEnd = "itself"
	EndedAsked   NodeEnd = "asked"  // by SIGTERM
	EndedKilled  NodeEnd = "killed" // because the trial was given up
	NeverStarted NodeEnd = "never started"
)

// The roles of a node.
const (
	RoleServer     = "server"
	RoleSequential = "sequential"
	RoleParallel   = "parallel"
	RoleBackground = "background"
	RoleNeighbour  = "neighbour"
	RoleGateway    = "gateway" // in front of the server
)

// Trial is one execution of one variant: trial.json.
type Trial struct {
	PlannedTrial
	Attempt     int       `json:"attempt"` // from 1
	Epoch       time.Time `json:"epoch"`
	EpochUnixNS int64     `json:"epoch_unix_ns"`
	Started     time.Time `json:"started"`
	Ended       time.Time `json:"ended"`
	// LoadEndNS is when the last client ended, relative to the epoch.
	LoadEndNS int64  `json:"load_end_ns"`
	XDPMode   string `json:"xdp_mode,omitempty"` // in force
	// GivenUp is why the trial ended before its load.
	GivenUp string `json:"given_up,omitempty"`
	// ClockStepNS is how far the wall clock of equic-bench moved relative to the
	// monotonic clock until all nodes were ready.
	ClockStepNS int64 `json:"clock_step_ns,omitempty"`
	// FloodFrames is how many frames of floods reached the server, passed on or not. It
	// is nil if they were not counted.
	FloodFrames *uint64 `json:"flood_frames,omitempty"`
	// QueueLost is how many frames, of floods and of others, the queue of the server's
	// interface had no room for. No place of blocking saw them. It is nil if that is not
	// known, and in older runs.
	QueueLost *uint64  `json:"queue_lost,omitempty"`
	Nodes     []Node   `json:"nodes"`
	Valid     bool     `json:"valid"`
	Checks    []Check  `json:"checks"`
	Warnings  []string `json:"warnings,omitempty"`
	// OverheadNS is the time of the trial that the scenario does not ask for.
	OverheadNS int64 `json:"overhead_ns"`
	// Settling is absent if the scenario asks for none. It is over before Started, so
	// it is not part of OverheadNS.
	Settling *Settling `json:"settling,omitempty"`
}

// Settling is the wait before a trial until the CPUs of its nodes are idle.
type Settling struct {
	WaitNS  int64 `json:"wait_ns"`
	LimitNS int64 `json:"limit_ns"`
	// Busy and SoftIRQ are shares of the time of the nodes' CPUs, in 0..1, in the last
	// interval of the wait. Busy excludes idle time and waiting for a disk, so it
	// includes SoftIRQ.
	Busy    float64 `json:"busy"`
	SoftIRQ float64 `json:"softirq"`
	// Quiet is false if the wait ended at its limit.
	Quiet bool `json:"quiet"`
	// Error is why this is not known, if the host does not report it.
	Error string `json:"error,omitempty"`
}

// Name returns the name of the trial's folder: "001-no-block", and
// "001-no-block-attempt-2" for a repetition of an invalid one.
func (t *Trial) Name() string { return trialName(t.PlannedTrial, t.Attempt) }
