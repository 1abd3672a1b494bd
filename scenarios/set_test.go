package scenarios

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/equic-bench/equic-bench/record"
)

func TestAScenarioWithChangesIsOneWithTheseValues(t *testing.T) {
	want, err := Load("quick.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want.Parallel.Rate, want.Parallel.Strength = 200, 0
	want.Trial.Syscalls, want.Server.IdleTimeout = false, 3*time.Second
	want.Variants = []record.Variant{record.NoBlock, record.XDPBlock}
	got, err := LoadWith("quick.yaml", []string{
		"clients.parallel.rate=150/s", "clients.parallel.rate=200/s", // the last counts
		"trial.syscalls=false", // not in the file
		"server.idle_timeout=3s",
		"variants=[no-block, xdp-block]",
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, kept := range []string{"# 27 s of load", "quota: 5\n", "idle_timeout: 3s\n"} {
		if !strings.Contains(string(got.Text), kept) {
			t.Errorf("its text lacks %q:\n%s", kept, got.Text)
		}
	}
	want.Text = got.Text
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(Scenario{})); diff != "" {
		t.Errorf("scenario (-want +got):\n%s", diff)
	}
	again, err := Parse("quick.yaml", got.Text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, again, cmp.AllowUnexported(Scenario{})); diff != "" {
		t.Errorf("its text says something else (-want +got):\n%s", diff)
	}
}

func TestWithoutChangesAScenarioIsItsFile(t *testing.T) {
	want, err := Load("quick.yaml")
	if err != nil {
		t.Fatal(err)
	}
	got, err := LoadWith("quick.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(Scenario{})); diff != "" {
		t.Errorf("scenario (-want +got):\n%s", diff)
	}
}

func TestAWrongChangeIsRefused(t *testing.T) {
	for change, want := range map[string]string{
		"clients.parallel.rate":        `--set: "clients.parallel.rate" is not a key and its value; write both as in clients.parallel.rate=200/s`,
		"=200/s":                       `"=200/s" is not a key and its value`,
		"server.quota=":                `"server.quota=" is not a key and its value`,
		"server.quota=[":               `"server.quota=[" is not a key and its value`,
		"server.qouta=3":               `did you mean "quota"?`,
		"server.quota=many":            `quick.yaml with --set:`,
		"trial.unmeasured=true":        `trial.unmeasured was removed; use trial.alternate`,
		"server.key=rsa-3072":          `server.key: "rsa-3072" is unknown; use one of ecdsa-p256, rsa-2048, rsa-4096`,
		"server.quota.more=3":          `quick.yaml with --set:`,
		"clients.parallel.rate=1e99/s": `1e99/s is out of range`,
		".=3":                          `quick.yaml with --set:`,
	} {
		t.Run(change, func(t *testing.T) {
			_, err := LoadWith("quick.yaml", []string{change})
			if _, ok := errors.AsType[*Error](err); !ok || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want an *Error with %q", err, want)
			}
		})
	}
}

func TestAChangeBehindAnAliasKeepsTheOtherKeys(t *testing.T) {
	const file = `name: x
variants: [no-block]
servers:
  ours: &ours {body: 16KiB, key: rsa-4096}
  theirs: *ours
loads:
  a: &a {sequential: {count: 1, requests: 1}}
  b: *a
matrix:
  loads.b.sequential.rate: [1/s, 2/s]
`
	path := filepath.Join(t.TempDir(), "x.yaml")
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := LoadWith(path, []string{"servers.theirs.quota=9"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range s.Cells() {
		quota := map[bool]int{true: 9, false: 5}[strings.Contains(c.Cell, "theirs")]
		if c.Server.Body != 16<<10 || c.Server.Key != "rsa-4096" || c.Server.Quota != quota || c.Sequential.Requests != 1 {
			t.Errorf("%s: server %+v, %d requests", c.Cell, c.Server, c.Sequential.Requests)
		}
	}
}
