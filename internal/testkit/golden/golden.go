// Package golden compares the output of a test with files in testdata.
//
// With the flag -update it writes the files instead. Read the difference before you
// commit it.
package golden

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// Check compares a text with a file of the test's folder testdata.
func Check(tb testing.TB, name string, got []byte) {
	tb.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			tb.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		tb.Errorf("%s (-kept +now; if it is meant, run with -update):\n%s", path, diff)
	}
}

// CheckAll compares several texts, by name, with the files of one folder in testdata.
func CheckAll(tb testing.TB, folder string, got map[string][]byte) {
	tb.Helper()
	for name, text := range got {
		Check(tb, filepath.Join(folder, name), text)
	}
}
