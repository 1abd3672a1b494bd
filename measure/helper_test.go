package measure

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/equic-bench/equic-bench/record"
)

// TestMain makes the test binary stand in for other processes: the measured command,
// and a probe that is process 1.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "as-command" {
		os.Exit(command(os.Args[2], os.Args[3:]))
	}
	if len(os.Args) > 2 && os.Args[1] == "as-process-1" {
		os.Exit(processOne(os.Args[2:]))
	}
	goleak.VerifyTestMain(m)
}

// self returns the command line of a measured command.
func self(tb testing.TB, args ...string) []string {
	tb.Helper()
	path, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	return append([]string{path, "as-command"}, args...)
}

// outcome is the result of Run.
type outcome struct {
	code     int
	output   string // the command's own
	syscalls map[string]record.Syscall
	samples  []record.Sample
	probe    *record.Probe
}

// runProbe runs a command under Run and parses its output.
func runProbe(tb testing.TB, opts Options) outcome {
	tb.Helper()
	var stdout bytes.Buffer
	opts.Stdout = &stdout
	code, err := Run(tb.Context(), opts)
	if err != nil {
		tb.Fatal(err)
	}
	o := takeApart(tb, stdout.Bytes())
	o.code = code
	return o
}

func takeApart(tb testing.TB, stdout []byte) outcome {
	tb.Helper()
	o := outcome{syscalls: map[string]record.Syscall{}}
	records := bytes.Index(stdout, []byte(`{"s`))
	if records < 0 {
		tb.Fatalf("no records in %q", stdout)
	}
	o.output = string(stdout[:records])
	lastNumber := -1
	err := record.ReadLines(bytes.NewReader(stdout[records:]), "stdout", func(l *record.Line) error {
		switch {
		case o.probe != nil:
			return fmt.Errorf("a record follows the last: %+v", l)
		case l.Syscall != nil:
			if l.Syscall.Number <= lastNumber || l.Syscall.Calls == 0 {
				return fmt.Errorf("system call out of order or without calls: %+v", l.Syscall)
			}
			lastNumber = l.Syscall.Number
			o.syscalls[l.Syscall.Name] = *l.Syscall
		case l.Sample != nil:
			o.samples = append(o.samples, *l.Sample)
		case l.Probe != nil:
			o.probe = l.Probe
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	if o.probe == nil {
		tb.Fatal("no probe record")
	}
	return o
}

// command runs as the measured command, and returns its exit code.
func command(what string, args []string) int {
	switch what {
	case "exit":
		code, _ := strconv.Atoi(args[0])
		return code
	case "die":
		number, _ := strconv.Atoi(args[0])
		_ = unix.Kill(os.Getpid(), unix.Signal(number))
		select {}
	case "burn":
		for ns := int64(0); ns < 300e6; ns, _ = processCPUTime(os.Getpid()) {
			_ = math.Sqrt(float64(ns))
		}
	case "grow":
		return grow()
	case "write":
		fmt.Print(manyLines())
	case "await-signal":
		return awaitSignal()
	case "call":
		return callTheKernel()
	case "call-from-threads":
		return callFromThreads()
	case "many-calls":
		n, _ := strconv.Atoi(args[0])
		return manyCalls(n)
	case "call-for":
		d, _ := time.ParseDuration(args[0])
		for end := time.Now().Add(d); time.Now().Before(end); {
			unix.Getppid()
		}
	case "leave-heir":
		return leaveHeir()
	case "make-orphans":
		return makeOrphans()
	case "idle":
		<-time.After(time.Minute)
	}
	return 0
}

// grow allocates 64 MiB after a while, and keeps it for a while.
func grow() int {
	<-time.After(100 * time.Millisecond)
	block := make([]byte, 64<<20)
	for i := range block {
		block[i] = 1
	}
	<-time.After(100 * time.Millisecond)
	runtime.KeepAlive(block)
	return 0
}

// manyLines returns a million bytes of lines of all lengths. The last line is
// unfinished.
func manyLines() string {
	var b strings.Builder
	for n := 0; b.Len() < 1_000_000; n++ {
		fmt.Fprintf(&b, "%d%s\n", n, strings.Repeat("x", n%997))
	}
	b.WriteString("the last line is left open")
	return b.String()
}

// awaitSignal prints that it is ready, and exits with the number of the signal.
func awaitSignal() int {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals)
	signal.Ignore(unix.SIGURG) // used by the Go runtime itself
	fmt.Println("waiting")
	s := (<-signals).(unix.Signal)
	return int(s)
}

// The numbers of threads and calls of callFromThreads.
const (
	callingThreads = 16
	callsOfThread  = 500
)

// callFromThreads makes its calls from many threads. They give up their CPU repeatedly:
// between calls, to each other, and inside calls.
func callFromThreads() int {
	var threads sync.WaitGroup
	for range callingThreads {
		threads.Go(func() {
			runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
			for range callsOfThread {
				unix.Getppid()
				runtime.Gosched()
				_, _ = unix.Getpriority(unix.PRIO_PROCESS, 0)
				_ = unix.Nanosleep(&unix.Timespec{Nsec: 1000}, nil)
			}
		})
	}
	threads.Wait()
	return 0
}

// callTheKernel makes system calls that the Go runtime never makes: 1000 on four
// threads, ten that fail, and one that takes 20 ms.
func callTheKernel() int {
	var threads sync.WaitGroup
	for range 4 {
		threads.Go(func() {
			runtime.LockOSThread()
			for range 250 {
				_ = unix.Getppid()
			}
		})
	}
	threads.Wait()
	for range 10 {
		_ = unix.Unlinkat(unix.AT_FDCWD, "/nothing/of/that/name", 0)
	}
	pause := unix.Timespec{Nsec: 20e6}
	for unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &pause, &pause) == unix.EINTR {
		continue // with the rest of the pause
	}
	return 0
}

// leaveHeir leaves a process behind that keeps standard output open.
func leaveHeir() int {
	heir := exec.CommandContext(context.Background(), os.Args[0], "as-command", "idle")
	heir.Stdout = os.Stdout
	if err := heir.Start(); err != nil {
		return 1
	}
	fmt.Println(heir.Process.Pid)
	return 0
}

// makeOrphans makes processes that die after their parents, and exits with 0 once
// process 1 has reaped them all.
func makeOrphans() int {
	for range 5 {
		out, err := exec.CommandContext(context.Background(), "/bin/sh", "-c", "/bin/true & echo $!").Output()
		if err != nil {
			return 1
		}
		orphan, err := strconv.Atoi(strings.TrimSpace(string(out)))
		if err != nil || orphan <= 0 { // for kill(2), 0 and less are many processes
			return 2
		}
		tick := time.NewTicker(time.Millisecond)
		for unix.Kill(orphan, 0) == nil {
			<-tick.C
		}
		tick.Stop()
	}
	return 0
}

// processOne runs a probe in its own process namespace.
func processOne(args []string) int {
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "not process 1")
		return 99
	}
	if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		fmt.Fprintln(os.Stderr, "make mounts private:", err)
		return 99
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		fmt.Fprintln(os.Stderr, "mount /proc:", err)
		return 99
	}
	code, err := Run(context.Background(), Options{
		Command:  append([]string{os.Args[0], "as-command"}, args...),
		Syscalls: true,
		Stdout:   os.Stdout,
		Stderr:   os.Stderr,
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return code
}

// lineWriter sends the first line that is written to it, and keeps everything.
type lineWriter struct {
	bytes.Buffer
	first chan<- string
}

func (w *lineWriter) Write(p []byte) (int, error) {
	n, err := w.Buffer.Write(p)
	if w.first != nil && bytes.Contains(p, []byte("\n")) {
		line, _ := bytes.NewBuffer(w.Bytes()).ReadString('\n')
		w.first <- line
		w.first = nil
	}
	return n, err
}

var _ io.Writer = (*lineWriter)(nil)
