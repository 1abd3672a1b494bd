package orchestrate

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// rebuild replaces a binary as `go build` does.
func rebuild(bin, name, content string) {
	path := filepath.Join(bin, name)
	if err := errors.Join(os.Remove(path), os.WriteFile(path, []byte(content), 0o600)); err != nil {
		panic(err)
	}
}

func TestARunEndsWhereItsBinariesAreNoLongerThoseOfTheManifest(t *testing.T) {
	tests := map[string]struct {
		change func(bin string)
		image  string // of the runtime
		says   string // in the error; empty if the run goes on
	}{
		"one is built anew": {
			func(bin string) { rebuild(bin, "equic-server", "new") }, "",
			"equic-server was changed during the run",
		},
		"one is gone": {func(bin string) {
			if err := os.Remove(filepath.Join(bin, "equic-client")); err != nil {
				panic(err)
			}
		}, "", "equic-client"},
		"one is built anew, the same":            {func(bin string) { rebuild(bin, "equic-server", "equic-server") }, "", ""},
		"one is built anew, and an image is not": {func(bin string) { rebuild(bin, "equic-server", "new") }, "sha256:1", ""},
	}
	for name, test := range tests {
		for phase, whole := range map[string]int{PhaseDone: 1, PhaseStart: 0} { // between two trials, while nodes start
			t.Run(name+", in phase "+phase, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s, o := testScenario(), testOptions(t)
					changed := false
					o.OnEvent = func(e Event) {
						if !changed && e.Phase == phase {
							changed = true
							test.change(o.BinDir)
						}
					}
					rt := newFake(s)
					rt.platform.Runtime.Image = test.image
					outcome, err := Run(t.Context(), s, rt, o)
					if test.says == "" {
						if err != nil || len(outcome.Trials) != 3 {
							t.Errorf("error %v, %d trials; want none and 3", err, len(outcome.Trials))
						}
						return
					}
					if !errors.Is(err, ErrNoBinary) || !strings.Contains(err.Error(), test.says) ||
						!strings.Contains(err.Error(), "--resume") {
						t.Errorf("error %v, want one that says %q, and the remedy", err, test.says)
					}
					if len(outcome.Trials) != whole || rt.left() != 0 {
						t.Errorf("%d whole trials, %d not removed; want %d and 0", len(outcome.Trials), rt.left(), whole)
					}
				})
			})
		}
	}
}

func TestABinaryThatIsTheSameFileIsNotReadAgain(t *testing.T) {
	o := testOptions(t)
	sums, err := digests(o.BinDir)
	if err != nil {
		t.Fatal(err)
	}
	p := newPrograms(o.BinDir, sums)
	if err := p.check(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(o.BinDir, "equic-server")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	// Reading the file would show the change: its metadata are as before, but not its content.
	if err := errors.Join(os.WriteFile(path, []byte("EQUIC-server"), 0o600),
		os.Chtimes(path, time.Time{}, info.ModTime())); err != nil {
		t.Fatal(err)
	}
	if err := p.check(); err != nil {
		t.Errorf("it was read: %v", err)
	}
	if err := os.Chtimes(path, time.Time{}, info.ModTime().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if err := p.check(); !errors.Is(err, ErrNoBinary) {
		t.Errorf("a file written to: error %v, want ErrNoBinary", err)
	}
}
