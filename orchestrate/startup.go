package orchestrate

import "time"

// quietBeforeLoad is how long the nodes of a trial are to be ready, and idle,
// before its epoch: what started them is then done with that.
const quietBeforeLoad = time.Second

// startup is the time from the start of the trial to its epoch: what its
// runtime needs, where that is known, and no more than the scenario allows.
func (t *trial) startup() time.Duration {
	r := t.runner
	needed := r.scenario.Trial.Startup
	if own := r.runtime.Platform().Startup; own != nil {
		needed = own(nodeCount(r.scenario)) * time.Duration(t.attempt)
	} else if r.slowest > 0 && t.attempt == 1 {
		needed = r.slowest + r.slowest/2 + quietBeforeLoad
	}
	return min(r.scenario.Trial.Startup, needed)
}

// learnStartup takes note of how long the nodes of a trial took until all were
// ready.
func (r *runner) learnStartup(took time.Duration) { r.slowest = max(r.slowest, took) }
