package orchestrate

import (
	"context"
	"io"
	"net/netip"
	"syscall"
	"time"

	"github.com/equic-bench/equic-bench/host"
	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
)

// Runtime provides places for nodes to run in: containers, or network namespaces.
type Runtime interface {
	// Platform describes where the nodes run, as far as it is known so far. Some facts,
	// such as which capabilities the engine supports, are known only after the first
	// trial.
	Platform() Platform
	// Prepare makes the resources that all trials of a run share, such as an image.
	Prepare(ctx context.Context, run string) error
	// Unprepare removes what Prepare made for any run, and returns the names. Resources
	// in use stay. No run may be in progress: its next trial needs what Prepare made.
	Unprepare(ctx context.Context) (removed []string, err error)
	// Open makes the network and the nodes of a trial, and starts none of them. If it
	// returns an error, it leaves nothing behind.
	Open(ctx context.Context, spec Spec) (Nodes, error)
	Cleaner
	// Close releases the resources of New, such as a connection. It removes no node.
	Close() error
}

// Cleaner removes the leftovers of killed runs. Resources of a run in progress stay.
type Cleaner interface {
	// Leftovers returns the names of what Clean would remove.
	Leftovers(ctx context.Context) ([]string, error)
	// Clean removes them, and returns the names of what is gone.
	Clean(ctx context.Context) (removed []string, err error)
}

// Nodes are the nodes of one trial, by name. All methods may be called from
// several goroutines.
type Nodes interface {
	// Start starts a node. Its standard output and error go to the writers, in order,
	// each from one goroutine at a time. Start and Signal end with their context, even
	// if the runtime does not answer.
	Start(ctx context.Context, name string, stdout, stderr io.Writer) error
	// Wait returns a started node's exit code (128 + signal if a signal ended it),
	// after it has ended and all of its output has been written. A LostError makes the
	// trial invalid. Any other error means that the runtime lost track of the node, and
	// ends the run.
	Wait(ctx context.Context, name string) (int, error)
	// Signal sends a signal to a node. If the node has ended, this is not an error.
	Signal(ctx context.Context, name string, signal syscall.Signal) error
	// Location returns where a started node runs.
	Location(name string) Location
	// Arrived counts the frames of floods that have come to the server so far. It returns nil
	// if nothing counts them.
	Arrived() (*Arrivals, error)
	// Detach stops copying output and leaves nodes and network as they are.
	Detach()
	// Remove ends the running nodes and removes all nodes and their network. After
	// Detach and Remove, nothing is written to the writers.
	Remove(ctx context.Context) error
}

// Location is where a node runs.
type Location struct {
	// Host is the name of its host, if that is not this machine.
	Host string
	// Address is that of the node, if the runtime chose another than NodeSpec.Address.
	Address netip.Addr
}

// LostError means that a node's host is gone. The trial is invalid, and the run goes on.
type LostError struct{ Reason string }

func (e *LostError) Error() string { return e.Reason }

// Arrivals are the frames that have come to the server's interface.
type Arrivals struct {
	// Frames is how many frames of floods came, including those that the interface's queue
	// lost.
	Frames uint64
	// Lost is how many frames the queue had no room for, of floods and of others; nil if that
	// is not known.
	Lost *uint64
}

// Platform describes where a runtime's nodes run.
type Platform struct {
	Runtime results.Runtime
	// CPUs are the numbers of the CPUs that the nodes may use; none means unknown.
	CPUs []int
	// Cores are the cores of the CPUs, the fastest first; none means unknown. They may
	// have threads that nodes may not use.
	Cores []host.Core
	// WholeFrames reports whether a flood can send whole frames, from any address.
	WholeFrames bool
	// SharedAddresses reports whether a node can have another's address (NodeSpec.Behind).
	SharedAddresses bool
	// IPv6 reports whether nodes can have IPv6 addresses.
	IPv6 bool
	// SeveralAddresses reports whether a node can have a network of addresses
	// (NodeSpec.Addresses).
	SeveralAddresses bool
	// HostNetwork reports whether nodes can have the networks of their hosts
	// (Spec.HostNetwork).
	HostNetwork bool
	// HostPrograms reports whether nodes can run any program of this machine, and Images
	// whether they can be made of any image.
	HostPrograms, Images bool
	// Apart reports whether server and clients are on different hosts, so that neither needs
	// CPUs of its own.
	Apart bool
	// ProbePins reports whether the probe binds its node to NodeSpec.CPUs, because the
	// runtime cannot.
	ProbePins bool
	// NoMemoryLimit reports that nodes get no memory limit, even if one is requested.
	NoMemoryLimit bool
	// NoSwapLimit reports that nodes at their memory limit can be swapped out.
	NoSwapLimit bool
	// NoKeep is why nodes cannot outlive the run (Options.Keep); empty if they can.
	NoKeep string
	// Startup returns an upper bound on the time until the given number of nodes are all ready,
	// if the runtime has such an estimate. If it is nil, the scenario's upper bound and the
	// run's trials so far are used.
	Startup func(nodes int) time.Duration
	// SlowStart is how much longer nodes take to start than containers of one engine, for
	// which a scenario's trial.startup is meant.
	SlowStart time.Duration
	// BinDir is the folder of the nodes' binaries, and FilesDir that of NodeSpec.Files, as
	// the nodes see them.
	BinDir   string
	FilesDir string
	Warnings []string
}

// Spec contains what a runtime needs to make the nodes of one trial.
type Spec struct {
	Run     string // the run's ID, for labels
	Trial   results.PlannedTrial
	Attempt int
	Subnet  netip.Prefix
	Subnet6 netip.Prefix // not valid if no node has an IPv6 address
	// HostNetwork reports whether the nodes have the networks of their hosts, and their
	// addresses, in place of one of the trial.
	HostNetwork bool
	Nodes       []NodeSpec // the server first
}

// Limit bounds the time to make or remove the nodes and their network: beyond it, the
// runtime is assumed not to answer.
func (s Spec) Limit() time.Duration { return nodesLimit(len(s.Nodes)) }

// nodesLimit returns 30 s for up to nine nodes, and in proportion for more.
func nodesLimit(nodes int) time.Duration {
	return 30 * time.Second * time.Duration(max(nodes, 9)) / 9
}

// NodeSpec is one node: a process with an address of its own.
type NodeSpec struct {
	Name    string
	Role    string // results.RoleServer, for example
	Address netip.Addr
	// Other is another address of the node, if it has one of each version of IP.
	Other netip.Addr
	// Addresses are those from which an attacker sends in place of Address, if it has
	// several. Their network is the node's: others reach it through Address.
	Addresses record.Sources
	// Behind names the node whose network the node shares, including its address; empty
	// means none.
	Behind  string
	Command []string // argv
	Env     []string // NAME=value
	CPUs    []int    // none means all
	// MemoryBytes limits memory, without swap. Zero means no limit.
	MemoryBytes int64
	// OpenFiles is how many files the node must be able to open. The runtime sets the
	// limit if it can; zero leaves it unchanged.
	OpenFiles int
	// Image is the container's image; empty means the one that contains only our programs. If
	// it is another image, the runtime puts equic-probe into Platform.FilesDir.
	Image string
	// Files are in Platform.FilesDir before the node starts.
	Files []File
	// Filter is enforced by nftables in front of the node; nil is none.
	Filter *Filter
	// Flood reports whether the node sends the marked frames of a flood. Sources is the network
	// from which it sends besides its own address; replies to Sources go to the node.
	Flood   bool
	Sources netip.Prefix
	// Kernel reports whether the node loads eBPF programs and attaches XDP to its
	// interface. It then gets the capabilities for that; no other node has any.
	Kernel bool
}

// File is a file of a node. Its name is relative to Platform.FilesDir.
type File struct {
	Name string
	Data []byte
}

// Filter is what nftables lets through to a UDP port.
type Filter struct {
	Port    int
	Packets uint64        // that open a connection, of each client address, in the time Per; zero is no limit
	Per     time.Duration // a second, a minute or an hour
	Burst   int           // such packets at once
	Deny    []netip.Prefix
}
