// Package record holds what nodes print on standard output, and the list of the
// variants that they run.
//
// The server, the clients and the probe print records; orchestrate stores them
// in a run directory, and report reads them back.
//
// Units are in the names: NS is nanoseconds, Bytes is bytes. A time called At
// or Start is relative to the trial's epoch (negative before it); any other NS
// is a duration. Values are raw: nothing is scaled, binned or averaged here.
package record

// Line is one line that a node prints on standard output: a JSON object with
// exactly one key, which names the record's type.
type Line struct {
	Ready      *Ready      `json:"ready,omitempty"`
	Progress   *Progress   `json:"progress,omitempty"`
	Request    *Request    `json:"request,omitempty"`
	Connection *Connection `json:"connection,omitempty"`
	Refusal    *Refusal    `json:"refusal,omitempty"`
	Gateway    *Gateway    `json:"gateway,omitempty"`
	Server     *Server     `json:"server,omitempty"`
	Client     *Client     `json:"client,omitempty"`
	Flood      *Flood      `json:"flood,omitempty"`
	Sample     *Sample     `json:"sample,omitempty"`
	Syscall    *Syscall    `json:"syscall,omitempty"`
	Probe      *Probe      `json:"probe,omitempty"`
}

// Ready says that a node can do its work: a server listens (and its XDP
// program is attached), a client waits for the epoch.
type Ready struct {
	Node    string `json:"node"`
	AtNS    int64  `json:"at_ns"`
	XDPMode string `json:"xdp_mode,omitempty"` // where packets are dropped: an XDP mode, or the name of another place
	// ReceiveBufferBytes is the UDP socket's receive buffer in force (SO_RCVBUF).
	ReceiveBufferBytes int `json:"receive_buffer_bytes,omitempty"`
}

// Progress is a node's count so far, printed at most once a second: a client's
// of its requests, a server's of whom it turned away.
type Progress struct {
	AtNS    int64 `json:"at_ns"`
	Started int   `json:"started"`
	Done    int   `json:"done"`
	OK      int   `json:"ok"`
	// Refused are connections that the server refused, Dropped packets that its
	// XDP program dropped.
	Refused int    `json:"refused,omitempty"`
	Dropped uint64 `json:"dropped,omitempty"`
}

// Outcome says how a request ended, as its client saw it.
type Outcome string

// The outcomes of a request. Each request has exactly one.
const (
	OK      Outcome = "ok"      // status 200 and every byte, counted
	Refused Outcome = "refused" // by the server, with an error code
	Timeout Outcome = "timeout" // no end within the scenario's time-out
	Failed  Outcome = "error"   // anything else
	// Local is a request that its own machine could not send, for want of a
	// socket, a port or memory. Such a request is no attack.
	Local Outcome = "local"
)

// Outcomes are all outcomes, in the order in which tables show them.
var Outcomes = []Outcome{OK, Refused, Timeout, Failed, Local}

// Request is one request on a connection of its own, as its client saw it.
// The phases HandshakeNS, FirstByteNS and BodyNS are durations since StartNS,
// and zero where the request did not get that far.
type Request struct {
	Seq         int   `json:"seq"`          // 0 .. requests-1, in the order of the schedule and of the starts
	ScheduledNS int64 `json:"scheduled_ns"` // intended start; equal to StartNS for a closed loop
	StartNS     int64 `json:"start_ns"`
	HandshakeNS int64 `json:"handshake_ns,omitempty"`  // handshake complete
	FirstByteNS int64 `json:"first_byte_ns,omitempty"` // response headers read
	BodyNS      int64 `json:"body_ns,omitempty"`       // last byte of the body read
	EndNS       int64 `json:"end_ns"`                  // since StartNS: outcome known
	// HeldNS is how long the client kept the connection open after EndNS. It is less
	// than the client was asked to if the connection was closed or idled out before.
	HeldNS int64 `json:"held_ns,omitempty"`
	// BodyBytes is how much of the body arrived.
	BodyBytes int64   `json:"body_bytes,omitempty"`
	Outcome   Outcome `json:"outcome"`
	// Code is the QUIC error code of the server's refusal.
	Code  *uint64 `json:"code,omitempty"`
	Error string  `json:"error,omitempty"`
}

// ResponseNS is the time from the intended start to the end: the response
// time, free of coordinated omission.
func (r *Request) ResponseNS() int64 { return r.StartNS - r.ScheduledNS + r.EndNS }

// ServiceNS is the time from the actual start to the end.
func (r *Request) ServiceNS() int64 { return r.EndNS }

// ConnectionEnd says how a connection ended, as the server saw it.
type ConnectionEnd string

// The ways in which a connection that completed its handshake ends.
const (
	ClosedByClient ConnectionEnd = "closed"       // the client closed it
	IdleTimeout    ConnectionEnd = "idle-timeout" // nothing arrived for the idle timeout
	RefusedByQuota ConnectionEnd = "refused"      // the server closed it: over quota
	ServerStopped  ConnectionEnd = "stopped"      // still open when the server stopped
	ConnectionLost ConnectionEnd = "error"        // anything else
)

// Connection is one connection as the server saw it, from its first packet.
type Connection struct {
	Client      string        `json:"client"`                 // IP address, counted for the quota
	StartNS     int64         `json:"start_ns"`               // first packet seen by the server
	HandshakeNS int64         `json:"handshake_ns,omitempty"` // since StartNS; 0: never completed
	EndNS       int64         `json:"end_ns"`                 // since StartNS
	BodyBytes   int64         `json:"body_bytes"`             // of responses, given to the transport
	Served      int           `json:"served"`                 // responses written to their last byte
	End         ConnectionEnd `json:"end"`
	Error       string        `json:"error,omitempty"`
}

// Refusal is one client turned away in user space, and what that cost.
type Refusal struct {
	Client string `json:"client"`
	AtNS   int64  `json:"at_ns"`
	// Stage is "early" (on the first packet) or "accepted" (after the
	// handshake).
	Stage string `json:"stage"`
	// WallNS is wall time from the decision to the end of the close. CPUNS is
	// the CPU time, in that span, of the thread that asks for the close; the
	// transport seals and sends it in a goroutine of its own, which is not in
	// CPUNS. For "early" both cover the decision only, as the transport sends
	// the refusal by itself.
	WallNS int64 `json:"wall_ns"`
	CPUNS  int64 `json:"cpu_ns"`
}

// Gateway is what the XDP program did, printed once at the server's end.
type Gateway struct {
	Interface string `json:"interface"`
	Mode      string `json:"mode"`
	// Packets are the packets seen, by the reason for which the program ended.
	Packets map[string]uint64 `json:"packets"`
	Seen    uint64            `json:"seen"`
	Passed  uint64            `json:"passed"`
	Dropped uint64            `json:"dropped"`
	// DropNS is the median time inside the program for a packet that it drops,
	// measured after the load with the kernel's test run of a copy of the
	// attached program; the run loop's own cost, measured with an empty program in the
	// same bursts, is subtracted and stands in EmptyNS.
	DropNS  float64 `json:"drop_ns"`
	EmptyNS float64 `json:"empty_ns"`
	// UpdateErrors counts map writes that the kernel refused.
	UpdateErrors uint64 `json:"update_errors"`
}

// Server closes a server's output: its totals.
type Server struct {
	Variant     string `json:"variant"`     // records older than this field have another, limiter
	Connections int    `json:"connections"` // completed handshakes
	Served      int    `json:"served"`
	Refusals    int    `json:"refusals"`
	// PeakPerClient is the largest number of connections that one address had
	// admitted at the same time.
	PeakPerClient int `json:"peak_per_client"`
	// StillCounted is the sum of all counts after the last release: zero.
	StillCounted int `json:"still_counted"`
	// EmptyWallNS and EmptyCPUNS are what the clocks of a Refusal say of a span
	// with nothing in it, their median, measured after the load: their own cost.
	// It is in WallNS and CPUNS, not subtracted. Zero of a server without a
	// limiter, and in records older than this measurement.
	EmptyWallNS int64 `json:"empty_wall_ns,omitempty"`
	EmptyCPUNS  int64 `json:"empty_cpu_ns,omitempty"`
}

// Flood is what a flood sent in about one second.
type Flood struct {
	FromNS int64  `json:"from_ns"`
	ToNS   int64  `json:"to_ns"`
	Frames uint64 `json:"frames"`
	Bytes  uint64 `json:"bytes"` // of the frames, with their Ethernet headers
}

// Client closes a client's output: its totals.
type Client struct {
	Requests int `json:"requests"` // started; of a flood, the frames sent
	// PeakInFlight is the largest number of requests in flight at once, and Held
	// how many of a parallel client started late because max_in_flight was reached.
	PeakInFlight int `json:"peak_in_flight"`
	Held         int `json:"held"`
}

// Sample is the state of one node's process and of its CPUs at one instant.
// CPUNS, Busy, SoftIRQ, Steal and the UDP counters count since boot or start:
// a rate is the difference of two samples.
type Sample struct {
	AtNS     int64 `json:"at_ns"`
	CPUNS    int64 `json:"cpu_ns"` // user and system time of the process
	RSSBytes int64 `json:"rss_bytes"`
	// SwapBytes is how much of the process is swapped out, as read once a second.
	SwapBytes int64 `json:"swap_bytes,omitempty"`
	// BusyNS is the busy time of the node's CPUs, softirq and steal excluded;
	// the kernel counts it in ticks of 10 ms.
	BusyNS    int64 `json:"busy_ns"`
	SoftIRQNS int64 `json:"softirq_ns"`
	StealNS   int64 `json:"steal_ns,omitempty"`
	// ReceiveNS is the CPU time of the kernel's threads that receive the node's packets,
	// if it has some of its own; it is part of BusyNS.
	ReceiveNS int64 `json:"receive_ns,omitempty"`
	// Syscalls is how many system calls the process has made since its exec, or
	// how many in the stretches that are measured; zero where none are counted.
	Syscalls uint64 `json:"syscalls,omitempty"`
	// Of the node's network namespace (/proc/net/snmp), as read once a second and
	// at the end.
	UDPInDatagrams  uint64 `json:"udp_in_datagrams"`
	UDPInErrors     uint64 `json:"udp_in_errors,omitempty"`
	UDPRcvbufErrors uint64 `json:"udp_rcvbuf_errors,omitempty"`
	// Of the node's interfaces without the loopback (/proc/net/dev), read as often.
	ReceivedBytes uint64 `json:"received_bytes,omitempty"`
	SentBytes     uint64 `json:"sent_bytes,omitempty"`
}

// Syscall is the count of one system call of the measured process, from its
// exec to the signal that asks it to stop (SIGTERM or SIGINT), or to its end:
// what it does to print its records is not part of its work.
type Syscall struct {
	Number int    `json:"number"`
	Name   string `json:"name"`
	Calls  uint64 `json:"calls"`
	Errors uint64 `json:"errors"`
	TimeNS uint64 `json:"time_ns"` // on a CPU, from entry to exit: waiting is not in it
}

// Probe closes a node's output: how the measured process ended, and what
// measuring cost.
type Probe struct {
	ExitCode int    `json:"exit_code"`        // 128 + signal where a signal ended it
	Signal   string `json:"signal,omitempty"` // the signal that ended it
	UserNS   int64  `json:"user_ns"`
	SystemNS int64  `json:"system_ns"`
	// PeakRSSBytes is the kernel's high-water mark of the resident set.
	PeakRSSBytes int64 `json:"peak_rss_bytes"`
	// OwnCPUNS is the probe's own CPU time.
	OwnCPUNS int64 `json:"own_cpu_ns"`
	// CPUs are the CPUs that the node may use, and the denominator of its
	// percentages.
	CPUs []int `json:"cpus"`
	// Samples is how many Sample records precede this one, and Missed how many
	// were due but taken more than one interval late.
	Samples int `json:"samples"`
	Missed  int `json:"missed"`
	// ThrottledPeriods counts the periods in which the control group's CPU
	// quota stopped the node; -1 where the host does not tell.
	ThrottledPeriods int64 `json:"throttled_periods"`
	// LostInterfaces names the network interfaces, but the loopback, that were
	// there before the measured process and are gone, down or changed after it.
	LostInterfaces []string `json:"lost_interfaces,omitempty"`
	// SyscallCounter says whether Syscall records precede this one.
	SyscallCounter bool `json:"syscall_counter"`
}
