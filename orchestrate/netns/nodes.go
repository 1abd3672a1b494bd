package netns

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/equic-bench/equic-bench/orchestrate"
	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
)

// groupLimit bounds the wait until a control group is empty.
const groupLimit = 5 * time.Second

// nodes are the processes of one trial.
type nodes struct {
	runtime *Runtime
	spec    orchestrate.Spec
	network *network
	byName  map[string]*node
}

var _ orchestrate.Nodes = (*nodes)(nil)

// node is one process: the probe, whose child dies with it.
type node struct {
	spec  orchestrate.NodeSpec
	ns    netns.NsHandle
	group memoryGroup   // nil if there is no limit
	held  *os.File      // its hold on the group
	done  chan struct{} // closed when a started node has ended and its output is copied

	mu      sync.Mutex
	process *os.Process // nil before the start
	code    int
	err     error
}

// Open makes the network of a trial, and the control groups of its nodes.
func (r *Runtime) Open(ctx context.Context, spec orchestrate.Spec) (_ orchestrate.Nodes, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	network, err := newNetwork(spec, r.apart == nil)
	if err != nil {
		return nil, err
	}
	n := &nodes{runtime: r, spec: spec, network: network, byName: make(map[string]*node)}
	for _, s := range spec.Nodes {
		if len(network.receivers) > 0 && s.Role == results.RoleServer {
			s.Env = append(slices.Clone(s.Env), record.EnvReceivers+"="+joined(network.receivers))
		}
		made := &node{spec: s, ns: network.nodes[cmp.Or(s.Behind, s.Name)], done: make(chan struct{})}
		n.byName[s.Name] = made
		if err := r.equip(s, made.ns); err != nil {
			return nil, errors.Join(err, n.Remove(context.WithoutCancel(ctx)))
		}
		if r.memory == "" || s.MemoryBytes <= 0 {
			continue
		}
		name := fmt.Sprintf("%s%s-%03d-%d-%s", groupPrefix, spec.Run, spec.Trial.Index, spec.Attempt, s.Name)
		if made.group, _, err = newMemoryGroup(r.memory, name, s.MemoryBytes); err == nil {
			made.held, err = hold(made.group.path())
		}
		if err != nil {
			return nil, errors.Join(err, n.Remove(context.WithoutCancel(ctx)))
		}
	}
	return n, nil
}

// equip writes a node's files and sets up its packet filter, before it starts.
func (r *Runtime) equip(s orchestrate.NodeSpec, ns netns.NsHandle) error {
	if err := r.putFiles(s.Files); err != nil {
		return err
	}
	if s.Filter == nil {
		return nil
	}
	if err := addFilter(ns, *s.Filter); err != nil {
		return fmt.Errorf("filter the packets to %s: %w", s.Name, err)
	}
	return nil
}

func joined(pids []int) string {
	return strings.ReplaceAll(strings.Trim(fmt.Sprint(pids), "[]"), " ", ",")
}

// Start starts a node's process in its namespace, on its CPUs, and in its
// control group.
func (n *nodes) Start(ctx context.Context, name string, stdout, stderr io.Writer) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	node := n.byName[name]
	started := make(chan error)
	go node.run(stdout, stderr, started)
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	return nil
}

// run runs a node from start to end. It has a thread of its own: the thread gives the
// namespace and the CPUs to the process, which dies with it, and is never used for
// anything else.
func (n *node) run(stdout, stderr io.Writer, started chan<- error) {
	runtime.LockOSThread()
	command, err := n.start(stdout, stderr)
	started <- err
	if err != nil {
		return
	}
	sweepErr := n.sweep(command.Process.Pid)
	err = command.Wait()
	if _, exited := errors.AsType[*exec.ExitError](err); exited {
		err = nil
	}
	n.mu.Lock()
	n.code, n.err = exitCode(command.ProcessState), errors.Join(err, sweepErr)
	n.mu.Unlock()
	close(n.done)
}

// sweep waits for the end of a node's process and kills what is left of its process
// group and its control group, as the end of a container's first process does. Otherwise a
// surviving program would keep the node's output open. The process is not reaped yet, so its
// process group's number cannot be reused.
func (n *node) sweep(pid int) error {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("wait for process %d: %w", pid, err)
		}
		break
	}
	if err := unix.Kill(-pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("kill process group %d: %w", pid, err)
	}
	if n.group == nil {
		return nil
	}
	return killGroup(n.group.path()) // a daemon has left the process group
}

func (n *node) start(stdout, stderr io.Writer) (*exec.Cmd, error) {
	if err := netns.Set(n.ns); err != nil {
		return nil, fmt.Errorf("enter its network namespace: %w", err)
	}
	if err := bind(n.spec.CPUs); err != nil {
		return nil, err
	}
	command := exec.Command(n.spec.Command[0], n.spec.Command[1:]...) //nolint:noctx // ended by Signal and Remove
	command.Env, command.Stdout, command.Stderr = n.spec.Env, stdout, stderr
	command.SysProcAttr = &syscall.SysProcAttr{
		Setpgid:   true, // Ctrl-C is for the run, which stops its nodes itself
		Pdeathsig: syscall.SIGKILL,
		Ptrace:    n.group != nil, // stops at its first instruction
	}
	if command.Env == nil {
		command.Env = []string{} // nil would mean ours
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	if n.group != nil {
		if err := n.limit(command.Process.Pid); err != nil {
			return nil, errors.Join(err, command.Process.Kill(), ignoreExit(command.Wait()))
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.process = command.Process
	return command, nil
}

// limit puts a stopped process into its control group, and then lets it run. Children
// that it already had would not be moved with it.
func (n *node) limit(pid int) error {
	var status unix.WaitStatus
	for {
		_, err := unix.Wait4(pid, &status, 0, nil)
		if !errors.Is(err, unix.EINTR) {
			if err != nil || !status.Stopped() {
				return fmt.Errorf("wait for its first instruction: %w", errors.Join(err, stateError(status)))
			}
			break
		}
	}
	if err := n.group.add(pid); err != nil {
		return fmt.Errorf("put it into its control group: %w", err)
	}
	if err := unix.PtraceDetach(pid); err != nil {
		return fmt.Errorf("let it run: %w", err)
	}
	return nil
}

func stateError(s unix.WaitStatus) error {
	if s.Stopped() {
		return nil
	}
	return fmt.Errorf("wait status %#x", int(s))
}

func ignoreExit(err error) error {
	if _, exited := errors.AsType[*exec.ExitError](err); exited {
		return nil
	}
	return err
}

// exitCode returns 128 + signal if a signal ended the process.
func exitCode(state *os.ProcessState) int {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return state.ExitCode()
}

// Wait returns a node's exit code once its output is copied.
func (n *nodes) Wait(ctx context.Context, name string) (int, error) {
	node := n.byName[name]
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-node.done:
	}
	node.mu.Lock()
	defer node.mu.Unlock()
	return node.code, node.err
}

// Signal sends a signal to a node's process.
func (n *nodes) Signal(_ context.Context, name string, signal syscall.Signal) error {
	if err := n.byName[name].signal(signal); err != nil {
		return fmt.Errorf("send %s to %s: %w", unix.SignalName(signal), name, err)
	}
	return nil
}

func (n *node) signal(signal syscall.Signal) error {
	n.mu.Lock()
	process := n.process
	n.mu.Unlock()
	if process == nil {
		return nil
	}
	if err := process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// Location returns the zero value: nodes run on this machine, at the addresses in their specs.
func (*nodes) Location(string) orchestrate.Location { return orchestrate.Location{} }

// Arrived counts the frames that left through the server's bridge port.
func (n *nodes) Arrived() (*orchestrate.Arrivals, error) {
	if n.network.floods == nil {
		return nil, nil
	}
	return n.network.arrivals()
}

// Detach leaves the nodes running until this process ends, which also ends them.
func (*nodes) Detach() {}

// Remove kills the running nodes, and releases namespaces, control groups and files. A second
// call does nothing.
func (n *nodes) Remove(ctx context.Context) error {
	var err error
	for _, node := range n.byName {
		err = errors.Join(err, node.signal(syscall.SIGKILL))
	}
	for name, node := range n.byName {
		err = errors.Join(err, node.remove(ctx, name))
	}
	return errors.Join(err, n.network.close(), n.runtime.removeFiles())
}

func (n *node) remove(ctx context.Context, name string) error {
	n.mu.Lock()
	started := n.process != nil
	n.mu.Unlock()
	if started {
		select {
		case <-n.done:
		case <-ctx.Done():
			return fmt.Errorf("%s outlives SIGKILL: %w", name, ctx.Err())
		}
	}
	if n.group == nil {
		return nil
	}
	if err := removeWhenEmpty(ctx, n.group); err != nil {
		return fmt.Errorf("remove the control group of %s: %w", name, err)
	}
	n.group = nil
	if n.held == nil { // it could not be held
		return nil
	}
	return n.held.Close()
}

// removeWhenEmpty removes a control group as soon as it is empty: a killed process leaves it
// shortly after its death.
func removeWhenEmpty(ctx context.Context, group memoryGroup) error {
	ctx, cancel := context.WithTimeout(ctx, groupLimit)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		err := group.remove()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}
