package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
)

// These tests run whole trials of the built binaries on the machine's engine.

const (
	smoke = "../../scenarios/smoke.yaml"
	// patience bounds each wait for a run.
	patience = 3 * time.Minute
)

// needEngine skips a case that runs trials in containers.
func needEngine(t *testing.T) {
	t.Helper()
	testkit.NeedEngine(t)
	needBinary(t)
}

func needBinary(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(binary); err != nil {
		t.Fatalf("no binaries, run `make build` first: %v", err)
	}
}

const binary = "../../bin/equic-bench"

// bench is one running command under test.
type bench struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdout bytes.Buffer
	stderr bytes.Buffer // output that waitFor has read
	lines  chan string
	read   chan struct{} // closed when standard error has ended or was closed
	pipe   io.Closer     // the reading end of standard error
}

// startBench starts equic-bench. If the test fails before its end, the command is
// interrupted, so that it removes its containers.
func startBench(t *testing.T, args ...string) *bench {
	t.Helper()
	return startCommand(t, exec.Command(binary, args...)) //nolint:noctx // startCommand ends it
}

func startCommand(t *testing.T, cmd *exec.Cmd) *bench {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	b := &bench{t: t, cmd: cmd, lines: make(chan string, 1024), read: make(chan struct{})}
	b.cmd.Stdout = &b.stdout
	pipe, err := b.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	b.pipe = pipe
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop := context.AfterFunc(ctx, func() { _ = b.cmd.Process.Signal(os.Interrupt) }) // it may have ended
	go b.scan(pipe)
	t.Cleanup(func() {
		cancel()
		for range b.lines { // until it has ended
		}
		_ = b.cmd.Wait() // an error only repeats what the test has reported
		stop()
	})
	return b
}

func (b *bench) scan(r io.Reader) {
	defer close(b.read)
	defer close(b.lines)
	for s := bufio.NewScanner(r); s.Scan(); {
		b.lines <- s.Text()
	}
}

// waitFor reads progress until a line contains the text.
func (b *bench) waitFor(text string) {
	b.t.Helper()
	for line := range b.lines {
		b.stderr.WriteString(line + "\n")
		if strings.Contains(line, text) {
			return
		}
	}
	b.t.Fatalf("equic-bench ended without %q on standard error:\n%s", text, &b.stderr)
}

// exit waits for the end of equic-bench and returns its exit code.
func (b *bench) exit() int {
	b.t.Helper()
	for line := range b.lines {
		b.stderr.WriteString(line + "\n")
	}
	<-b.read
	_ = b.cmd.Wait() // the test checks the exit code
	b.t.Logf("standard error:\n%s", &b.stderr)
	return b.cmd.ProcessState.ExitCode()
}

// openRun opens the only run under a results folder, complete or not.
func openRun(t *testing.T, root string) *results.Run {
	t.Helper()
	dirs, err := os.ReadDir(root)
	if err != nil || len(dirs) != 1 {
		t.Fatalf("%d runs under %s, %v; want one", len(dirs), root, err)
	}
	r, err := results.Open(filepath.Join(root, dirs[0].Name()))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// nothingLeft asserts that the engine has no resources of a run, and that the run's
// folder has no incomplete trial.
func nothingLeft(t *testing.T, r *results.Run) {
	t.Helper()
	filter := "label=equic-bench.run=" + r.Manifest.ID
	for _, args := range [][]string{
		{"ps", "--all", "--quiet", "--filter", filter},
		{"network", "ls", "--quiet", "--filter", filter},
	} {
		out, err := exec.CommandContext(t.Context(), "docker", args...).CombinedOutput()
		if err != nil || len(bytes.TrimSpace(out)) > 0 {
			t.Errorf("docker %s: %s, %v; want nothing", strings.Join(args, " "), out, err)
		}
	}
	trials, err := filepath.Glob(filepath.Join(r.Dir, results.TrialsDir, ".*"))
	if err != nil || len(trials) > 0 {
		t.Errorf("half trials left: %v, %v", trials, err)
	}
}

func TestTheSmokeScenarioRunsInEveryVariant(t *testing.T) {
	needEngine(t)
	for _, runtime := range []string{runtimeDocker, runtimeNetns} {
		t.Run(runtime, func(t *testing.T) { runAll(t, smoke, runtime) })
	}
}

// The other places of places.yaml are tested without trials, in equic and server.
func TestPlacesRunInTrials(t *testing.T) {
	testkit.NeedRoot(t)
	testkit.Slow(t, "four trials")
	needBinary(t)
	runAll(t, "../../scenarios/places.yaml", runtimeNetns, "--variants",
		"userspace-retry,app-drop-block-new,nftables-block,tc-block-new")
}

// runAll runs a scenario; each trial must be valid.
func runAll(t *testing.T, scenario, runtime string, more ...string) {
	t.Helper()
	root := t.TempDir()
	args := append([]string{"run", scenario, "--results", root, "--json", "--runtime", runtime}, more...)
	if runtime == runtimeNetns { // the trials in containers settle
		args = append(args, "--set", "trial.settle=0s")
	}
	b := startBench(t, args...)
	if code := b.exit(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	var printed struct {
		Run     string `json:"run"`
		Trials  int    `json:"trials"`
		Invalid int    `json:"invalid_trials"`
	}
	if err := json.Unmarshal(b.stdout.Bytes(), &printed); err != nil {
		t.Fatalf("standard output %q: %v", &b.stdout, err)
	}
	r := openRun(t, root)
	nothingLeft(t, r)
	if got := r.Manifest.Runtime.Name; got != runtime {
		t.Errorf("the manifest says runtime %q, want %q", got, runtime)
	}
	if printed.Run != r.Dir || printed.Trials != len(r.Trials) {
		t.Errorf("printed %+v; the run is %s with %d trials", printed, r.Dir, len(r.Trials))
	}
	seen := make(map[string]bool)
	for _, trial := range r.Trials {
		if trial.Valid {
			seen[trial.Variant] = true
			checkTrial(t, r, trial)
		}
	}
	for _, v := range r.Manifest.Experiment.Variants {
		if !seen[v] {
			t.Errorf("no valid trial of %s", v)
		}
	}
	checkReport(t, r.Dir)
}

// checkTrial asserts the properties of a valid trial of each variant.
func checkTrial(t *testing.T, r *results.Run, trial *results.Trial) {
	t.Helper()
	var refusals, syscalls int
	var gateway *record.Gateway
	requests := make(map[string]int)
	for i := range trial.Nodes {
		node := &trial.Nodes[i]
		err := r.Lines(trial, node, func(l *record.Line) error {
			switch {
			case l.Refusal != nil:
				refusals++
			case l.Request != nil:
				requests[node.Role]++
			case l.Syscall != nil:
				syscalls++
			case l.Gateway != nil:
				gateway = l.Gateway
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	e := r.Manifest.Experiment
	for role, load := range map[string]results.Load{
		results.RoleSequential: e.Sequential,
		results.RoleParallel:   e.Parallel,
	} {
		if want := load.Clients * load.Requests; requests[role] != want {
			t.Errorf("%s: %d %s requests have an outcome, want %d", trial.Variant, requests[role], role, want)
		}
	}
	if syscalls == 0 {
		t.Errorf("%s: no system calls were counted", trial.Variant)
	}
	v := record.Variant(trial.Variant)
	measurable := v != record.NftablesBlock
	switch {
	case v.Drops() != (gateway != nil):
		t.Errorf("%s: gateway %+v", v, gateway)
	case v.Drops():
		if gateway.Dropped == 0 || gateway.Mode != v.Mode("native") || measurable && gateway.DropNS <= 0 {
			t.Errorf("%s: gateway %+v", v, *gateway)
		}
	case (v == record.NoBlock) != (refusals == 0):
		t.Errorf("%s: %d refusals", v, refusals)
	}
}

// checkReport asserts that the report has its figures and is the same when it is made
// again.
func checkReport(t *testing.T, dir string) {
	t.Helper()
	first := readTree(t, filepath.Join(dir, results.ReportDir))
	for _, name := range []string{
		"figure-3.svg", "figure-3.png", "figure-4.svg", "figure-4.png", "figure-5.svg", "figure-5.png",
		"figure-6.svg", "figure-6.png", "summary.json", "report.md",
	} {
		if len(first[name]) == 0 {
			t.Errorf("report/%s is missing or empty", name)
		}
	}
	if code := startBench(t, "report", dir).exit(); code != 0 {
		t.Fatalf("report: exit code %d", code)
	}
	second := readTree(t, filepath.Join(dir, results.ReportDir))
	for name, text := range first {
		if !bytes.Equal(text, second[name]) {
			t.Errorf("report/%s differs when made again", name)
		}
	}
}

func readTree(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files := make(map[string][]byte)
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		files[path], err = os.ReadFile(filepath.Join(dir, path))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func evidence(trial *results.Trial) string {
	var broken []string
	for _, c := range trial.Checks {
		if !c.OK {
			broken = append(broken, c.Rule+": "+c.Evidence)
		}
	}
	return strings.Join(broken, "; ")
}

func TestAnInterruptedRunKeepsItsWholeTrialsAndNothingElse(t *testing.T) {
	needEngine(t)
	root := t.TempDir()
	b := startBench(t, "run", smoke, "--results", root, "--variants", "no-block,xdp-block")
	b.waitFor("2 of 2, ")
	b.waitFor(" attack,") // before, in, or after it
	if err := b.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if code := b.exit(); code != 130 {
		t.Errorf("exit code %d, want 130", code)
	}
	r := openRun(t, root)
	nothingLeft(t, r)
	if len(r.Trials) == 0 || slices.ContainsFunc(r.Trials, func(t *results.Trial) bool { return t.Index != 1 }) {
		t.Errorf("%d trials kept; want those of the first of the plan", len(r.Trials))
	}
	if _, err := os.Stat(filepath.Join(r.Dir, results.ChecksumsFile)); err != nil {
		t.Errorf("the run directory is not sealed: %v", err)
	}
}
