package orchestrate

import "time"

// quietBeforeLoad is how long the nodes of a trial should be ready, and idle, before
// its epoch: the work of starting them is then over.
const quietBeforeLoad = time.Second

// longestStartup limits the start-up time for slow machines, as a multiple of trial.startup.
const longestStartup = 4

// startup returns the time from the start of the trial to its epoch. It is what the
// nodes need, if that is known. It is at most the scenario's limit, unless nodes have
// been later than that.
func (t *trial) startup() time.Duration {
	r := t.runner
	most := r.mostStartup()
	own := r.runtime.Platform().Startup
	switch {
	case t.attempt == Attempts: // the earlier estimates were wrong
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

// learntStartup returns one and a half times the slowest start-up so far, plus
// quietBeforeLoad.
func (r *runner) learntStartup() time.Duration { return r.slowest + r.slowest/2 + quietBeforeLoad }

// mostStartup returns the scenario's limit, or more if that was too little.
func (r *runner) mostStartup() time.Duration {
	asked := r.scenario.Trial.Startup + r.runtime.Platform().SlowStart
	if r.slowest <= asked {
		return asked
	}
	return min(r.learntStartup(), longestStartup*asked)
}

// learnStartup records how long the nodes of a trial took until all were ready, or, if
// they never were, until the trial was given up.
func (t *trial) learnStartup() {
	ready := t.allReady
	if ready.IsZero() {
		ready = time.Now()
	}
	t.runner.slowest = max(t.runner.slowest, ready.Sub(t.started))
}
