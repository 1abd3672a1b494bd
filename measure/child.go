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
	stdout *os.File // the read end of its standard output
	// pid does not change when the child is reaped. That of cmd.Process becomes -1
	// then, which kill(2) interprets as every process. Signals go through cmd.Process,
	// which refuses them from then on.
	pid int
}

// startChild starts a command with an empty standard input. If logs is true, its standard
// error goes to the same pipe as its standard output. exitCodeOf converts the error to an
// exit code.
func startChild(command []string, stderr *os.File, logs bool) (*child, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", command[0], err)
	}
	defer w.Close()                                 // the child has its own copy
	cmd := exec.Command(command[0], command[1:]...) //nolint:noctx // reaped here, not by exec
	cmd.Stdout = w
	switch {
	case logs:
		cmd.Stderr = w
	case stderr != nil:
		cmd.Stderr = stderr
	}
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", command[0], err), r.Close())
	}
	return &child{cmd: cmd, stdout: r, pid: cmd.Process.Pid}, nil
}

// catchSignals receives the signals to forward, until signal.Stop.
func catchSignals() chan os.Signal {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2)
	return signals
}

// forward forwards signals to the child until ctx ends. The signal that asks the child
// to stop also ends the counting of system calls.
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

// exitInfo is a siginfo_t as waitid sets it on 64-bit machines. The type in package
// unix lacks the process ID.
type exitInfo struct {
	_   [4]int32 // signal, error, code, padding
	pid int32
	_   [108]byte
}

// awaitEnd returns once the child has ended, without reaping it. As process 1, it also
// reaps every other process that becomes its child.
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

// reap reaps the ended child, and returns how it ended.
func (c *child) reap() (*ending, error) {
	end, err := wait4(c.pid)
	if err != nil {
		return nil, fmt.Errorf("reap process %d: %w", c.pid, err)
	}
	return end, errors.Join(c.cmd.Process.Release(), c.stdout.Close())
}

// kill kills the child and reaps it.
func (c *child) kill() (*ending, error) {
	c.signalKill()
	return c.reap()
}

// ending is how a process ended, and the resources that it and the children that it
// waited for have used.
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

// exitCode returns the same code as a shell: 128 + n for a process that signal n ended.
func (e *ending) exitCode() int {
	if e.status.Signaled() {
		return 128 + int(e.status.Signal())
	}
	return e.status.ExitStatus()
}

// signal returns the name of the signal that ended the process, or "".
func (e *ending) signal() string {
	if !e.status.Signaled() {
		return ""
	}
	return unix.SignalName(e.status.Signal())
}

// exitCodeOf returns the exit code for a command that did not start.
func exitCodeOf(err error) int {
	switch {
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return ExitNotFound
	case errors.Is(err, fs.ErrPermission), errors.Is(err, unix.ENOEXEC), errors.Is(err, unix.EISDIR):
		return ExitNotExecutable
	}
	return ExitFailed
}

// passOutput copies the child's standard output to w unchanged. It completes an
// unfinished last line, so that the records start on a new line. After an error of w it
// continues to read, so that the child never blocks.
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

// endOutput makes passOutput return once it has read the content of the pipe. Call it
// after the child has ended: a descendant of the child may keep the pipe open forever.
func (c *child) endOutput() { _ = c.stdout.SetReadDeadline(time.Now()) }

// readBuffered reads the content of the pipe, and returns io.EOF instead of waiting.
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
