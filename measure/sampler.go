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

	"github.com/equic-bench/equic-bench/record"
)

// sampler reads the state of one process and of its machine. What it costs is
// taken from what it measures, whose CPUs it shares: its files stay open, and
// between its start and its end it neither prints nor allocates, but to hold the
// samples. Its system calls go past the Go scheduler, which would meet each, as
// it may block, with work for other threads, many times the call's own; none of
// them waits for anything.
type sampler struct {
	clock    *record.Clock
	interval time.Duration
	stretch  time.Duration // Options.Alternate
	paused   bool          // in a stretch that is not measured
	pid      int
	cpus     []int
	// The kernel's threads of Options.Receivers.
	receivers  []int
	receivedNS []int64  // of each, as last read
	calls      *counter // nil where none are counted

	statm, stat, status, snmp, dev procFile
	pageBytes                      int64
	buf                            []byte

	samples      []record.Sample
	peakRSSBytes int64 // the most that was seen, or that the kernel told
	seldom       seldom
	missed       int
}

// seldom is what is read once a second only: it moves slowly or is a counter of
// which the end matters, and its files take longer to read than all others.
type seldom struct {
	atNS      int64 // when it was read
	swapBytes int64
	udp       udpCounters
	traffic   traffic
}

// newSampler opens what it reads of process pid, and reads it once, so that
// what cannot be sampled shows before the load and not after it.
func newSampler(pid int, opts Options, calls *counter) (_ *sampler, err error) {
	s := &sampler{
		clock:    opts.Clock,
		interval: opts.Interval,
		stretch:  opts.Alternate,
		pid:      pid,
		cpus:     opts.CPUs,

		receivers:  opts.Receivers,
		receivedNS: make([]int64, len(opts.Receivers)),
		calls:      calls,
		buf:        make([]byte, 128<<10), // /proc/stat of 1024 CPUs

		pageBytes: int64(os.Getpagesize()),
		statm:     procFile{fd: -1},
		stat:      procFile{fd: -1},
		status:    procFile{fd: -1},
		snmp:      procFile{fd: -1},
		dev:       procFile{fd: -1},
		samples:   make([]record.Sample, 0, 4096),
	}
	defer func() {
		if err != nil {
			s.close()
			err = fmt.Errorf("sample process %d: %w", pid, err)
		}
	}()
	if s.statm, err = openProc("/proc/" + strconv.Itoa(pid) + "/statm"); err != nil {
		return nil, err
	}
	if s.status, err = openProc("/proc/" + strconv.Itoa(pid) + "/status"); err != nil {
		return nil, err
	}
	if s.stat, err = openProc("/proc/stat"); err != nil {
		return nil, err
	}
	if s.snmp, err = openProc("/proc/net/snmp"); err != nil {
		return nil, err
	}
	if s.dev, err = openProc("/proc/net/dev"); err != nil {
		return nil, err
	}
	_, err = s.read(true)
	return s, err
}

func (s *sampler) close() {
	for _, f := range []procFile{s.statm, s.stat, s.status, s.snmp, s.dev} {
		f.close()
	}
}

// run takes a sample at every multiple of the interval since the epoch, until
// ctx ends; where it alternates, in the stretches that are measured.
func (s *sampler) run(ctx context.Context) error {
	now := s.clock.Now()
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
		if err := s.alternate(ticks); err != nil {
			return err
		}
		if s.paused {
			continue
		}
		if err := s.take(s.seldomIsDue()); err != nil {
			return err
		}
	}
}

// seldomIsDue is at the tick that is nearest to a second after the last.
func (s *sampler) seldomIsDue() bool {
	return s.clock.Now() >= s.seldom.atNS+int64(time.Second)-int64(s.interval)/2
}

// take appends one sample, for which all is read or what is not seldom. Of a
// process that has ended and was not reaped the CPU time is still told, and the
// memory is repeated as last read.
func (s *sampler) take(all bool) error {
	sample, err := s.read(all)
	if err != nil {
		return fmt.Errorf("sample process %d: %w", s.pid, err)
	}
	s.samples = append(s.samples, sample)
	return nil
}

func (s *sampler) read(all bool) (sample record.Sample, err error) {
	sample.AtNS = s.clock.Now()
	if sample.CPUNS, err = processCPUTime(s.pid); err != nil {
		return sample, err
	}
	for i, pid := range s.receivers {
		if ns, err := processCPUTime(pid); err == nil { // it ends with its interface
			s.receivedNS[i] = ns
		}
		sample.ReceiveNS += s.receivedNS[i]
	}
	if s.calls != nil {
		if sample.Syscalls, err = s.calls.total(); err != nil {
			return sample, err
		}
	}
	text, err := s.pread(s.statm)
	if err != nil {
		return sample, err
	}
	if pages, ok := parseStatm(text); ok {
		sample.RSSBytes = pages * s.pageBytes
		s.peakRSSBytes = max(s.peakRSSBytes, sample.RSSBytes)
	} else if n := len(s.samples); n > 0 {
		sample.RSSBytes = s.samples[n-1].RSSBytes
	}
	if text, err = s.pread(s.stat); err != nil {
		return sample, err
	}
	cpu, err := parseStat(text, s.cpus)
	if err != nil {
		return sample, err
	}
	sample.BusyNS, sample.SoftIRQNS, sample.StealNS = cpu.busyNS, cpu.softIRQNS, cpu.stealNS
	if all {
		if err := s.readSeldom(sample.AtNS); err != nil {
			return sample, err
		}
	}
	sample.SwapBytes = s.seldom.swapBytes
	udp := &s.seldom.udp
	sample.UDPInDatagrams, sample.UDPInErrors, sample.UDPRcvbufErrors = udp.inDatagrams, udp.inErrors, udp.rcvbufErrors
	sample.ReceivedBytes, sample.SentBytes = s.seldom.traffic.received, s.seldom.traffic.sent
	return sample, nil
}

func (s *sampler) readSeldom(atNS int64) error {
	s.seldom.atNS = atNS
	text, err := s.pread(s.status)
	if err != nil {
		return err
	}
	if m, ok := parseStatus(text); ok {
		s.seldom.swapBytes = m.swapBytes
		s.peakRSSBytes = max(s.peakRSSBytes, m.peakBytes)
	}
	if text, err = s.pread(s.snmp); err != nil {
		return err
	}
	if s.seldom.udp, err = parseSNMP(text); err != nil {
		return err
	}
	if text, err = s.pread(s.dev); err != nil {
		return err
	}
	s.seldom.traffic, err = parseDev(text)
	return err
}

// pread reads a file of /proc from its start: one system call, one consistent
// text, valid until the next.
func (s *sampler) pread(f procFile) ([]byte, error) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_PREAD64, uintptr(f.fd), uintptr(unsafe.Pointer(&s.buf[0])),
			uintptr(len(s.buf)), 0, 0, 0)
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
	return (floor(now, interval) + 1) * interval
}

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
