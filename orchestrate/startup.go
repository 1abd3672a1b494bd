package orchestrate

import "time"

// quietBeforeLoad is how long the nodes of a trial are to be ready, and idle,
// before its epoch: what started them is then done with that.
const quietBeforeLoad = time.Second

// startup is the time from the start of the trial to its epoch: what its nodes
// need, where that is known, and no more than the scenario allows.
func (t *trial) startup() time.Duration {
	r := t.runner
	needed := r.scenario.Trial.Startup
	own := r.runtime.Platform().Startup
	switch {
	case t.attempt == Attempts: // whatever is known of them was wrong
	case own != nil:
		needed = own(nodeCount(r.scenario)) * time.Duration(t.attempt)
	case r.slowest > 0 && t.attempt == 1:
		needed = r.slowest + r.slowest/2 + quietBeforeLoad
	}
	return min(r.scenario.Trial.Startup, needed)
}

// learnStartup takes note of how long the nodes of a trial have taken until all
// were ready, or, where they never were, until it was given up.
func (t *trial) learnStartup() {
	ready := t.allReady
	if ready.IsZero() {
		ready = time.Now()
	}
	t.runner.slowest = max(t.runner.slowest, ready.Sub(t.started))
}
