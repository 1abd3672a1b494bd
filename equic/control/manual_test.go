package control

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/equic-bench/equic-bench/internal/testkit"
)

// The C programs in the manual are compiled and run exactly as printed there.
const manual = "../../docs/gateway.md"

func TestTheManualsClientInCCounts(t *testing.T) {
	program := filepath.Join(t.TempDir(), "count")
	compile(t, "-o", program)
	c := control(t, 443)
	client := exec.CommandContext(t.Context(), program, c.path, "192.0.2.7", "2001:db8::7", "nobody",
		"192.0.2.9", "192.0.2.9", "192.0.2.9")
	var said strings.Builder
	client.Stderr = &said
	in, err := client.StdinPipe()
	testkit.Must(t, err)
	out, err := client.StdoutPipe()
	testkit.Must(t, err)
	testkit.Must(t, client.Start())
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "counted\n" {
		t.Errorf("it printed %q, %v", line, err)
	}
	if got := c.total(); got != 4 {
		t.Errorf("%d connections are counted, want 4", got)
	}
	// Another connection keeps one, so that the test shows which connection's end
	// releases.
	other := dial(t, c.path)
	other.want(t, "inc 192.0.2.7", "ok")
	testkit.Must(t, in.Close())
	testkit.Must(t, client.Wait())
	testkit.Await(t, "its connections are released", func() bool { return c.total() == 1 })
	if !strings.Contains(said.String(), `nobody: error: "nobody" is not an address`) ||
		strings.Count(said.String(), "192.0.2.9: over") != 1 {
		t.Errorf("standard error has %q", said.String())
	}
}

func TestTheManualsClientInCSaysThatThereIsNoGateway(t *testing.T) {
	program := filepath.Join(t.TempDir(), "count")
	compile(t, "-o", program)
	out, err := exec.CommandContext(t.Context(), program, filepath.Join(t.TempDir(), "socket")).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "connect to the gateway: No such file or directory") {
		t.Errorf("it printed %q, %v", out, err)
	}
}

func TestTheManualNamesEveryRequest(t *testing.T) {
	text := strings.ReplaceAll(readManual(t), `\|`, "|") // in tables
	for _, r := range requests {
		if !strings.Contains(text, "`"+r.form+"`") {
			t.Errorf("the manual does not have %q", r.form)
		}
	}
}

// compile compiles the C block of the manual.
func compile(t *testing.T, arguments ...string) {
	t.Helper()
	testkit.NeedTool(t, "cc")
	block := regexp.MustCompile("(?s)\n```c\n(.*?)\n```\n").FindStringSubmatch(readManual(t))
	if block == nil {
		t.Fatalf("%s has no block of C", manual)
	}
	c := exec.CommandContext(t.Context(), "cc",
		append(arguments, "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-x", "c", "-")...)
	c.Stdin = strings.NewReader(block[1] + "\n")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", c, err, out)
	}
}

func readManual(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(manual)
	testkit.Must(t, err)
	return string(b)
}
