package validity

import (
	"fmt"
	"strings"

	"github.com/equic-bench/equic-bench/results"
)

// The rules of this file check what only the run could observe. It is recorded in
// trial.json (results.Trial.GivenUp, ClockStepNS and fields of results.Node).

// observed lists them.
var observed = []string{RuleCompleted, RuleReady, RuleAlive, RuleReadable}

func completed(e *evidence) (bool, string) {
	if e.trial.GivenUp != "" {
		return false, e.trial.GivenUp
	}
	return each(e.nodes, func(n *nodeEvidence) string {
		switch n.Ended {
		case results.EndedKilled:
			return "was killed"
		case results.NeverStarted:
			return "was never started"
		}
		return ""
	}, "all clients ended, then the server")
}

// readyBeforeEpoch passes if each node was ready in time, by plausible clocks.
func readyBeforeEpoch(e *evidence) (bool, string) {
	if set := stepped(e.trial.ClockStepNS); set != "" {
		return false, set
	}
	latest := int64(-1 << 62)
	ok, facts := each(e.nodes, func(n *nodeEvidence) string {
		latest = max(latest, n.ready.AtNS)
		moved := ClockMoved(n.ready.AtNS, n.ReadySeenNS, len(e.nodes))
		switch {
		case n.readies == 0:
			return "was never ready"
		case moved != "":
			return moved
		case n.ready.AtNS > 0:
			return fmt.Sprintf("was ready %s after the epoch", Seconds(n.ready.AtNS))
		}
		return ""
	}, "")
	if ok {
		facts = fmt.Sprintf("the last of %d nodes was ready %s before the epoch", len(e.nodes), Seconds(-latest))
	}
	return ok, facts
}

// nodesAlive finds nodes that died or started twice.
func nodesAlive(e *evidence) (bool, string) {
	var dead []string
	for _, n := range e.nodes {
		if died := Died(n.Node, ""); died != "" {
			dead = append(dead, died)
		} else if n.readies > 1 {
			dead = append(dead, fmt.Sprintf("%s was ready %d times", n.Title(), n.readies))
		}
	}
	if len(dead) > 0 {
		return false, strings.Join(dead, "; ")
	}
	return true, "no node died or started twice"
}

// Died returns how, when and with what last words a node ended, if that was not part of
// the trial: a server or gateway runs until it is stopped, a client until its load is done. when
// is ", 1 s after the epoch", for example, or empty.
func Died(n *results.Node, when string) string {
	switch {
	case n.Ended != results.EndedItself && n.Ended != results.EndedAsked,
		n.Ended == results.EndedAsked && n.Role == results.RoleServer && n.ExitCode == endedBySIGTERM,
		n.ExitCode == 0 && (!runsUntilStopped(n.Role) || n.Ended == results.EndedAsked):
		return ""
	case n.LastWords != "":
		when += fmt.Sprintf("; its last words: %q", n.LastWords)
	}
	return fmt.Sprintf("%s ended with %s%s", n.Title(), exitText(n.ExitCode), when)
}

// endedBySIGTERM is the exit code of a server that does not handle SIGTERM. Ours does,
// and leaves no records otherwise.
const endedBySIGTERM = 128 + 15

// exitText explains an exit code of the node protocol.
func exitText(code int) string {
	switch {
	case code == 125:
		return "exit code 125 (the probe failed)"
	case code == 126 || code == 127:
		return fmt.Sprintf("exit code %d (its program cannot be run)", code)
	case code == 137:
		return "exit code 137 (killed: by SIGKILL, or out of memory)"
	case code == 255:
		return "exit code 255 (its container's engine lost it)"
	case code > 128:
		return fmt.Sprintf("exit code %d (signal %d)", code, code-128)
	}
	return fmt.Sprintf("exit code %d", code)
}

// recordsReadable reports what the recorders kept out of the files.
func recordsReadable(e *evidence) (bool, string) {
	var faults []string
	lines := 0
	for _, n := range e.nodes {
		lines += n.Lines
		if n.Fault != "" {
			faults = append(faults, n.Title()+": "+n.Fault)
		}
	}
	if len(faults) > 0 {
		return false, strings.Join(faults, "; ")
	}
	return true, fmt.Sprintf("%d lines, each a record", lines)
}
