package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"testing"

	"github.com/equic-bench/equic-bench/compare"
	"github.com/equic-bench/equic-bench/orchestrate"
	"github.com/equic-bench/equic-bench/orchestrate/docker"
	"github.com/equic-bench/equic-bench/results"
	"github.com/equic-bench/equic-bench/scenarios"
)

// noReader returns the error of a write to a pipe without a reader.
func noReader(name string) error {
	return &fs.PathError{Op: "write", Path: name, Err: syscall.EPIPE}
}

func TestEveryKindOfErrorHasItsExitCode(t *testing.T) {
	tests := map[string]struct {
		err  error
		want int
	}{
		"no error is fine":                                   {nil, 0},
		"an unknown error is internal":                       {errors.New("what is this"), 1},
		"a full disk is the machine's":                       {fmt.Errorf("run: %w", syscall.ENOSPC), 3},
		"a wrong flag is a usage error":                      {usage(rootCommand(nil), "unknown flag"), 2},
		"a scenario with errors is one as well":              {fmt.Errorf("run: %w", &scenarios.Error{}), 2},
		"no engine is the machine's":                         {fmt.Errorf("run: %w", docker.ErrNoEngine), 3},
		"an attack that the clients cannot start":            {fmt.Errorf("%w: 2x", orchestrate.ErrCapacity), 3},
		"a flood that the runtime cannot make":               {fmt.Errorf("%w: spoofed", orchestrate.ErrRuntime), 3},
		"an invalid trial is a trial's":                      {fmt.Errorf("run: %w", orchestrate.ErrInvalid), 4},
		"runs that differ in their kernel are a usage error": {fmt.Errorf("compare: %w", compare.ErrIncomparable), 2},
		"a run that does not verify is its trials'":          {fmt.Errorf("x: %w", errUnverified), 4},
		"a packed run is not to be resumed, a usage error":   {fmt.Errorf("x: %w", results.ErrPacked), 2},
		"a regression":                                       {fmt.Errorf("%w: cpu", errRegression), 5},
		"an unsure comparison":                               {fmt.Errorf("%w: cpu", errUnsure), 6},
		"a reader that is gone is none of the others":        {fmt.Errorf("print: %w", noReader(os.Stdout.Name())), 141},
		"two that are gone are no more than one": {errors.Join(noReader(os.Stdout.Name()),
			noReader(os.Stderr.Name())), 141},
		"an error beside it is still an error": {errors.Join(noReader(os.Stdout.Name()),
			errors.New("what is this")), 1},
		"a broken pipe elsewhere is an error":         {fmt.Errorf("engine: %w", syscall.EPIPE), 1},
		"a regression that nobody reads is still one": {errors.Join(noReader(os.Stdout.Name()), errRegression), 5},
		"Ctrl-C is an interruption":                   {fmt.Errorf("run: %w", context.Canceled), 130},
		"Ctrl-C after an invalid trial is still":      {errors.Join(orchestrate.ErrInvalid, context.Canceled), 130},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := exitCode(test.err); got != test.want {
				t.Errorf("exit code %d, want %d", got, test.want)
			}
		})
	}
}
