package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ErrInUse means that another process listens on the socket.
var ErrInUse = errors.New("another process listens there: end it, or give another path")

// probeTimeout limits the check whether a socket is in use.
const probeTimeout = 2 * time.Second

// Access specifies who may connect to a socket. The zero value is the caller's user
// alone.
type Access struct {
	// Mode is the permissions of the socket's file: who may write to it may connect.
	// Zero is 0600.
	Mode fs.FileMode
	// Group is the ID of the group that owns the file. Nil is that of the process. To
	// give a file to a group of which it is no member, a process needs CAP_CHOWN.
	Group *int
}

// Listen makes a Unix socket that only the caller's user may connect to. Otherwise it
// is the same as ListenFor.
func Listen(ctx context.Context, path string) (net.Listener, error) {
	return ListenFor(ctx, path, Access{})
}

// ListenFor makes a Unix socket. It is created with permissions 0600, and then opened to
// those who may connect. It replaces a socket that a dead process left behind. If a
// live process listens on the socket, the error is ErrInUse. A file of another kind is
// an error too. A lock file with the same name plus ".lock" prevents two processes from
// replacing each other's socket. Closing the listener removes both files.
func ListenFor(ctx context.Context, path string, access Access) (_ net.Listener, err error) {
	held, err := takeLock(path + ".lock")
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, held.release())
		}
	}()
	if err := removeStale(ctx, path); err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	config := net.ListenConfig{Control: private}
	l, err := config.Listen(ctx, "unix", path)
	if err != nil {
		return nil, err // it contains the path
	}
	if err := access.grant(path); err != nil {
		return nil, errors.Join(fmt.Errorf("listen on %s: %w", path, err), l.Close())
	}
	return &listener{Listener: l, lock: held}, nil
}

// grant gives access to a socket: first to the group, then by the permissions, so that
// no other group ever has them.
func (a Access) grant(path string) error {
	if a.Group != nil {
		if err := os.Lchown(path, -1, *a.Group); err != nil {
			return err
		}
	}
	if a.Mode != 0 {
		return os.Chmod(path, a.Mode.Perm())
	}
	return nil
}

// private sets the permissions of a socket before bind(2) creates its file with the
// same permissions. So there is no moment at which others may connect.
func private(_, _ string, c syscall.RawConn) error {
	var err error
	return errors.Join(c.Control(func(fd uintptr) { err = unix.Fchmod(int(fd), 0o600) }), err)
}

// removeStale removes a socket on which no process listens.
func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("a file that is no socket (%s) is there: remove it, or give another path", info.Mode())
	}
	dialer := net.Dialer{Timeout: probeTimeout}
	conn, err := dialer.DialContext(ctx, "unix", path)
	if err == nil {
		return errors.Join(ErrInUse, conn.Close())
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("%w (%w)", ErrInUse, err)
	}
	return os.Remove(path)
}

// listener removes its socket, then its lock, when it is closed.
type listener struct {
	net.Listener
	lock  *lock
	close sync.Once
}

func (l *listener) Close() (err error) {
	l.close.Do(func() { err = errors.Join(l.Listener.Close(), l.lock.release()) })
	return err
}

// lock is a file that only one process can lock at a time. The kernel releases it when
// the process ends in any way.
type lock struct{ file *os.File }

func takeLock(path string) (_ *lock, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, ErrInUse
	}
	if err != nil {
		return nil, os.NewSyscallError("flock "+path, err)
	}
	own, err := f.Stat()
	if err != nil {
		return nil, err
	}
	// The process that held the lock before may have removed the file after we opened
	// it, and another may have made a new one.
	if now, err := os.Lstat(path); err != nil || !os.SameFile(own, now) {
		return nil, ErrInUse
	}
	return &lock{file: f}, nil
}

func (l *lock) release() error {
	return errors.Join(os.Remove(l.file.Name()), l.file.Close())
}
