package analysis

import (
	"fmt"
	"strings"

	"github.com/equic-bench/equic-bench/results"
)

// Words returns the main figures of a finished trial, for one line: how many requests of
// the sequential clients were served per second, their p99, and the CPU of the server's
// process; without sequential clients, the achieved rate of the attack.
func Words(run *results.Run, t *results.Trial) (string, error) {
	e := run.Manifest.ExperimentOf(t.Cell)
	if e == nil {
		return "", fmt.Errorf("the manifest has no cell %q", t.Cell)
	}
	cell := *run
	cell.Manifest.Experiment = *e
	r, err := read(&cell, t)
	if err != nil {
		return "", err
	}
	m := r.metrics()
	var all []string
	add := func(format string, n Number) {
		if n.Known() {
			all = append(all, fmt.Sprintf(format, n.Short()))
		}
	}
	if e.Sequential.Clients > 0 {
		add("%s/s", m.Throughput.Arithmetic)
		add("p99 %s ms", m.Duration.P99)
	} else {
		add("attack %s/s", m.Attack.AchievedRPS)
	}
	add("CPU %s %%", m.CPU.Mean)
	return strings.Join(all, ", "), nil
}
