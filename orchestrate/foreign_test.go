package orchestrate

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/scenarios"
)

// foreign returns a scenario with a foreign server.
func foreign() *scenarios.Scenario {
	s := oneTrial(record.NoBlock)
	s.Server.Body = 1000
	s.Server.Command = []string{"a-server", "-l", "{address}:{port}", "-c", "{certificate}", "-k", "{key}", "{root}"}
	s.Server.Path = "/index.html"
	return s
}

func TestAServerThatIsNotOursIsGivenWhatItNeeds(t *testing.T) {
	s := foreign()
	r := &runner{scenario: s}
	testkit.Must(t, r.makeCertificates())
	files, err := makeServerFiles(s, r.certificates)
	testkit.Must(t, err)
	defer func() { testkit.Must(t, files.remove()) }()
	nodes := specBuilder{scenario: s, bin: "/bin", files: files}.nodes("no-block")
	command := nodes[0].Command
	i := len(command) - len(s.Server.Command)
	want := []string{"a-server", "-l", serverPort(s), "-c", files.certificate(s), "-k", files.key(s), files.root(s)}
	if got := strings.Join(command[i:], " "); got != strings.Join(want, " ") {
		t.Errorf("command %s\nwant %s", got, want)
	}
	if before := strings.Join(command[:i], " "); !strings.Contains(before, "--ready-address "+serverPort(s)+" --") {
		t.Errorf("the probe: %s", before)
	}
	if !strings.Contains(strings.Join(nodes[1].Command, " "), "--path /index.html") {
		t.Errorf("a client: %s", nodes[1].Command)
	}
	page, err := os.Stat(filepath.Join(files.root(s), "index.html"))
	testkit.Must(t, err)
	if page.Size() != s.Server.Body {
		t.Errorf("it serves %d bytes, want %d", page.Size(), s.Server.Body)
	}
	for _, path := range []string{files.certificate(s), files.key(s)} {
		if text, err := os.ReadFile(path); err != nil || !strings.HasPrefix(string(text), "-----BEGIN ") {
			t.Errorf("%s: %.20q, %v", path, text, err)
		}
	}
}

func TestAServerThatIsNotOursNeedsNodesThatCanRunIt(t *testing.T) {
	s := foreign()
	rt := newFake(s)
	_, err := Run(t.Context(), s, rt, testOptions(t))
	if !errors.Is(err, ErrRuntime) || !strings.Contains(err.Error(), "run with --runtime netns") || rt.opened > 0 {
		t.Errorf("error %v, %d trials", err, rt.opened)
	}
}
