package measure

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/equic-bench/equic-bench/internal/testkit"
)

func TestACommandWithoutRecordsIsReadyWithALineOfItsOutput(t *testing.T) {
	for name, c := range map[string]struct {
		script, line string
		answers      func(context.Context) error
		ready        bool
	}{
		"a line":            {"echo starting; echo it is ready now; sleep 0.3", "is ready", nil, true},
		"on standard error": {"echo it is ready >&2; sleep 0.3", "is ready", nil, true},
		"no such line":      {"echo starting", "is ready", nil, false},
		"a line in pieces":  {"printf 'it is re'; sleep 0.1; echo ady; sleep 0.3", "is ready", nil, true},
		"it answers":        {"sleep 0.2", "", func(context.Context) error { return nil }, true},
		"it does not":       {"sleep 0.2", "", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, false},
		"another's failure": {"sleep 0.2", "", func(context.Context) error { return errors.New("no") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			o := runProbe(t, Options{
				Command: []string{"sh", "-c", c.script}, Interval: 50 * time.Millisecond,
				Ready: &Readiness{Node: "server", Line: c.line, Answers: c.answers},
			})
			want := ""
			if c.ready {
				want = `{"ready":{"node":"server","at_ns":`
			}
			if got := o.output; !strings.HasPrefix(got, want) || strings.Count(got, "\n") > 1 || (want == "") != (got == "") {
				t.Errorf("before the probe's records there is %q, want %q and nothing of its output", got, want)
			}
		})
	}
}

func TestALineWatcherKeepsNoMoreThanALine(t *testing.T) {
	w := newLineWatcher("never there")
	for range 1000 {
		_, err := w.Write(make([]byte, 1000))
		testkit.Must(t, err)
	}
	if len(w.line) > longestLine {
		t.Errorf("%d bytes are kept", len(w.line))
	}
}
