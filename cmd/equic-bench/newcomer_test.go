package main

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/equic-bench/equic-bench/internal/testkit"
)

var (
	newcomer = flag.Bool("newcomer", false, "run each command of README.md and operations.md in a fresh clone (root, an engine)")
	whole    = flag.Bool("whole", false, "with -newcomer: no run is shortened to one repetition (an hour and a half)")
)

// newcomersReading returns the documents that a newcomer follows, in order.
func newcomersReading() []string { return []string{"README.md", "docs/operations.md"} }

// TestANewcomersPath follows newcomersReading, from the first block to the last, in a
// fresh clone. Unless -whole is given, runs of many repetitions are cut to one, and the
// tests are not run. It prints each command.
func TestANewcomersPath(t *testing.T) {
	if !*newcomer {
		t.Skip("runs every command of README.md and docs/operations.md: `make newcomer`")
	}
	needRoot(t)
	needEngine(t)
	texts := documents(t)
	clone := filepath.Join(t.TempDir(), "equic-bench")
	git := exec.CommandContext(t.Context(), "git", "clone", "--quiet", ".", clone)
	if out, err := git.CombinedOutput(); err != nil {
		t.Fatalf("git clone: %s, %v", out, err)
	}
	path := &newcomersPath{t: t, dir: clone, env: append(os.Environ(), "CI=")}
	defer path.end() // before the test's context ends
	var all []block
	for _, document := range newcomersReading() {
		found, _ := blocks(texts[document])
		all = append(all, found...)
	}
	var done []string
	for _, b := range all {
		if b.language == "yaml" {
			testkit.Must(t, os.WriteFile(filepath.Join(clone, "mine.yaml"), []byte(b.text), 0o600))
			path.run("bin/equic-bench validate mine.yaml")
		}
		fresh := slices.DeleteFunc(commands(b), func(c string) bool {
			is := func(command string) bool { return strings.HasPrefix(c, command) }
			return slices.Contains(done, c) || is("git clone") || is("make test") && !*whole // both are done: here, and by CI
		})
		done = append(done, fresh...)
		for i, c := range fresh {
			fresh[i] = here(t, c)
		}
		if len(fresh) > 0 {
			path.run(strings.Join(fresh, "\n")) // in one shell, as its lines may share variables
		}
	}
	if len(done) < 8 {
		t.Errorf("%d commands: the documents are not read as they are written", len(done))
	}
}

// newcomersPath is a shell in a clone of the repository.
type newcomersPath struct {
	t    *testing.T
	dir  string
	env  []string
	node *exec.Cmd // compose, while it is up
	said *bytes.Buffer
}

// repetitions matches the flag that determines how long a run takes.
var repetitions = regexp.MustCompile(`--repetitions \d+`)

// here adapts a command to this machine and to the time available.
func here(t *testing.T, command string) string {
	t.Helper()
	if !*whole {
		command = repetitions.ReplaceAllString(command, "--repetitions 1")
		if strings.HasPrefix(command, "bin/equic-bench run scenarios/cost.yaml") {
			command += " --repetitions 1"
		}
	}
	if exec.CommandContext(t.Context(), "docker", "compose", "version").Run() != nil {
		command = strings.Replace(command, "docker compose", "docker-compose", 1) // as operations.md describes
	}
	return command
}

// run runs a command to its end. Compose up does not end; it runs until it is asked to
// go down.
func (p *newcomersPath) run(command string) {
	p.t.Helper()
	start := time.Now()
	cmd := exec.CommandContext(p.t.Context(), "bash", "-euo", "pipefail", "-c", command)
	cmd.Dir, cmd.Env = p.dir, p.env
	if strings.Contains(command, "compose.yaml up") {
		p.up(cmd)
		return
	}
	if strings.Contains(command, "compose.yaml down") {
		p.end() // Ctrl-C, as operations.md describes
	}
	out, err := cmd.CombinedOutput()
	p.t.Logf("$ %s\n%s(%s)", command, lastLines(string(out), 12), time.Since(start).Round(time.Second))
	if err != nil {
		p.t.Errorf("$ %s: %v", command, err)
	}
}

// up starts a command that does not end, and waits until its server has attached its
// XDP program: its map exists.
func (p *newcomersPath) up(cmd *exec.Cmd) {
	p.t.Helper()
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	testkit.Must(p.t, cmd.Start())
	p.node, p.said = cmd, &said
	testkit.AwaitFor(p.t, 2*time.Minute, "the server of compose.yaml", func() bool {
		return exec.CommandContext(p.t.Context(), "bpftool", "map", "dump", "name", "clients").Run() == nil
	})
}

// end ends the command that is still running.
func (p *newcomersPath) end() {
	if p.node == nil {
		return
	}
	_ = syscall.Kill(-p.node.Process.Pid, syscall.SIGINT) // it may have ended
	_ = p.node.Wait()                                     // it returns the code of an interruption
	p.t.Logf("$ %s\n%s", p.node.Args[len(p.node.Args)-1], lastLines(p.said.String(), 12))
	p.node = nil
}

func lastLines(text string, n int) string {
	lines := strings.SplitAfter(text, "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "")
}
