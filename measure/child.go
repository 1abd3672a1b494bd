package measure

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// child is the measured process, from its start until it is reaped.
type child struct {
	cmd    *exec.Cmd
	stdout *os.File // the reading end of its standard output
	// pid stays what it was when the child is reaped, where that of cmd.Process
	// becomes -1, which kill(2) takes for every process there is. Signals go by
	// cmd.Process, which refuses them from then on.
	pid int
}

// startChild starts a command with nothing to read. An error is one that
// exitCodeOf knows to classify.
func startChild(command []string, stderr *os.File) (*child, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", command[0], err)
	}
	defer w.Close()                                 // the child holds its own copy
	cmd := exec.Command(command[0], command[1:]...) //nolint:noctx // reaped here, not by exec
	cmd.Stdout = w
	if stderr != nil {
		cmd.Stderr = stderr
	}
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", command[0], err), r.Close())
	}
	return &child{cmd: cmd, stdout: r, pid: cmd.Process.Pid}, nil
}

// catchSignals collects the signals to forward, until signal.Stop.
func catchSignals() chan os.Signal {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2)
	return signals
}

// forward passes signals on to the child until ctx ends. The signal that asks it
// to stop ends the counting of system calls.
func (c *child) forward(ctx context.Context, signals <-chan os.Signal, calls *counter) {
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-signals:
			if calls != nil && (s == unix.SIGTERM || s == unix.SIGINT) {
				calls.freeze()
			}
			_ = c.cmd.Process.Signal(s) // fails only if the child has ended
		}
	}
}

func (c *child) signalKill() { _ = c.cmd.Process.Kill() }

// exitInfo is a siginfo_t as waitid fills it in on 64-bit machines, which
// package unix leaves without the process id.
type exitInfo struct {
	_   [4]int32 // signal, error, code, padding
	pid int32
	_   [108]byte
}

// awaitEnd returns once the child has ended, and leaves it to reap. As process
// 1 it meanwhile reaps every other process that became its child.
func (c *child) awaitEnd() error {
	kind, id := unix.P_PID, c.pid
	if os.Getpid() == 1 {
		kind, id = unix.P_ALL, 0
	}
	for {
		var info exitInfo
		err := unix.Waitid(kind, id, (*unix.Siginfo)(unsafe.Pointer(&info)), unix.WEXITED|unix.WNOWAIT, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("wait for process %d: %w", c.pid, err)
		case int(info.pid) == c.pid:
			return nil
		}
		if _, err := wait4(int(info.pid)); err != nil {
			return fmt.Errorf("reap orphan %d: %w", info.pid, err)
		}
	}
}

// reap frees the ended child and says how it ended.
func (c *child) reap() (*ending, error) {
	end, err := wait4(c.pid)
	if err != nil {
		return nil, fmt.Errorf("reap process %d: %w", c.pid, err)
	}
	return end, errors.Join(c.cmd.Process.Release(), c.stdout.Close())
}

// kill ends the child at once and reaps it.
func (c *child) kill() (*ending, error) {
	c.signalKill()
	return c.reap()
}

// ending is how a process ended, and what it and the children that it waited
// for have used.
type ending struct {
	status unix.WaitStatus
	usage  unix.Rusage
}

func wait4(pid int) (*ending, error) {
	for {
		e := new(ending)
		_, err := unix.Wait4(pid, &e.status, 0, &e.usage)
		if !errors.Is(err, unix.EINTR) {
			return e, err
		}
	}
}

// exitCode is the shell's: 128 + n for a process that signal n ended.
func (e *ending) exitCode() int {
	if e.status.Signaled() {
		return 128 + int(e.status.Signal())
	}
	return e.status.ExitStatus()
}

// signal is the name of the signal that ended the process, or empty.
func (e *ending) signal() string {
	if !e.status.Signaled() {
		return ""
	}
	return unix.SignalName(e.status.Signal())
}

// exitCodeOf is the exit code for a command that did not start.
func exitCodeOf(err error) int {
	switch {
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return ExitNotFound
	case errors.Is(err, fs.ErrPermission), errors.Is(err, unix.ENOEXEC), errors.Is(err, unix.EISDIR):
		return ExitNotExecutable
	}
	return ExitFailed
}

// passOutput copies the child's standard output to w unchanged, and ends a
// last line that the child left open, so that what follows starts a new one.
// After an error of w it reads on, so that the child is never held up.
func (c *child) passOutput(w io.Writer) error {
	buf := make([]byte, 64<<10)
	read := c.stdout.Read
	last := byte('\n')
	var failed error
	for {
		n, err := read(buf)
		if n > 0 && failed == nil {
			last = buf[n-1]
			_, failed = w.Write(buf[:n])
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			read = c.readBuffered
		case err != nil:
			if last != '\n' && failed == nil {
				_, failed = w.Write([]byte{'\n'})
			}
			if !errors.Is(err, io.EOF) {
				failed = errors.Join(failed, err)
			}
			return wrap("pass standard output on", failed)
		}
	}
}

// endOutput makes passOutput return once it has read what is in the pipe. It
// is for the time when the child has ended, as a descendant of it may hold the
// pipe open for ever.
func (c *child) endOutput() { _ = c.stdout.SetReadDeadline(time.Now()) }

// readBuffered reads what is in the pipe, and then io.EOF instead of waiting.
func (c *child) readBuffered(buf []byte) (n int, err error) {
	conn, err := c.stdout.SyscallConn()
	if err != nil {
		return 0, err
	}
	ctlErr := conn.Control(func(fd uintptr) {
		for {
			if n, err = unix.Read(int(fd), buf); !errors.Is(err, unix.EINTR) {
				return
			}
		}
	})
	switch {
	case errors.Is(err, unix.EAGAIN), err == nil && n == 0:
		return 0, io.EOF
	}
	return max(n, 0), errors.Join(err, ctlErr)
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
