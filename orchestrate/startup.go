package orchestrate

import "time"

// quietBeforeLoad is how long the nodes of a trial are to be ready, and idle,
// before its epoch: what started them is then done with that.
const quietBeforeLoad = time.Second

// longestStartup is how many times trial.startup a machine gets that needs it.
const longestStartup = 4

// startup is the time from the start of the trial to its epoch: what its nodes
// need, where that is known, and no more than the scenario says unless they have
// been later than that.
func (t *trial) startup() time.Duration {
	r := t.runner
	most := r.mostStartup()
	own := r.runtime.Platform().Startup
	switch {
	case t.attempt == Attempts: // whatever is known of them was wrong
		return most
	case own != nil:
		needed := own(nodeCount(t.scenario))
		if r.slowest > needed {
			return min(most, r.learntStartup())
		}
		return min(most, needed*time.Duration(t.attempt))
	case r.slowest > 0 && t.attempt == 1:
		return min(most, r.learntStartup())
	}
	return most
}

// learntStartup is half as much again as the slowest nodes have taken.
func (r *runner) learntStartup() time.Duration { return r.slowest + r.slowest/2 + quietBeforeLoad }

// mostStartup is what the scenario says, or more where that was too little.
func (r *runner) mostStartup() time.Duration {
	asked := r.scenario.Trial.Startup
	if r.slowest <= asked {
		return asked
	}
	return min(r.learntStartup(), longestStartup*asked)
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
