package netns

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/orchestrate"
)

// What passes the filter: the client sends ten packets that open a connection, then ten
// others.
func TestAFilterLetsThrough(t *testing.T) {
	const hour = 1.0 / 3600 // no token comes back during the test
	for name, test := range map[string]struct {
		filter orchestrate.Filter
		want   string
	}{
		"all without a rate":              {orchestrate.Filter{}, "10 10"},
		"a burst":                         {orchestrate.Filter{PerSecond: hour, Burst: 3}, "3 10"},
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

func TestARateIsAWholeNumberPerSomeUnit(t *testing.T) {
	for perSecond, want := range map[float64][2]uint64{
		20: {20, 1}, 0.5: {30, 60}, 1.0 / 3600: {1, 3600}, 2.25: {135, 60},
	} {
		rate, unit, err := perUnit(perSecond)
		if err != nil || rate != want[0] || uint64(unit) != want[1] {
			t.Errorf("%g/s is %d in %d s, %v; want %v", perSecond, rate, unit, err, want)
		}
	}
	if _, _, err := perUnit(0.0001); err == nil {
		t.Error("no error for a rate that has no such number")
	}
}

func TestTheFilesOfADeadRunAreRemoved(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	testkit.Must(t, putFiles([]orchestrate.File{{Name: "root/index.html", Data: []byte("x")}}))
	dead := filepath.Join(os.TempDir(), filesPrefix+"999999999") // more than any process has
	testkit.Must(t, os.Mkdir(dead, 0o700))
	if got := deadFiles(); len(got) != 1 || got[0] != dead {
		t.Errorf("of the dead: %q, want %q", got, dead)
	}
	if text, err := os.ReadFile(filepath.Join(filesDir(), "root", "index.html")); string(text) != "x" {
		t.Errorf("of the living: %q, %v", text, err)
	}
}
