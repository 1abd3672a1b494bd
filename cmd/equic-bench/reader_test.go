package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// unreadPipe returns a pipe whose reader is gone.
func unreadPipe(t *testing.T) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() }) // the test is over
	return w
}

func TestACommandWhoseReaderIsGoneEndsQuietly(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	warned := filepath.Join(t.TempDir(), "warned.yaml")
	text := "name: warned\nclients: {sequential: {count: 1, requests: 100}}\n"
	if err := os.WriteFile(warned, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		args           []string
		noOut, noError bool // the streams that have no reader
		code           int
		says           string // on the stream that has a reader
	}{
		"data that nobody reads":              {[]string{"schema"}, true, false, exitUnread, ""},
		"progress that nobody reads":          {[]string{"validate", warned}, false, true, exitFine, warned + ": valid\n"},
		"a message that nobody reads":         {[]string{"validate", "none.yaml"}, false, true, exitUsage, ""},
		"data and progress that nobody reads": {[]string{"validate", warned}, true, true, exitUnread, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var said bytes.Buffer
			cmd := exec.CommandContext(t.Context(), self, test.args...)
			cmd.Args[0] = "equic-bench" // TestMain then runs that program
			cmd.Stdout, cmd.Stderr = &said, &said
			if test.noOut {
				cmd.Stdout = unreadPipe(t)
			}
			if test.noError {
				cmd.Stderr = unreadPipe(t)
			}
			_ = cmd.Run() // the test checks the exit code
			if code := cmd.ProcessState.ExitCode(); code != test.code || said.String() != test.says {
				t.Errorf("%s and %q, want exit code %d and %q", cmd.ProcessState, &said, test.code, test.says)
			}
		})
	}
}
