package orchestrate

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/equic-bench/equic-bench/results"
)

// endlessMember returns a client whose records go to a file that accepts no writes.
func endlessMember(t *testing.T) *member {
	t.Helper()
	open := func(name string) *os.File {
		f, err := os.Create(filepath.Join(t.TempDir(), name))
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil { // so that every write fails, as on a full disk
			t.Fatal(err)
		}
		return f
	}
	return &member{
		spec:    NodeSpec{Name: "parallel-1", Role: results.RoleParallel},
		records: newRecorder(open("records"), nodeLimits(testScenario(), results.RoleParallel), func() {}),
		log:     &logFile{file: open("log")},
	}
}

func TestADiskThatTakesNothingIsSaidOnceAndAtOnce(t *testing.T) {
	m := endlessMember(t)
	for range 10_000 {
		_, _ = m.records.Write([]byte(`{"progress":{"at_ns":1}}` + "\n")) // Write never fails
		_, _ = m.log.Write([]byte("a line\n"))                            // nor does this one
	}
	_, failure := m.failure(time.Now(), 1)
	for name, err := range map[string]error{
		"the trial": failure, "the records": m.records.Close(),
		"the log": m.log.Close(),
	} {
		if err == nil || len(err.Error()) > 1000 || !strings.Contains(err.Error(), os.ErrClosed.Error()) {
			t.Errorf("%s: error %.1000v, want the first one, once or twice", name, err)
		}
	}
}
