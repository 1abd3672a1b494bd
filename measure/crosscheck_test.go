package measure

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/record"
)

// These tests compare our measurements of a process with tools that others wrote. Both
// measure the same server at the same time, under a real load.

// docs/method/definitions.md, syscalls: "Calls and errors agree within 2 % with what `strace -c -f`
// counts of the same process at the same time". strace also counts the calls of the
// shell before it becomes the server, less than a hundred. Both count until the
// server's death.
func TestCrossCheckSystemCallsWithStrace(t *testing.T) {
	testkit.NeedRoot(t)
	testkit.NeedTool(t, "strace")
	for name, tt := range map[string]struct {
		variant record.Variant
		client  []string
	}{
		"one request after the other": {record.NoBlock, []string{"--mode", "sequential", "--requests", "300"}},
		"attackers alone, most refused": {
			record.UserspaceBlock,
			[]string{"--mode", "parallel", "--requests", "1000", "--rate", "400"},
		},
		"attackers alone, nobody refused": {
			record.NoBlock,
			[]string{"--mode", "parallel", "--requests", "300", "--rate", "400"},
		},
	} {
		t.Run(name, func(t *testing.T) { crossCheckSystemCalls(t, tt.variant, tt.client) })
	}
}

func crossCheckSystemCalls(t *testing.T, variant record.Variant, client []string) {
	t.Helper()
	const tolerance = 0.02
	dir := t.TempDir()
	bin, gate, summary := buildNodes(t), filepath.Join(dir, "gate"), filepath.Join(dir, "summary")
	if err := unix.Mkfifo(gate, 0o600); err != nil {
		t.Fatal(err)
	}
	// With -D the server is this process's own child, and strace its grandchild.
	address := testkit.FreeAddress(t)
	server, err := startChild(append([]string{
		"strace", "-D", "-f", "-q", "-c", "-o", summary,
		"sh", "-c", `read go <"$0"; exec "$@"`, gate,
	}, serverCommand(bin, address, variant)...), os.Stderr, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.signalKill)
	calls := countFromExec(t, gate)
	records := readRecords(t, server.stdout)
	records.awaitReady(t)
	runClient(t, bin, address, client...)
	if err := server.cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := server.awaitEnd(); err != nil {
		t.Fatal(err)
	}
	<-records.end
	counted, err := calls.read()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := server.reap(); err != nil {
		t.Fatal(err)
	}

	want := awaitSummary(t, summary)
	got := map[string]record.Syscall{}
	var total record.Syscall
	for _, c := range counted {
		got[c.Name] = c
		total.Calls += c.Calls
		total.Errors += c.Errors
	}
	got["total"] = total
	if total.Calls < 10_000 {
		t.Errorf("only %d calls were made: too few to compare", total.Calls)
	}
	// For each thread that waits when the server ends, we count one more call, with an
	// error. That is at most one call per thread, however long the load.
	for _, of := range []map[string]record.Syscall{got, want} {
		total := of["total"]
		total.Errors -= of["futex"].Errors
		of["total"] = total
	}
	for name, w := range want {
		if w.Calls >= 1000 {
			// If a signal interrupts a futex call, the kernel restarts it, which strace
			// does not count. On a busy machine that is some per cent of the futex
			// calls, but few of all calls.
			own := max(tolerance, tolerance/2*float64(want["total"].Calls)/float64(w.Calls))
			agree(t, name+", calls", float64(got[name].Calls), float64(w.Calls), own)
		}
		if w.Errors >= 1000 {
			agree(t, name+", errors", float64(got[name].Errors), float64(w.Errors), tolerance)
		}
	}
}

// countFromExec starts to count, and then opens the gate at which a shell waits, so
// that it counts from the shell's next exec. Opening the gate for writing waits until
// the shell has opened it for reading: by then the execs of strace and of the shell are
// over.
func countFromExec(t *testing.T, gate string) *counter {
	t.Helper()
	open, err := os.OpenFile(gate, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	calls, err := attachCounter()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := calls.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := open.WriteString("\n"); err != nil {
		t.Fatal(err)
	}
	if err := open.Close(); err != nil {
		t.Fatal(err)
	}
	return calls
}

// awaitSummary reads strace's table, by the name of the call and "total". strace writes
// it after the death of the traced process.
func awaitSummary(t *testing.T, path string) map[string]record.Syscall {
	t.Helper()
	var text []byte
	for tick := time.Tick(10 * time.Millisecond); ; <-tick {
		var err error
		if text, err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
		if bytes.HasSuffix(text, []byte(" total\n")) {
			break
		}
		if err := t.Context().Err(); err != nil {
			t.Fatal(err)
		}
	}
	calls := map[string]record.Syscall{}
	for line := range strings.Lines(string(text)) {
		// % time, seconds, usecs/call, calls, errors (blank if there are none), name
		f := strings.Fields(line)
		if len(f) < 5 || f[0] == "%" || strings.HasPrefix(f[0], "---") {
			continue
		}
		c := record.Syscall{Name: f[len(f)-1], Calls: parseCount(t, f[3])}
		if len(f) == 6 {
			c.Errors = parseCount(t, f[4])
		}
		calls[c.Name] = c
	}
	return calls
}

// docs/method/definitions.md, server cpu and server memory: the CPU time "agrees within 3 % with
// `/usr/bin/time`", which measures the probe and the server together, "and with
// `pidstat`", which measures only the server, over six seconds of the load. Both tools
// count in hundredths of a second, and round down user and system time separately. That
// is an error of at most 2 hundredths, of over 100 here. The peak of the resident set
// agrees within 5 % with that of `/usr/bin/time`: ru_maxrss does not include what the
// kernel still has in per-CPU counters.
func TestCrossCheckCPUTimeWithTimeAndPidstat(t *testing.T) {
	testkit.Slow(t, "loads a server for seconds")
	testkit.NeedTool(t, "/usr/bin/time")
	testkit.NeedTool(t, "pidstat")
	const tolerance, peakTolerance = 0.03, 0.05
	bin, used, address := buildNodes(t), filepath.Join(t.TempDir(), "used"), testkit.FreeAddress(t)
	epoch := time.Now()
	cmd := exec.CommandContext(t.Context(), "/usr/bin/time", append([]string{
		"--output", used, "--format", "%U %S %M", filepath.Join(bin, "equic-probe"), "--",
	}, serverCommand(bin, address, record.NoBlock)...)...)
	cmd.Env = append(os.Environ(), record.EnvEpoch+"="+strconv.FormatInt(epoch.UnixNano(), 10))
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	records := readRecords(t, stdout)
	records.awaitReady(t)
	probe := childOf(t, cmd.Process.Pid)
	loaded := make(chan struct{})
	go func() {
		defer close(loaded)
		runClient(t, bin, address, "--mode", "parallel", "--requests", "1800", "--rate", "200")
	}()
	percent, from, to := runPidstat(t, childOf(t, probe.Pid).Pid, epoch)
	<-loaded
	if err := probe.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-records.end
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}

	samples, end := records.samples, records.probe
	if end == nil {
		t.Fatal("no probe record")
	}
	if end.UserNS+end.SystemNS < 1e9 {
		t.Errorf("the server used %d ns: too little to compare, in ticks of 10 ms", end.UserNS+end.SystemNS)
	}
	gained := cpuAt(samples, to) - cpuAt(samples, from)
	agree(t, "pidstat's %CPU", 100*gained/float64(to-from), percent, tolerance)

	text, err := os.ReadFile(used)
	if err != nil {
		t.Fatal(err)
	}
	var user, system, peakKiB float64
	if _, err := fmt.Sscan(string(text), &user, &system, &peakKiB); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	both := float64(samples[len(samples)-1].CPUNS + end.OwnCPUNS)
	agree(t, "CPU time by /usr/bin/time", both/1e9, user+system, tolerance)
	agree(t, "peak of memory by /usr/bin/time", float64(end.PeakRSSBytes), peakKiB*1024, peakTolerance)
}

// runPidstat returns a process's CPU use over six seconds, in % of one CPU, and the
// start and end of these six seconds, in ns since the epoch.
func runPidstat(t *testing.T, pid int, epoch time.Time) (percent float64, from, to int64) {
	t.Helper()
	const length = 6
	// Skip the first moments of the load, which are not steady yet.
	select {
	case <-time.After(time.Second):
	case <-t.Context().Done():
	}
	cmd := exec.CommandContext(t.Context(), "pidstat", "-u", "-h", "-p", strconv.Itoa(pid), strconv.Itoa(length), "1")
	cmd.Env = append(os.Environ(), "LC_ALL=C", "S_TIME_FORMAT=ISO")
	out, err := cmd.Output()
	to = time.Since(epoch).Nanoseconds()
	if err != nil {
		t.Fatalf("pidstat: %v", err)
	}
	var names []string
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		switch {
		case len(f) > 1 && f[0] == "#":
			names = f[1:]
		case len(f) > 1 && len(f) == len(names):
			column := slices.Index(names, "%CPU")
			if percent, err = strconv.ParseFloat(f[column], 64); err != nil {
				t.Fatalf("pidstat: %q: %v", line, err)
			}
		}
	}
	if percent == 0 {
		t.Fatalf("pidstat says nothing of process %d:\n%s", pid, out)
	}
	return percent, to - length*int64(time.Second), to
}

// cpuAt returns the CPU time at a moment, in ns, interpolated between samples.
func cpuAt(samples []record.Sample, at int64) float64 {
	i := slices.IndexFunc(samples, func(s record.Sample) bool { return s.AtNS >= at })
	if i < 1 {
		return math.NaN()
	}
	a, b := samples[i-1], samples[i]
	return float64(a.CPUNS) + float64(b.CPUNS-a.CPUNS)*float64(at-a.AtNS)/float64(b.AtNS-a.AtNS)
}
