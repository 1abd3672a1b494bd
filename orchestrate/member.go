package orchestrate

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/equic-bench/equic-bench/orchestrate/validity"
	"github.com/equic-bench/equic-bench/results"
)

// member is one node of a trial while it runs.
type member struct {
	spec    NodeSpec
	records *recorder
	log     *logFile

	mu       sync.Mutex
	location Location // once it is started
	started  bool
	over     bool
	overAt   time.Time
	exitCode int
	err      error // from waiting for it
	stopped  bool  // asked to end: exit code 0 is then no failure
	killed   bool  // by the run: no exit code is then a failure
}

func newMember(spec NodeSpec, l limits, out *results.TrialWriter, notify func()) (*member, error) {
	records, err := out.Create(recordsFile(spec.Name))
	if err != nil {
		return nil, fmt.Errorf("records of %s: %w", spec.Name, err)
	}
	log, err := out.Create(spec.Name + ".log")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("log of %s: %w", spec.Name, err), records.Close())
	}
	return &member{
		spec:    spec,
		records: newRecorder(records, l, notify),
		log:     &logFile{file: log},
	}, nil
}

func recordsFile(node string) string { return node + ".jsonl" }

// failure returns why the trial cannot continue, with the node's last log line if there
// is one. An error means that the runtime lost track of the node, or that its records
// cannot be written.
func (m *member) failure(epoch time.Time, nodes int) (string, error) {
	err := m.records.seen().err
	node := m.node(epoch)
	moved := validity.ClockMoved(node.ReadyNS, node.ReadySeenNS, nodes)
	m.mu.Lock()
	defer m.mu.Unlock()
	lost, isLost := errors.AsType[*LostError](m.err)
	switch {
	case err != nil:
		return "", err
	case isLost:
		return lost.Reason, nil
	case m.err != nil:
		return "", m.err
	case node.Fault != "":
		return fmt.Sprintf("output of %s: %s", node.Title(), node.Fault), nil
	case moved != "":
		return node.Title() + " " + moved, nil
	case node.ReadyNS > 0:
		return fmt.Sprintf("%s was ready %s after the epoch: if this recurs, raise trial.startup",
			node.Title(), validity.Seconds(node.ReadyNS)), nil
	}
	at := validity.Seconds(m.overAt.Sub(epoch).Nanoseconds())
	return validity.Died(&node, ", "+at+" after the epoch"), nil
}

// end records that the node has ended.
func (m *member) end(code int, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.over, m.overAt, m.exitCode, m.err = true, time.Now(), code, err
}

// start records that the node has been started, and where.
func (m *member) start(at Location) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.started, m.location = true, at
}

// stop records that the node is about to be asked to end.
func (m *member) stop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stopped = true
}

// kill records that the node is about to be killed.
func (m *member) kill() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.killed = true
}

func (m *member) running() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.started && !m.over
}

func (m *member) ended() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.over
}

func (m *member) ready() bool { return m.records.seen().readies > 0 }

// requests returns how many requests of a client have ended, as of its last report.
func (m *member) requests() int {
	seen := m.records.seen()
	if seen.client != nil {
		return seen.client.Requests
	}
	return seen.progress.Done
}

// node returns the member as it is recorded after its end.
func (m *member) node(epoch time.Time) results.Node {
	seen := m.records.seen()
	m.mu.Lock()
	defer m.mu.Unlock()
	n := results.Node{
		Name:     m.spec.Name,
		Role:     m.spec.Role,
		Address:  m.spec.Address.String(),
		Host:     m.location.Host,
		ReadyNS:  seen.ready.AtNS,
		ExitCode: m.exitCode,
		Ended:    m.howEnded(),
		Lines:    seen.lines,
		Fault:    seen.fault,
		Records:  recordsFile(m.spec.Name),
		Log:      m.spec.Name + ".log",
	}
	if at := m.location.Address; at.IsValid() {
		n.Address = at.String()
	}
	if m.spec.Addresses.Given() {
		n.Sources = m.spec.Addresses.Network.String()
	}
	if seen.readies > 0 {
		n.ReadySeenNS = seen.readyAt.Sub(epoch).Nanoseconds() // by the monotonic clock
	}
	if validity.Died(&n, "") != "" {
		n.LastWords = m.log.tail()
	}
	return n
}

// howEnded returns how the node ended; empty while it runs.
func (m *member) howEnded() results.NodeEnd {
	switch {
	case !m.started:
		return results.NeverStarted
	case !m.over:
		return ""
	case m.killed:
		return results.EndedKilled
	case m.stopped:
		return results.EndedAsked
	}
	return results.EndedItself
}
