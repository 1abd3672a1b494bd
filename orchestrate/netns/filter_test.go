package netns

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/orchestrate"
)

// What passes the filter: the client sends ten packets that open a connection, then ten
// others.
func TestAFilterLetsThrough(t *testing.T) {
	for name, test := range map[string]struct {
		filter orchestrate.Filter
		want   string
	}{
		"all without a rate":              {orchestrate.Filter{}, "10 10"},
		"a burst":                         {orchestrate.Filter{Packets: 1, Per: time.Hour, Burst: 3} /* no token comes back during the test */, "3 10"},
		"nothing of a denied client":      {orchestrate.Filter{Deny: prefixesOf(clientAddress + "/32")}, "0 0"},
		"all but those of other prefixes": {orchestrate.Filter{Deny: prefixesOf("172.31.77.128/25", "fd00::/8")}, "10 10"},
	} {
		t.Run(name, func(t *testing.T) {
			s := spec("count", "open")
			test.filter.Port = 4433
			s.Nodes[0].Filter = &test.filter
			n := open(t, s)
			listening := startListening(t, n)
			stdout, _ := start(t, n, "client")
			if code := wait(t, n, "client"); code != 0 {
				t.Fatalf("exit code %d: %s", code, stdout)
			}
			if got := listening.rest(t); got != test.want {
				t.Errorf("%q passed, want %q", got, test.want)
			}
		})
	}
}

func prefixesOf(texts ...string) (all []netip.Prefix) {
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

func TestTheFilesOfADeadRunAreRemoved(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	r := &Runtime{files: newFilesDir()}
	testkit.Must(t, r.putFiles([]orchestrate.File{{Name: "root/index.html", Data: []byte("x")}}))
	dead := filepath.Join(os.TempDir(), filesPrefix+"999999999-1") // more than any process has
	testkit.Must(t, os.Mkdir(dead, 0o700))
	removed, err := Groups{}.Clean(t.Context())
	testkit.Must(t, err)
	if !slices.Contains(removed, "folder "+dead) {
		t.Errorf("removed %q, want %s too", removed, dead)
	}
	if _, err := os.Stat(dead); err == nil {
		t.Error("it is still there")
	}
	page := filepath.Join(r.files, "root", "index.html")
	if text, err := os.ReadFile(page); string(text) != "x" {
		t.Errorf("of the living: %q, %v", text, err)
	}
	testkit.Must(t, r.removeFiles())
	if _, err := os.Stat(page); err == nil {
		t.Error("the files of a trial outlive it")
	}
	testkit.Must(t, r.Close())
	if left, err := os.ReadDir(os.TempDir()); len(left) > 0 {
		t.Errorf("left after Close: %v, %v", left, err)
	}
}
