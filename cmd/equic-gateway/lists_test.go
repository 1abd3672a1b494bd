package main

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/equic-bench/equic-bench/equic"
	"github.com/equic-bench/equic-bench/internal/testkit"
)

func TestAListIsReadFromAFile(t *testing.T) {
	got, err := parsePrefixes("list", strings.NewReader(
		"# who is turned away\n192.0.2.0/24\r\n\n  2001:db8::/32 # a comment\n\t203.0.113.9\n192.0.2.0/24\n2001:db8:1::7"))
	testkit.Must(t, err)
	want := []netip.Prefix{
		netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32"),
		netip.MustParsePrefix("203.0.113.9/32"), netip.MustParsePrefix("192.0.2.0/24"),
		netip.MustParsePrefix("2001:db8:1::7/128"),
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
	if got, err := readPrefixes(""); err != nil || got == nil || len(got) > 0 {
		t.Errorf("without a file: %v, %v", got, err)
	}
}

func TestALineThatIsWrongIsNamed(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"a name":              {"192.0.2.1\nexample.org\n", `list:2: "example.org" is not a prefix`},
		"two on one line":     {"192.0.2.1 192.0.2.2", `list:1: "192.0.2.1 192.0.2.2" is not a prefix`},
		"too many bits":       {"# v4\n\n192.0.2.0/33", `list:3: "192.0.2.0/33" is not a prefix`},
		"a zone":              {"fe80::1%eth0", `list:1: "fe80::1%eth0" is not a prefix`},
		"all of IPv4, mapped": {"::ffff:0:0/96", "list:1: "},
		"a line without end":  {"192.0.2.1\n" + strings.Repeat("9", 1<<20), "list:2: bufio.Scanner: token too long"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := parsePrefixes("list", strings.NewReader(test.text)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}

func FuzzListsAreReadOrRefused(f *testing.F) {
	f.Add("192.0.2.0/24 # one\n2001:db8::/32\n")
	f.Add("#\n\r\n::ffff:192.0.2.1\n1.2.3.4/0")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := parsePrefixes("list", strings.NewReader(text))
		if err != nil {
			if list != nil || !strings.HasPrefix(err.Error(), "list:") {
				t.Errorf("%v, %v", list, err)
			}
			return
		}
		if len(list) > strings.Count(text, "\n")+1 {
			t.Errorf("%d prefixes of %q", len(list), text)
		}
		for _, p := range list {
			if !p.IsValid() {
				t.Errorf("%v of %q", p, text)
			}
		}
	})
}

func TestAFileThatIsWrongIsWrongUsage(t *testing.T) {
	bad := writeList(t, "192.0.2.1", "example.org")
	for _, test := range []struct{ flag, value, want string }{
		{"--allow-file", bad, "--allow-file: " + bad + `:2: "example.org" is not a prefix`},
		{"--deny-file", bad, "--deny-file: " + bad + `:2: "example.org" is not a prefix`},
		{"--deny-file", t.TempDir(), "is a directory"},
		{"--allow-file", filepath.Join(t.TempDir(), "nothing"), "no such file or directory"},
	} {
		socket := filepath.Join(t.TempDir(), "socket")
		args := []string{"--interface", "nope0", "--port", "443", "--socket", socket, test.flag, test.value}
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), args, &stdout, &stderr)
		if code != exitUsage || !strings.Contains(stderr.String(), test.want) {
			t.Errorf("%s %s: exit code %d, error %q; want %q", test.flag, test.value, code, stderr.String(), test.want)
		}
	}
}

// writeList writes a file with lines, and returns its path.
func writeList(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "list")
	rewrite(t, path, lines...)
	return path
}

func rewrite(t *testing.T, path string, lines ...string) {
	t.Helper()
	testkit.Must(t, os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600))
}

// hangUp sends SIGHUP, and waits until the log has a text once more.
func (p program) hangUp(t *testing.T, text string) {
	t.Helper()
	before := strings.Count(p.log.String(), text)
	testkit.Must(t, p.Process.Signal(syscall.SIGHUP))
	testkit.Await(t, "the log has "+text, func() bool { return strings.Count(p.log.String(), text) > before })
}

func TestListsFromFilesAreReadAgainOnSIGHUP(t *testing.T) {
	client := newPair(t)
	deny, allow := writeList(t, "192.0.2.0/24 # all of them"), writeList(t)
	p := start(t, "--deny-file", deny, "--allow-file", allow, "--deny", "198.51.100.1")
	s := p.dial(t)
	s.want(t, "deny 198.51.100.2", "ok")
	p.awaitCount(t, client, equic.DropDenied)

	rewrite(t, allow, clientAddress)
	p.hangUp(t, "prefixes=1")
	p.awaitCount(t, client, equic.PassAllowed)

	rewrite(t, allow)
	rewrite(t, deny, "203.0.113.0/24", "203.0.113.1")
	p.hangUp(t, "prefixes=2")
	p.awaitCount(t, client, equic.PassUnknownClient)

	rewrite(t, deny, clientAddress, "nonsense")
	p.hangUp(t, deny+":2")
	p.awaitCount(t, client, equic.PassUnknownClient)

	rewrite(t, deny, clientAddress)
	p.hangUp(t, "prefixes=1")
	p.awaitCount(t, client, equic.DropDenied)
	if got := s.ask(t, "undeny "+clientAddress); !strings.Contains(got, "comes from the feed") {
		t.Errorf("undeny: %s", got)
	}
	got := p.status(t)
	if diff := cmp.Diff([]string{"198.51.100.1/32", "198.51.100.2/32"}, got.Denied); diff != "" || got.DeniedFeed != 1 {
		t.Errorf("denied (-want +got), and %d from the file:\n%s", got.DeniedFeed, diff)
	}
	if code := p.end(t, syscall.SIGTERM); code != exitFine {
		t.Errorf("exit code %d", code)
	}
}

func TestAListThatHasNoRoomIsWrongUsageAtTheStart(t *testing.T) {
	_ = newPair(t)
	deny := writeList(t, "192.0.2.1", "192.0.2.2")
	code, said := fails(t, command(t, "--deny-file", deny, "--max-prefixes", "1"))
	if code != exitUsage || !strings.Contains(said, "list of prefixes is full") {
		t.Errorf("exit code %d, it said %q", code, said)
	}
	if attached(t) {
		t.Error("a program is still attached")
	}
}

func TestSIGHUPWithoutFilesChangesNothing(t *testing.T) {
	client := newPair(t)
	p := start(t, "--deny", clientAddress)
	p.hangUp(t, "no list comes from a file")
	p.awaitCount(t, client, equic.DropDenied)
}

// BenchmarkReadingAList reads a list of 100,000 prefixes.
func BenchmarkReadingAList(b *testing.B) {
	var text bytes.Buffer
	for i := range 100_000 {
		_, _ = fmt.Fprintf(&text, "%d.%d.%d.0/24\n", 10+i>>16, i>>8&255, i&255)
	}
	for b.Loop() {
		list, err := parsePrefixes("list", bytes.NewReader(text.Bytes()))
		testkit.Must(b, err)
		if len(list) != 100_000 {
			b.Fatal(len(list))
		}
	}
}

func TestABanEndsWithItsTime(t *testing.T) {
	client := newPair(t)
	p := start(t)
	s := p.dial(t)
	s.want(t, "deny 192.0.2.0/24 for 1h", "ok")
	p.awaitCount(t, client, equic.DropDenied)
	got := p.status(t).Expiring
	if len(got) != 1 || got[0].List != "denied" || got[0].Prefix != "192.0.2.0/24" || got[0].SecondsLeft > 3600 {
		t.Errorf("status has %+v", got)
	}
	s.want(t, "deny 192.0.2.0/24 for 1ms", "ok")
	p.awaitCount(t, client, equic.PassUnknownClient)
	if got := p.status(t); len(got.Expiring)+len(got.Denied) > 0 {
		t.Errorf("status has %+v, %v", got.Expiring, got.Denied)
	}
}
