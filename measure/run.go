// Package measure runs one command and measures it: CPU time, memory and
// system calls, as time series on the trial's clock.
//
// It is the code of equic-probe, the first process of every node. Of the command it
// uses only the process ID. Of the machine it uses only /proc, the CPU clocks and the
// kernel's tracepoints, so a node can measure itself on any runtime. Its records
// (record.Sample, record.Syscall, record.Probe) follow the command's own output on
// standard output.
package measure

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/equic-bench/equic-bench/host"
	"github.com/equic-bench/equic-bench/record"
)

// The exit codes that do not come from the command.
const (
	ExitFailed        = 125 // measuring failed
	ExitNotExecutable = 126 // the command cannot be executed
	ExitNotFound      = 127 // the command does not exist
)

// DefaultInterval is the time between two samples: 10 Hz.
const DefaultInterval = 100 * time.Millisecond

// Options specify what to run and how to measure it.
type Options struct {
	// Command is the program, looked up in PATH, and its arguments.
	Command []string
	// Interval is the time between two samples. Zero is DefaultInterval.
	Interval time.Duration
	// Clock gives the time since the trial's epoch. Nil is a clock whose epoch is now.
	// Samples are due at its multiples of Interval.
	Clock *record.Clock
	// CPUs are the CPUs whose busy time is sampled. Nil is the CPUs that this process
	// may use.
	CPUs []int
	// Receivers are the kernel's threads that receive the command's packets, by process
	// ID, if it has its own.
	Receivers []int
	// Syscalls enables the counting of system calls. That needs CAP_BPF and
	// CAP_PERFMON, or CAP_SYS_ADMIN.
	Syscalls bool
	// Alternate measures only in one half of the stretches of this length
	// (record.MeasuredStretch), to find the cost of measuring. Zero measures all the
	// time. It is a multiple of Interval. System calls are then counted but not
	// reported, because the counts of half a run could be mistaken for those of the
	// whole.
	Alternate time.Duration
	// Ready is for a command that prints no records; nil is one that does.
	Ready *Readiness
	// Stdout receives the command's standard output, then the records.
	Stdout io.Writer
	// Stderr is the command's standard error. Nil discards it.
	Stderr *os.File
}

func (o *Options) complete() error {
	if len(o.Command) == 0 {
		return errors.New("no command to measure")
	}
	if o.Interval < 0 {
		return fmt.Errorf("sampling interval %v is negative", o.Interval)
	}
	if o.Interval == 0 {
		o.Interval = DefaultInterval
	}
	if o.Alternate < 0 || o.Alternate%o.Interval != 0 {
		return fmt.Errorf("stretches of %v are not a multiple of the sampling interval %v", o.Alternate, o.Interval)
	}
	if o.Clock == nil {
		o.Clock = record.ClockAt(time.Now())
	}
	if o.CPUs == nil {
		cpus, err := host.Affinity()
		if err != nil {
			return err
		}
		o.CPUs = cpus
	}
	return nil
}

// Run runs the command to its end, and returns its exit code: 128 + n if signal n ended
// it. It forwards the signals that arrive during that time. With an error, the code is
// one of the Exit constants. The command is killed when ctx ends, or when this process
// dies.
//
// As process 1, Run also reaps the orphans that become its children.
func Run(ctx context.Context, opts Options) (exitCode int, err error) {
	if err := opts.complete(); err != nil {
		return ExitFailed, err
	}
	// From here on, so that a signal that comes before the child exists is not lost.
	signals := catchSignals()
	defer signal.Stop(signals)
	var calls *counter
	if opts.Syscalls {
		if calls, err = attachCounter(); err != nil {
			return ExitFailed, fmt.Errorf("count system calls: %w", err)
		}
		defer func() { err = errors.Join(err, calls.Close()) }()
	}
	// The kernel signals the child when the thread that started it dies.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	throttled := host.Local().ThrottledPeriods()
	before, err := links()
	if err != nil {
		return ExitFailed, err
	}
	c, err := startChild(opts.Command, opts.Stderr, opts.Ready != nil)
	if err != nil {
		return exitCodeOf(err), err
	}
	s, err := newSampler(c.pid, opts, calls)
	if err != nil {
		_, killErr := c.kill()
		return ExitFailed, errors.Join(err, killErr)
	}
	defer s.close()

	err = observe(ctx, c, s, signals, calls, &opts)
	end, reapErr := c.reap()
	if err = errors.Join(err, reapErr); err != nil {
		return ExitFailed, err
	}
	r := report{child: end, sampler: s, throttled: throttledSince(throttled)}
	if r.lostLinks, err = lostLinks(before); err != nil {
		return ExitFailed, err
	}
	if calls != nil && opts.Alternate == 0 {
		if r.syscalls, err = calls.counts(); err != nil {
			return ExitFailed, fmt.Errorf("count system calls: %w", err)
		}
		r.counted = true
	}
	if err := r.print(opts.Stdout); err != nil {
		return ExitFailed, fmt.Errorf("print records: %w", err)
	}
	return end.exitCode(), nil
}

// observe samples the child and forwards its output and its signals, until it has
// ended. The child is not reaped yet, so its CPU clock still exists.
func observe(
	ctx context.Context, c *child, s *sampler, signals <-chan os.Signal, calls *counter, o *Options,
) error {
	stopKilling := context.AfterFunc(ctx, c.signalKill)
	defer stopKilling()

	ended, end := context.WithCancel(context.WithoutCancel(ctx))
	var sampleErr, outputErr error
	var tasks sync.WaitGroup
	tasks.Go(func() { c.forward(ended, signals, calls) })
	tasks.Go(func() { sampleErr = s.run(ended) })
	tasks.Go(func() {
		if o.Ready != nil {
			outputErr = c.passLog(ended, o)
		} else {
			outputErr = c.passOutput(o.Stdout)
		}
	})
	waitErr := c.awaitEnd()
	end()
	c.endOutput()
	tasks.Wait()
	if waitErr == nil && sampleErr == nil {
		sampleErr = s.take(true)
	}
	return errors.Join(waitErr, sampleErr, outputErr)
}

// report is everything that is printed after the child has ended.
type report struct {
	child     *ending
	sampler   *sampler
	throttled int64
	lostLinks []string
	counted   bool
	syscalls  []record.Syscall
}

// throttledSince returns the number of throttled periods since an earlier reading, or
// -1 if either reading is not known.
func throttledSince(before int64) int64 {
	now := host.Local().ThrottledPeriods()
	if before < 0 || now < 0 {
		return -1
	}
	return now - before
}

func (r *report) print(w io.Writer) error {
	b := bufio.NewWriter(w)
	e := json.NewEncoder(b)
	for i := range r.syscalls {
		if err := e.Encode(record.Line{Syscall: &r.syscalls[i]}); err != nil {
			return err
		}
	}
	for i := range r.sampler.samples {
		if err := e.Encode(record.Line{Sample: &r.sampler.samples[i]}); err != nil {
			return err
		}
	}
	end, err := r.probe()
	if err != nil {
		return err
	}
	if err := e.Encode(record.Line{Probe: end}); err != nil {
		return err
	}
	return b.Flush()
}

func (r *report) probe() (*record.Probe, error) {
	own, err := processCPUTime(os.Getpid())
	if err != nil {
		return nil, err
	}
	peak, err := r.peakRSS()
	if err != nil {
		return nil, err
	}
	return &record.Probe{
		ExitCode:         r.child.exitCode(),
		Signal:           r.child.signal(),
		UserNS:           r.child.usage.Utime.Nano(),
		SystemNS:         r.child.usage.Stime.Nano(),
		PeakRSSBytes:     peak,
		OwnCPUNS:         own,
		CPUs:             r.sampler.cpus,
		Samples:          len(r.sampler.samples),
		Missed:           r.sampler.missed,
		ThrottledPeriods: r.throttled,
		LostInterfaces:   r.lostLinks,
		SyscallCounter:   r.counted,
	}, nil
}

// peakRSS returns the child's peak resident set, in bytes: the higher of the peak last
// read while the child ran and the kernel's at its end. The latter includes the time
// before exec, when the child still shared this process's memory. So it only counts if
// it is above this process's own peak.
func (r *report) peakRSS() (int64, error) {
	var own unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &own); err != nil {
		return 0, fmt.Errorf("read own resource usage: %w", err)
	}
	if r.child.usage.Maxrss > own.Maxrss || r.sampler.peakRSSBytes == 0 {
		return max(r.child.usage.Maxrss<<10, r.sampler.peakRSSBytes), nil
	}
	return r.sampler.peakRSSBytes, nil
}
