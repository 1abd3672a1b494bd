package man

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

func program() *cobra.Command {
	root := &cobra.Command{Use: "demo", Short: "Show something"}
	root.AddCommand(&cobra.Command{Use: "draw THING", Short: "Draw a thing", Run: func(*cobra.Command, []string) {}},
		Command(cobra.ExactArgs(1)))
	return root
}

// pages returns the files of a folder by name.
func pages(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name()] = string(text)
	}
	return all
}

// written returns the pages that the program writes.
func written(t *testing.T) map[string]string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "man1")
	root := program()
	root.SetArgs([]string{"man", dir})
	if err := root.Execute(); err != nil {
		t.Fatal(err)
	}
	return pages(t, dir)
}

func TestEachCommandHasAPageWithTheGivenDate(t *testing.T) {
	t.Setenv(envDate, "86400")
	got := written(t)
	if !strings.Contains(got["demo-draw.1"], "Draw a thing") || got["demo-man.1"] != "" {
		t.Errorf("the page of draw:\n%s\nof man:\n%s", got["demo-draw.1"], got["demo-man.1"])
	}
	if !strings.Contains(got["demo.1"], `.TH "DEMO" "1" "Jan 1970"`) {
		t.Errorf("the page does not bear the date:\n%s", got["demo.1"])
	}
	if diff := cmp.Diff(got, written(t)); diff != "" {
		t.Errorf("written twice:\n%s", diff)
	}
}

func TestADateThatIsNoneIsNamed(t *testing.T) {
	err := write(program(), t.TempDir(), "noon")
	if err == nil || !strings.Contains(err.Error(), `SOURCE_DATE_EPOCH="noon"`) {
		t.Errorf("got %v", err)
	}
}
