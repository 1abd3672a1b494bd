package measure

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/equic-bench/equic-bench/results"
)

// sampler reads the state of one process and of its machine. What it costs is
// taken from what it measures, whose CPUs it shares: its files stay open, and
// between its start and its end it neither prints nor allocates, but to hold the
// samples. Its system calls go past the Go scheduler, which would meet each, as
// it may block, with work for other threads, many times the call's own; none of
// them waits for anything.
type sampler struct {
	clock    clock
	interval time.Duration
	pid      int
	cpus     []int
	calls    *counter // nil where none are counted

	status, stat, snmp procFile
	buf                []byte

	samples      []results.Sample
	missed       int
	peakRSSBytes int64 // the child's high-water mark, as last read
}

// newSampler opens what it reads of process pid, and reads it once, so that
// what cannot be sampled shows before the load and not after it.
func newSampler(pid int, opts Options, calls *counter) (_ *sampler, err error) {
	s := &sampler{
		clock:    newClock(opts.Epoch),
		interval: opts.Interval,
		pid:      pid,
		cpus:     opts.CPUs,
		calls:    calls,
		buf:      make([]byte, 128<<10), // /proc/stat of 1024 CPUs
		status:   procFile{fd: -1},
		stat:     procFile{fd: -1},
		snmp:     procFile{fd: -1},
		samples:  make([]results.Sample, 0, 4096),
	}
	defer func() {
		if err != nil {
			s.close()
			err = fmt.Errorf("sample process %d: %w", pid, err)
		}
	}()
	if s.status, err = openProc("/proc/" + strconv.Itoa(pid) + "/status"); err != nil {
		return nil, err
	}
	if s.stat, err = openProc("/proc/stat"); err != nil {
		return nil, err
	}
	if s.snmp, err = openProc("/proc/net/snmp"); err != nil {
		return nil, err
	}
	_, err = s.read()
	return s, err
}

func (s *sampler) close() {
	for _, f := range []procFile{s.status, s.stat, s.snmp} {
		f.close()
	}
}

// run takes a sample at every multiple of the interval since the epoch, until
// ctx ends.
func (s *sampler) run(ctx context.Context) error {
	now := s.clock.now()
	ticks, err := newTicker(time.Duration(nextTick(now, int64(s.interval))-now), s.interval)
	if err != nil {
		return err
	}
	defer ticks.close()
	stop := context.AfterFunc(ctx, ticks.stop)
	defer stop()
	for {
		unseen, err := ticks.wait()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case err != nil:
			return err
		}
		s.missed += unseen
		if err := s.take(); err != nil {
			return err
		}
	}
}

// take appends one sample. Of a process that has ended and was not reaped the
// CPU time is still told, and the memory is repeated as last read.
func (s *sampler) take() error {
	sample, err := s.read()
	if err != nil {
		return fmt.Errorf("sample process %d: %w", s.pid, err)
	}
	s.samples = append(s.samples, sample)
	return nil
}

func (s *sampler) read() (sample results.Sample, err error) {
	sample.AtNS = s.clock.now()
	if sample.CPUNS, err = processCPUTime(s.pid); err != nil {
		return sample, err
	}
	if s.calls != nil {
		if sample.Syscalls, err = s.calls.total(); err != nil {
			return sample, err
		}
	}
	if err := s.readMemory(&sample); err != nil {
		return sample, err
	}
	text, err := s.pread(s.stat)
	if err != nil {
		return sample, err
	}
	cpu, err := parseStat(text, s.cpus)
	if err != nil {
		return sample, err
	}
	sample.BusyNS, sample.SoftIRQNS, sample.StealNS = cpu.busyNS, cpu.softIRQNS, cpu.stealNS
	if text, err = s.pread(s.snmp); err != nil {
		return sample, err
	}
	udp, err := parseSNMP(text)
	if err != nil {
		return sample, err
	}
	sample.UDPInDatagrams, sample.UDPInErrors, sample.UDPRcvbufErrors = udp.inDatagrams, udp.inErrors, udp.rcvbufErrors
	return sample, nil
}

func (s *sampler) readMemory(sample *results.Sample) error {
	text, err := s.pread(s.status)
	if err != nil {
		return err
	}
	if m, ok := parseStatus(text); ok {
		sample.RSSBytes, sample.SwapBytes = m.rssBytes, m.swapBytes
		s.peakRSSBytes = max(s.peakRSSBytes, m.peakBytes)
	} else if n := len(s.samples); n > 0 {
		sample.RSSBytes, sample.SwapBytes = s.samples[n-1].RSSBytes, s.samples[n-1].SwapBytes
	}
	return nil
}

// pread reads a file of /proc from its start: one system call, one consistent
// text, valid until the next.
func (s *sampler) pread(f procFile) ([]byte, error) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_PREAD64, uintptr(f.fd), uintptr(unsafe.Pointer(&s.buf[0])), uintptr(len(s.buf)), 0, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return nil, fmt.Errorf("read %s: %w", f.path, errno)
		}
		return s.buf[:n], nil
	}
}

// procFile is an open file of /proc, of which the runtime knows nothing: to it
// some of them are files to wait for.
type procFile struct {
	path string
	fd   int // -1 is none
}

func openProc(path string) (procFile, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return procFile{fd: -1}, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return procFile{path, fd}, nil
}

func (f procFile) close() {
	if f.fd >= 0 {
		_ = unix.Close(f.fd) // read only
	}
}

// nextTick is the first multiple of interval after now.
func nextTick(now, interval int64) int64 {
	ticks := now / interval
	if now < 0 && now%interval != 0 {
		ticks-- // round down, also before the epoch
	}
	return (ticks + 1) * interval
}

// clock tells the time since an epoch. It reads the wall clock once, and goes
// by the monotonic clock from there.
type clock struct {
	started time.Time
	offset  time.Duration // from the epoch to started
}

func newClock(epoch time.Time) clock {
	now := time.Now()
	return clock{started: now, offset: now.Sub(epoch)}
}

// now is nanoseconds since the epoch, negative before it.
func (c clock) now() int64 { return int64(c.offset + time.Since(c.started)) }

// processCPUTime is the user and system time of a process and all its
// threads, ended ones included, in nanoseconds.
func processCPUTime(pid int) (int64, error) {
	// A process's CPU clock has its id in the upper bits, inverted, and the
	// kind of the clock below: 2, the scheduler's (clock_getcpuclockid(3)).
	id := int32(^pid<<3 | 2)
	var t unix.Timespec
	if _, _, errno := unix.RawSyscall(unix.SYS_CLOCK_GETTIME, uintptr(id), uintptr(unsafe.Pointer(&t)), 0); errno != 0 {
		return 0, fmt.Errorf("read CPU clock of process %d: %w", pid, errno)
	}
	return t.Nano(), nil
}

// affinity is the CPUs that this process may use, in order.
func affinity() ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, fmt.Errorf("read CPU affinity: %w", err)
	}
	var cpus []int
	for cpu := range len(set) * 64 {
		if set.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	return cpus, nil
}
