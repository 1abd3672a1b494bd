package main

import (
	"strings"
	"testing"

	"github.com/equic-bench/equic-bench/orchestrate"
)

// Ctrl-C during `equic-bench run 2>&1 | tee log` also ends tee.
func TestFaultARunWhoseReaderIsGoneEndsInOrder(t *testing.T) {
	needRoot(t)
	for name, interrupted := range map[string]bool{"and is interrupted then": true, "and goes on to its end": false} {
		t.Run(name, func(t *testing.T) {
			r := startFaultRun(t, t.TempDir(), "--variants", "no-block")
			server := r.strikeOnce(orchestrate.PhaseAttack, 0) // is it alive?
			if err := r.pipe.Close(); err != nil {
				t.Fatal(err)
			}
			if !interrupted {
				r.checkExit()
				r.checkNothingLeft()
				return
			}
			r.giveUp()
			r.checkNothingLeft()
			for _, trial := range trialsOf(t, r.root) {
				if trial.Epoch.Equal(server.epoch) {
					t.Errorf("%s came of the interrupted attempt", trial.Name())
				}
			}
			if said := r.stderr.String(); strings.Contains(said, "interrupted") {
				t.Errorf("somebody has read %q", said)
			}
		})
	}
}
