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

// sampler reads the state of one process and of its machine. It shares the CPUs of the
// process, so its own cost disturbs the measurement. Therefore its files stay open, and
// between its start and its end it neither prints nor allocates, except for the
// samples. Its system calls bypass the Go scheduler, which looks for work for other
// threads before each call that may block. That costs many times as much as the call
// itself. None of these calls blocks.
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
	calls      *counter // nil if system calls are not counted

	statm, stat, status, snmp, dev procFile
	snmp6                          procFile // not open on a kernel without IPv6
	pageBytes                      int64
	buf                            []byte

	samples      []record.Sample
	peakRSSBytes int64 // the highest that was sampled or that the kernel reported
	seldom       seldom
	missed       int
}

// seldom holds the values that are read only once a second. They change slowly, or are
// counters of which only the end matters. Their files take longer to read than all
// others.
type seldom struct {
	atNS      int64 // when it was read
	swapBytes int64
	udp       udpCounters
	traffic   traffic
}

// newSampler opens the files for process pid and reads them once. If something cannot
// be sampled, the error then comes before the load and not after it.
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
		buf:        make([]byte, 128<<10), // enough for /proc/stat of 1024 CPUs

		pageBytes: int64(os.Getpagesize()),
		statm:     procFile{fd: -1},
		stat:      procFile{fd: -1},
		status:    procFile{fd: -1},
		snmp:      procFile{fd: -1},
		snmp6:     procFile{fd: -1},
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
	if s.snmp6, err = openProc("/proc/net/snmp6"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if s.dev, err = openProc("/proc/net/dev"); err != nil {
		return nil, err
	}
	_, err = s.read(true)
	return s, err
}

func (s *sampler) close() {
	for _, f := range []procFile{s.statm, s.stat, s.status, s.snmp, s.snmp6, s.dev} {
		f.close()
	}
}

// run takes a sample at every multiple of the interval since the epoch, until ctx ends.
// With Alternate, it does so only in the stretches that are measured.
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

// seldomIsDue returns true at the tick nearest to one second after the last reading.
func (s *sampler) seldomIsDue() bool {
	return s.clock.Now() >= s.seldom.atNS+int64(time.Second)-int64(s.interval)/2
}

// take appends one sample. If all is false, it does not read the values of seldom. If
// the process has ended and is not reaped, its CPU time can still be read, and its
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
		if ns, err := processCPUTime(pid); err == nil { // a receiver ends with its interface
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
	sample.UDPOutDatagrams = udp.outDatagrams
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
	if s.snmp6.fd >= 0 {
		if text, err = s.pread(s.snmp6); err != nil {
			return err
		}
		if err := s.seldom.udp.addSNMP6(text); err != nil {
			return err
		}
	}
	if text, err = s.pread(s.dev); err != nil {
		return err
	}
	s.seldom.traffic, err = parseDev(text)
	return err
}

// pread reads a file of /proc from its start, with one system call. The text is
// consistent, and valid until the next call.
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

// procFile is an open file of /proc that the Go runtime does not manage: the runtime
// would treat some of these as files that can block.
type procFile struct {
	path string
	fd   int // -1 if not open
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
		_ = unix.Close(f.fd) // read-only: the error does not matter
	}
}

// nextTick returns the first multiple of interval after now.
func nextTick(now, interval int64) int64 {
	return (floor(now, interval) + 1) * interval
}

// processCPUTime returns the user and system time of a process and all its threads,
// including those that have ended, in nanoseconds.
func processCPUTime(pid int) (int64, error) {
	// The ID of a process's CPU clock has the inverted process ID in the upper bits,
	// and the kind of clock below: 2 is the scheduler's (clock_getcpuclockid(3)).
	id := int32(^pid<<3 | 2)
	var t unix.Timespec
	if _, _, errno := unix.RawSyscall(unix.SYS_CLOCK_GETTIME, uintptr(id), uintptr(unsafe.Pointer(&t)), 0); errno != 0 {
		return 0, fmt.Errorf("read CPU clock of process %d: %w", pid, errno)
	}
	return t.Nano(), nil
}
