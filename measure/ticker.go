package measure

import (
	"encoding/binary"
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ticker ticks at the multiples of an interval. It uses a timer of the kernel. A timer
// of Go would wake a second thread each time, the runtime's monitor, which would cost
// the measured CPU more than a sample does. For the same reason, reading it bypasses
// the Go scheduler.
type ticker struct {
	fd   int // of file
	file *os.File
	conn syscall.RawConn
	read func(fd uintptr) bool // made once, so that a wait allocates nothing
	buf  [8]byte
	err  error
}

// newTicker makes a ticker that ticks after first, and then at every interval. The time
// that it takes itself does not shift the ticks.
func newTicker(first, interval time.Duration) (_ *ticker, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("make a timer: %w", err)
		}
	}()
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	t := &ticker{fd: fd, file: os.NewFile(uintptr(fd), "timer")}
	t.read = t.tryRead
	if t.conn, err = t.file.SyscallConn(); err != nil {
		t.close()
		return nil, err
	}
	if err := t.set(first, interval); err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

// set discards the ticks so far. The ticker then ticks after first, and then at every
// interval.
func (t *ticker) set(first, interval time.Duration) error {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return err
	}
	setting := unix.ItimerSpec{
		Value:    unix.NsecToTimespec(now.Nano() + first.Nanoseconds()),
		Interval: unix.NsecToTimespec(interval.Nanoseconds()),
	}
	return unix.TimerfdSettime(t.fd, unix.TFD_TIMER_ABSTIME, &setting, nil)
}

// wait blocks until the next tick. It returns how many earlier ticks were missed since
// the last wait. After stop the error is os.ErrDeadlineExceeded.
func (t *ticker) wait() (unseen int, err error) {
	t.err = nil
	if err := t.conn.Read(t.read); err != nil {
		return 0, err
	}
	if t.err != nil {
		return 0, fmt.Errorf("read a timer: %w", t.err)
	}
	return int(binary.NativeEndian.Uint64(t.buf[:])) - 1, nil // ticks of one trial
}

// tryRead returns false if no tick has come yet.
func (t *ticker) tryRead(fd uintptr) bool {
	for {
		_, _, errno := unix.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&t.buf[0])), uintptr(len(t.buf)))
		switch errno {
		case 0:
			return true
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return false
		}
		t.err = errno
		return true
	}
}

// stop ends the current wait, and all later ones.
func (t *ticker) stop() { _ = t.file.SetReadDeadline(time.Unix(0, 0)) }

func (t *ticker) close() { _ = t.file.Close() }
