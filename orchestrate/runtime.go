package orchestrate

import (
	"context"
	"io"
	"net/netip"
	"syscall"
	"time"

	"github.com/equic-bench/equic-bench/host"
	"github.com/equic-bench/equic-bench/results"
)

// Runtime makes places for nodes to run in: containers, or network namespaces.
type Runtime interface {
	// Platform says what the nodes run in, as far as is known by now. What a
	// runtime finds out by doing, such as which capabilities the engine knows,
	// is in it after the first trial.
	Platform() Platform
	// Prepare makes what all trials of a run share, such as an image.
	Prepare(ctx context.Context, run string) error
	// Unprepare removes what Prepare made for any run, and names it. What is in use
	// stays. No run may be in progress: its next trial needs what Prepare made.
	Unprepare(ctx context.Context) (removed []string, err error)
	// Open makes the network and the nodes of a trial, and starts none of them.
	// Where it returns an error, it leaves nothing behind.
	Open(ctx context.Context, spec Spec) (Nodes, error)
	Cleaner
	// Close releases what New acquired, such as a connection. It removes no node.
	Close() error
}

// Cleaner removes what killed runs left. What belongs to a run in progress stays.
type Cleaner interface {
	// Leftovers names what Clean would remove.
	Leftovers(ctx context.Context) ([]string, error)
	// Clean removes it, and names what is gone.
	Clean(ctx context.Context) (removed []string, err error)
}

// Nodes are the nodes of one trial, by name. All methods may be called from
// several goroutines.
type Nodes interface {
	// Start starts a node. Its standard output and error go to the writers,
	// in order, each from one goroutine at a time. Start and Signal end with
	// their context, also where what they ask does not answer.
	Start(ctx context.Context, name string, stdout, stderr io.Writer) error
	// Wait returns a started node's exit code (128 + signal where a signal
	// ended it), once it has ended and all that it printed has been written. An
	// error means that the runtime lost sight of the node, and ends the run.
	Wait(ctx context.Context, name string) (int, error)
	// Signal sends a signal to a node. A node that has ended is no error.
	Signal(ctx context.Context, name string, signal syscall.Signal) error
	// Arrived returns how many frames of floods have come to the server so far, lost in
	// front of its interface or not; known is false if nothing counts them.
	Arrived() (frames uint64, known bool, err error)
	// Detach stops copying output and leaves nodes and network as they are.
	Detach()
	// Remove ends what still runs and removes the nodes and their network.
	// After Detach and Remove nothing is written to the writers any more.
	Remove(ctx context.Context) error
}

// Platform is where a runtime's nodes run.
type Platform struct {
	Runtime results.Runtime
	// CPUs are the numbers of those that the nodes may use; none is unknown.
	CPUs []int
	// Cores are those of the CPUs, the fastest first; none is unknown. They may have
	// threads that nodes may not use.
	Cores []host.Core
	// WholeFrames reports whether a flood can send whole frames, from any address.
	WholeFrames bool
	// SharedAddresses reports whether a node can have another's address (NodeSpec.Behind).
	SharedAddresses bool
	// HostPrograms reports whether nodes can run any program of this machine, and read its
	// files.
	HostPrograms bool
	// NoMemoryLimit says that nodes get no memory limit, whatever is asked for.
	NoMemoryLimit bool
	// NoSwapLimit says that nodes at their memory limit can be swapped out.
	NoSwapLimit bool
	// NoKeep is why nodes cannot outlive the run (Options.Keep); empty if they can.
	NoKeep string
	// Startup is how long a number of nodes takes at most until all are ready,
	// where the runtime knows it; nil leaves it to the scenario, which is the
	// upper bound, and to what the run's trials so far have taken.
	Startup func(nodes int) time.Duration
	// BinDir is the folder of the nodes' binaries, as the nodes see it.
	BinDir   string
	Warnings []string
}

// Spec is what a runtime must know to make the nodes of one trial.
type Spec struct {
	Run     string // the run's ID, for labels
	Trial   results.PlannedTrial
	Attempt int
	Subnet  netip.Prefix
	Nodes   []NodeSpec // the server first
}

// Limit bounds the making, and the removal, of the nodes and their network: what
// takes longer does not answer.
func (s Spec) Limit() time.Duration { return nodesLimit(len(s.Nodes)) }

// nodesLimit is 30 s for up to nine nodes, and in proportion for more.
func nodesLimit(nodes int) time.Duration {
	return 30 * time.Second * time.Duration(max(nodes, 9)) / 9
}

// NodeSpec is one node: a process with an address of its own.
type NodeSpec struct {
	Name    string
	Role    string // results.RoleServer and so on
	Address netip.Addr
	// Behind names the node whose network the node shares, its address included; empty is
	// none.
	Behind  string
	Command []string // argv
	Env     []string // NAME=value
	CPUs    []int    // none: all
	// MemoryBytes limits memory, without swap. Zero is no limit.
	MemoryBytes int64
	// OpenFiles is how many files the node must be able to open. A runtime that can
	// sets the limit; zero leaves it as it is.
	OpenFiles int
	// Flood reports whether the node sends the marked frames of a flood, and Sources the
	// network from which it does besides its address: what others send to it goes there.
	Flood   bool
	Sources netip.Prefix
	// Kernel says that the node loads eBPF programs and attaches XDP to its
	// interface: it needs the capabilities for that, and no node else has any.
	Kernel bool
}
