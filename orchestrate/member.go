package orchestrate

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/equic-bench/equic-bench/results"
)

// member is one node of a trial while it runs.
type member struct {
	spec    NodeSpec
	records *recorder
	log     *logFile

	mu       sync.Mutex
	started  bool
	over     bool
	overAt   time.Time
	exitCode int
	err      error // of waiting for it
	stopped  bool  // asked to end: with exit code 0 that is no failure
	killed   bool  // by us: no exit code is a failure
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

// failure says why the trial cannot go on, in the node's words where it left
// any. An error means that the runtime lost sight of the node, or that its
// records cannot be written.
func (m *member) failure(epoch time.Time, nodes int) (string, error) {
	seen := m.records.seen()
	m.mu.Lock()
	defer m.mu.Unlock()
	name := m.spec.Name
	switch {
	case m.err != nil:
		return "", m.err
	case seen.err != nil:
		return "", seen.err
	case seen.fault != "":
		return fmt.Sprintf("output of %s: %s", name, seen.fault), nil
	case clockMoved(seen, epoch, nodes) != "":
		return fmt.Sprintf("%s %s", name, clockMoved(seen, epoch, nodes)), nil
	case seen.readies > 0 && seen.ready.AtNS > 0:
		return fmt.Sprintf("%s was ready %s after the epoch: if it stays so, raise trial.startup",
			name, seconds(seen.ready.AtNS)), nil
	case !m.diedAlone():
		return "", nil
	}
	return fmt.Sprintf("%s, %s after the epoch%s",
		m.howEnded(), seconds(m.overAt.Sub(epoch).Nanoseconds()), m.lastWords()), nil
}

// howEnded says how the node ended, without when.
func (m *member) howEnded() string {
	return fmt.Sprintf("%s ended with %s", m.spec.Name, exitText(m.exitCode))
}

// diedAlone says that the node ended in a way that is not its part in the
// trial: a server runs until it is stopped, a client until its load is done.
func (m *member) diedAlone() bool {
	if !m.over || m.killed {
		return false
	}
	return m.exitCode != 0 || m.spec.Role == results.RoleServer && !m.stopped
}

func (m *member) lastWords() string {
	if tail := m.log.tail(); tail != "" {
		return fmt.Sprintf("; its last words: %q", tail)
	}
	return ""
}

// end records that the node has ended.
func (m *member) end(code int, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.over, m.overAt, m.exitCode, m.err = true, time.Now(), code, err
}

func (m *member) start() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.started = true
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

// died is failure's sentence for a node that ended by itself, or empty.
func (m *member) died() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.diedAlone() {
		return ""
	}
	return m.howEnded() + m.lastWords()
}

// requests is how many requests of a client have ended, as it last said.
func (m *member) requests() int {
	seen := m.records.seen()
	if seen.client != nil {
		return seen.client.Requests
	}
	return seen.progress.Done
}

// node is what is recorded of the member once it has ended.
func (m *member) node() results.Node {
	seen := m.records.seen()
	m.mu.Lock()
	defer m.mu.Unlock()
	return results.Node{
		Name:     m.spec.Name,
		Role:     m.spec.Role,
		Address:  m.spec.Address.String(),
		ReadyNS:  seen.ready.AtNS,
		ExitCode: m.exitCode,
		Lines:    seen.lines,
		Records:  recordsFile(m.spec.Name),
		Log:      m.spec.Name + ".log",
	}
}

// exitText explains an exit code of the node protocol.
func exitText(code int) string {
	switch {
	case code == 125:
		return "exit code 125 (the probe failed)"
	case code == 126 || code == 127:
		return fmt.Sprintf("exit code %d (its program cannot be run)", code)
	case code == 137:
		return "exit code 137 (killed: by SIGKILL, or out of memory)"
	case code > 128:
		return fmt.Sprintf("exit code %d (signal %d)", code, code-128)
	}
	return fmt.Sprintf("exit code %d", code)
}

// seconds shows a time to the millisecond.
func seconds(ns int64) string { return fmt.Sprintf("%.3f s", float64(ns)/1e9) }
