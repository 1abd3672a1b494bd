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

// ticker tells the multiples of an interval. It is a timer of the kernel's: one
// of Go's would wake a second thread each time, the runtime's monitor, which then
// costs the CPU that is measured more than a sample does. For the same reason it
// is read past the Go scheduler.
type ticker struct {
	fd   int // of file
	file *os.File
	conn syscall.RawConn
	read func(fd uintptr) bool // made once: a wait allocates nothing
	buf  [8]byte
	err  error
}

// newTicker ticks first from now, and then at every interval. However long it
// takes itself, the ticks stay where they are.
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

// set forgets the ticks so far, and ticks first from now and then at every
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

// wait blocks until the next tick, and says how many came before it since the
// last wait, unseen. After stop the error is os.ErrDeadlineExceeded.
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

// tryRead is false where no tick has come yet.
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

// stop ends a wait, and every one that comes later.
func (t *ticker) stop() { _ = t.file.SetReadDeadline(time.Unix(0, 0)) }

func (t *ticker) close() { _ = t.file.Close() }
