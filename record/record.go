// Package record defines the records that nodes print on standard output, and the list
// of the variants.
//
// The server, the clients and the probe print records. orchestrate stores them in a run
// directory, and report reads them.
//
// Units are in the names: NS is nanoseconds, Bytes is bytes. A time called At or Start
// is relative to the trial's epoch (negative before it); any other NS is a duration.
// Values are raw: not scaled, binned or averaged.
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

// Ready means that a node is ready to work: a server listens (and its XDP program is
// attached), a client waits for the epoch.
type Ready struct {
	Node    string `json:"node"`
	AtNS    int64  `json:"at_ns"`
	XDPMode string `json:"xdp_mode,omitempty"` // where packets are dropped: an XDP mode, or the name of another place
	// ReceiveBufferBytes is the UDP socket's receive buffer in force (SO_RCVBUF).
	ReceiveBufferBytes int `json:"receive_buffer_bytes,omitempty"`
}

// Progress is a node's count so far, printed at most once a second. A client counts its
// requests, a server its refusals and drops.
type Progress struct {
	AtNS    int64 `json:"at_ns"`
	Started int   `json:"started"`
	Done    int   `json:"done"`
	OK      int   `json:"ok"`
	// Refused is the number of connections that the server refused, Dropped the number
	// of packets that its XDP program dropped.
	Refused int    `json:"refused,omitempty"`
	Dropped uint64 `json:"dropped,omitempty"`
}

// Outcome is how a request ended, from the client's point of view.
type Outcome string

// The outcomes of a request. Each request has exactly one.
const (
	OK      Outcome = "ok"      // status 200 and every byte, counted
	Refused Outcome = "refused" // by the server, with an error code
	Timeout Outcome = "timeout" // no end within the scenario's time-out
	Failed  Outcome = "error"   // anything else
	// Local is a request that the client's own machine could not send, for lack of a
	// socket, a port or memory. Such a request does not count as an attack.
	Local Outcome = "local"
)

// Outcomes are all outcomes, in the order of the tables.
var Outcomes = []Outcome{OK, Refused, Timeout, Failed, Local}

// Request is one request on its own connection, from the client's point of view. The
// phases HandshakeNS, FirstByteNS and BodyNS are durations since StartNS, or zero if
// the request did not get that far.
type Request struct {
	Seq         int   `json:"seq"`          // 0 .. requests-1, in the order of the schedule and of the starts
	ScheduledNS int64 `json:"scheduled_ns"` // intended start; equal to StartNS for a closed loop
	StartNS     int64 `json:"start_ns"`
	HandshakeNS int64 `json:"handshake_ns,omitempty"`  // handshake complete
	FirstByteNS int64 `json:"first_byte_ns,omitempty"` // response headers read
	BodyNS      int64 `json:"body_ns,omitempty"`       // last byte of the body read
	EndNS       int64 `json:"end_ns"`                  // since StartNS: when the outcome is known
	// HeldNS is how long the client kept the connection open after EndNS. It is less
	// than what was asked for if the connection was closed or timed out earlier.
	HeldNS int64 `json:"held_ns,omitempty"`
	// BodyBytes is the number of bytes of the body that arrived.
	BodyBytes int64   `json:"body_bytes,omitempty"`
	Outcome   Outcome `json:"outcome"`
	// Code is the QUIC error code of the server's refusal.
	Code  *uint64 `json:"code,omitempty"`
	Error string  `json:"error,omitempty"`
}

// ResponseNS returns the time from the intended start to the end: the response time,
// without coordinated omission.
func (r *Request) ResponseNS() int64 { return r.StartNS - r.ScheduledNS + r.EndNS }

// ServiceNS returns the time from the actual start to the end.
func (r *Request) ServiceNS() int64 { return r.EndNS }

// ConnectionEnd is how a connection ended, from the server's point of view.
type ConnectionEnd string

// How a connection ends after its handshake was complete.
const (
	ClosedByClient ConnectionEnd = "closed"       // the client closed it
	IdleTimeout    ConnectionEnd = "idle-timeout" // nothing arrived for the idle timeout
	RefusedByQuota ConnectionEnd = "refused"      // the server closed it: over quota
	ServerStopped  ConnectionEnd = "stopped"      // still open when the server stopped
	RefusedByQueue ConnectionEnd = "queue-full"   // the transport closed it: too many wait to be accepted
	ConnectionLost ConnectionEnd = "error"        // anything else
)

// Connection is one connection from its first packet on, from the server's point of
// view.
type Connection struct {
	Client      string        `json:"client"`                 // IP address, counted for the quota
	StartNS     int64         `json:"start_ns"`               // first packet at the server
	HandshakeNS int64         `json:"handshake_ns,omitempty"` // since StartNS; 0: not completed
	EndNS       int64         `json:"end_ns"`                 // since StartNS
	BodyBytes   int64         `json:"body_bytes"`             // of responses, given to the transport
	Served      int           `json:"served"`                 // responses written completely
	End         ConnectionEnd `json:"end"`
	Error       string        `json:"error,omitempty"`
}

// Refusal is one client that was refused in user space, and the cost of that.
type Refusal struct {
	Client string `json:"client"`
	AtNS   int64  `json:"at_ns"`
	// Stage is "early" (on the first packet) or "accepted" (after the
	// handshake).
	Stage string `json:"stage"`
	// WallNS is the wall time from the decision to the end of the close. CPUNS is the
	// CPU time, in that span, of the thread that calls for the close. The transport
	// encrypts and sends it in another goroutine, which CPUNS does not include. For
	// "early", both are the time of the decision only, because the transport itself
	// sends the refusal. CPUNS is zero if it was not measured: to measure it costs system
	// calls.
	WallNS int64 `json:"wall_ns"`
	CPUNS  int64 `json:"cpu_ns"`
}

// Gateway contains the counters of the place that drops packets, printed once at the server's end.
type Gateway struct {
	Interface string `json:"interface"`
	Mode      string `json:"mode"`
	// Packets are the packets seen, by the reason for which the program ended.
	Packets map[string]uint64 `json:"packets"`
	Seen    uint64            `json:"seen"`
	Passed  uint64            `json:"passed"`
	Dropped uint64            `json:"dropped"`
	// DropNS is the median time inside the program for a packet that it drops. It is
	// measured after the load, with the kernel's test run of a copy of the attached
	// program. The cost of the run loop is measured with an empty program in the same
	// bursts. It is subtracted, and recorded in EmptyNS.
	DropNS  float64 `json:"drop_ns"`
	EmptyNS float64 `json:"empty_ns"`
	// UpdateErrors is the number of map writes that the kernel refused.
	UpdateErrors uint64 `json:"update_errors"`
}

// Server is the last record of a server: its totals.
type Server struct {
	Variant     string `json:"variant"`     // older records have the field limiter instead
	Connections int    `json:"connections"` // completed handshakes, without QueueFull
	Served      int    `json:"served"`
	Refusals    int    `json:"refusals"`
	// QueueFull is the number of connections that the transport closed after the handshake
	// because too many waited to be accepted, whatever the quota.
	QueueFull int `json:"queue_full,omitempty"`
	// Retried is the number of first packets for which the server asked for a Retry. One
	// attempt may have two of them. The transport sends no Retry if eight of them wait to be
	// sent.
	Retried uint64 `json:"retried,omitempty"`
	// PeakPerClient is the largest number of admitted connections that one address had
	// at the same time.
	PeakPerClient int `json:"peak_per_client"`
	// StillCounted is the sum of all counts after the last release. It must be zero.
	StillCounted int `json:"still_counted"`
	// EmptyWallNS and EmptyCPUNS are the clocks' own cost: the median of a Refusal's
	// clocks for an empty span, measured after the load. For refusals after the handshake, the
	// span has a wait for another goroutine, as a refusal has. WallNS and CPUNS include it;
	// it is not subtracted. They are zero for a server without a limiter, and in
	// records older than this measurement.
	EmptyWallNS int64 `json:"empty_wall_ns,omitempty"`
	EmptyCPUNS  int64 `json:"empty_cpu_ns,omitempty"`
}

// Flood is the frames that a flood sent in about one second.
type Flood struct {
	FromNS int64  `json:"from_ns"`
	ToNS   int64  `json:"to_ns"`
	Frames uint64 `json:"frames"`
	Bytes  uint64 `json:"bytes"` // of the frames, including their Ethernet headers
	// MostAtOnce is the largest number of frames that were due at once, and sent as fast as
	// possible. Older records have none.
	MostAtOnce int `json:"most_at_once,omitempty"`
}

// Client is the last record of a client: its totals.
type Client struct {
	Requests int `json:"requests"` // requests started; for a flood, frames sent
	// PeakInFlight is the largest number of requests in flight at once. Held is the
	// number of requests of a parallel client that started late because max_in_flight
	// was reached.
	PeakInFlight int `json:"peak_in_flight"`
	Held         int `json:"held"`
}

// Sample is the state of one node's process and of its CPUs at one instant. CPUNS,
// Busy, SoftIRQ, Steal and the UDP counters count since boot or start: a rate is the
// difference of two samples.
type Sample struct {
	AtNS     int64 `json:"at_ns"`
	CPUNS    int64 `json:"cpu_ns"` // user and system time of the process
	RSSBytes int64 `json:"rss_bytes"`
	// SwapBytes is the swapped-out size of the process, read once a second.
	SwapBytes int64 `json:"swap_bytes,omitempty"`
	// BusyNS is the busy time of the node's CPUs, without softirq and steal. The kernel
	// counts it in ticks of 10 ms.
	BusyNS    int64 `json:"busy_ns"`
	SoftIRQNS int64 `json:"softirq_ns"`
	StealNS   int64 `json:"steal_ns,omitempty"`
	// ReceiveNS is the CPU time of the kernel's threads that receive the node's
	// packets, if the node has its own. It is part of BusyNS.
	ReceiveNS int64 `json:"receive_ns,omitempty"`
	// Syscalls is the number of system calls of the process since its exec, or only of
	// those in the stretches that are measured. It is zero if none are counted.
	Syscalls uint64 `json:"syscalls,omitempty"`
	// For the node's network namespace (/proc/net/snmp and snmp6), read once a second and
	// at the end.
	UDPInDatagrams  uint64 `json:"udp_in_datagrams"`
	UDPInErrors     uint64 `json:"udp_in_errors,omitempty"`
	UDPRcvbufErrors uint64 `json:"udp_rcvbuf_errors,omitempty"`
	UDPOutDatagrams uint64 `json:"udp_out_datagrams,omitempty"` // not in older runs
	// For the node's interfaces without the loopback (/proc/net/dev), read at the same
	// times.
	ReceivedBytes uint64 `json:"received_bytes,omitempty"`
	SentBytes     uint64 `json:"sent_bytes,omitempty"`
}

// Syscall is the count of one system call of the measured process, from its exec to the
// signal that asks it to stop (SIGTERM or SIGINT), or to its end. Printing its records
// is not part of its work.
type Syscall struct {
	Number int    `json:"number"`
	Name   string `json:"name"`
	Calls  uint64 `json:"calls"`
	Errors uint64 `json:"errors"`
	TimeNS uint64 `json:"time_ns"` // on a CPU, from entry to exit, without waiting
}

// Probe is the last record of a node: how the measured process ended, and the cost of
// measuring.
type Probe struct {
	ExitCode int    `json:"exit_code"`        // 128 + signal if a signal ended it
	Signal   string `json:"signal,omitempty"` // the signal that ended it
	UserNS   int64  `json:"user_ns"`
	SystemNS int64  `json:"system_ns"`
	// PeakRSSBytes is the kernel's high-water mark of the resident set.
	PeakRSSBytes int64 `json:"peak_rss_bytes"`
	// OwnCPUNS is the probe's own CPU time.
	OwnCPUNS int64 `json:"own_cpu_ns"`
	// CPUs are the CPUs that the node may use: all of them together are 100 % in its
	// percentages.
	CPUs []int `json:"cpus"`
	// Samples is the number of Sample records before this one. Missed is the number of
	// samples that were taken more than one interval late.
	Samples int `json:"samples"`
	Missed  int `json:"missed"`
	// ThrottledPeriods is the number of periods in which the control group's CPU quota
	// stopped the node, or -1 if the host does not report it.
	ThrottledPeriods int64 `json:"throttled_periods"`
	// LostInterfaces are the names of the network interfaces, without the loopback,
	// that existed before the measured process and are gone, down or changed after it.
	LostInterfaces []string `json:"lost_interfaces,omitempty"`
	// SyscallCounter reports whether there are Syscall records before this one.
	SyscallCounter bool `json:"syscall_counter"`
}
