package control

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/equic-bench/equic-bench/internal/testkit"
)

func TestTheSocketIsForItsUserAlone(t *testing.T) {
	// The permissions must not depend on the process' umask.
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	path := filepath.Join(t.TempDir(), "socket")
	modes, stop := watch(t, path)
	l, err := Listen(t.Context(), path)
	testkit.Must(t, err)
	defer func() { testkit.Must(t, l.Close()) }()
	info, err := os.Lstat(path)
	testkit.Must(t, err)
	if got := info.Mode(); got != fs.ModeSocket|0o600 {
		t.Errorf("mode %s, want 0600", got)
	}
	stop()
	for mode := range modes() {
		if mode != fs.ModeSocket|0o600 {
			t.Errorf("the mode was %s for a moment", mode)
		}
	}
}

// watch reads the mode of a path in a loop until stop, and returns the modes that it
// had.
func watch(t *testing.T, path string) (modes func() map[fs.FileMode]bool, stop func()) {
	t.Helper()
	seen := make(map[fs.FileMode]bool)
	end, started := make(chan struct{}), make(chan struct{})
	var looking sync.WaitGroup
	looking.Go(func() {
		close(started)
		for {
			select {
			case <-end:
				return
			default:
			}
			if info, err := os.Lstat(path); err == nil {
				seen[info.Mode()] = true
			}
		}
	})
	<-started
	return func() map[fs.FileMode]bool { return seen }, func() {
		close(end)
		looking.Wait()
	}
}

func TestPermissionsAreThereBeforeTheFileIs(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	path := filepath.Join(t.TempDir(), "socket")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	testkit.Must(t, err)
	f := os.NewFile(uintptr(fd), "socket")
	defer func() { _ = f.Close() }()
	raw, err := f.SyscallConn()
	testkit.Must(t, err)
	testkit.Must(t, private("", "", raw))
	testkit.Must(t, unix.Bind(fd, &unix.SockaddrUnix{Name: path}))
	info, err := os.Lstat(path) // right after bind(2), before anything could change it
	testkit.Must(t, err)
	if got := info.Mode(); got != fs.ModeSocket|0o600 {
		t.Errorf("mode %s, want 0600", got)
	}
}

func TestASocketIsForThoseWhoMayConnect(t *testing.T) {
	group := otherGroup(t)
	wantGroup(t, t.TempDir(), &group, group)
}

// In a folder with the setgid bit, a new file belongs to the folder's group.
func TestASocketIsForTheGroupOfRootOnlyIfThatIsGiven(t *testing.T) {
	testkit.NeedRoot(t)
	const group = 4242
	folder := t.TempDir()
	testkit.Must(t, os.Chown(folder, -1, group))
	testkit.Must(t, os.Chmod(folder, fs.ModeSetgid|0o700))
	wantGroup(t, folder, nil, group)
	wantGroup(t, folder, new(int), 0)
}

// wantGroup listens in a folder, and checks who owns the socket.
func wantGroup(t *testing.T, folder string, given *int, want int) {
	t.Helper()
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	path := filepath.Join(folder, "socket")
	l, err := ListenFor(t.Context(), path, Access{Mode: 0o660, Group: given})
	testkit.Must(t, err)
	defer func() { testkit.Must(t, l.Close()) }()
	info, err := os.Lstat(path)
	testkit.Must(t, err)
	owner := info.Sys().(*syscall.Stat_t)
	if info.Mode() != fs.ModeSocket|0o660 || int(owner.Gid) != want || int(owner.Uid) != os.Geteuid() {
		t.Errorf("mode %s of %d:%d, want 0660 of group %d", info.Mode(), owner.Uid, owner.Gid, want)
	}
}

// otherGroup returns a group to which this process may give files: any for root, or else
// one of its own.
func otherGroup(t *testing.T) int {
	t.Helper()
	if os.Geteuid() == 0 {
		return 4242
	}
	groups, err := os.Getgroups()
	testkit.Must(t, err)
	for _, group := range groups {
		if group != os.Getegid() && group != 0 {
			return group
		}
	}
	t.Skip("the user is in one group only")
	return 0
}

func TestTheSocketOfADeadProcessIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	testkit.Must(t, err)
	dead.SetUnlinkOnClose(false)
	testkit.Must(t, dead.Close())
	testkit.Must(t, os.WriteFile(path+".lock", nil, 0o600)) // it had a lock too
	l, err := Listen(t.Context(), path)
	testkit.Must(t, err)
	testkit.Must(t, l.Close())
	for _, name := range []string{path, path + ".lock"} {
		if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left: %v", name, err)
		}
	}
}

func TestASocketThatIsAliveIsAnError(t *testing.T) {
	t.Run("of a gateway", func(t *testing.T) {
		c := control(t, 443)
		wantInUse(t, c.path)
		dial(t, c.path).want(t, "inc 192.0.2.7", "ok")
	})
	t.Run("of another program", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "socket")
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		testkit.Must(t, err)
		defer func() { testkit.Must(t, l.Close()) }()
		wantInUse(t, path)
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("the socket is gone: %v", err)
		}
	})
	t.Run("of another kind", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "socket")
		l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
		testkit.Must(t, err)
		defer func() { testkit.Must(t, l.Close()) }()
		wantInUse(t, path)
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("the socket is gone: %v", err)
		}
	})
}

func wantInUse(t *testing.T, path string) {
	t.Helper()
	l, err := Listen(t.Context(), path)
	if err == nil {
		_ = l.Close()
	}
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v, want one that says who is in the way of %s", err, path)
	}
}

func TestAFileThatIsNoSocketIsLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "precious")
	testkit.Must(t, os.WriteFile(path, []byte("data"), 0o600))
	if _, err := Listen(t.Context(), path); err == nil || !strings.Contains(err.Error(), "a file that is no socket") {
		t.Errorf("got %v", err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "data" {
		t.Errorf("the file holds %q now, %v", b, err)
	}
	if _, err := os.Lstat(path + ".lock"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the lock is left: %v", err)
	}
}

func TestAFolderThatIsNotThereIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "no", "socket")
	if _, err := Listen(t.Context(), path); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
}

func TestOfManyAtOnceOneListens(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	listeners := make(chan net.Listener, 16)
	var all sync.WaitGroup
	for range cap(listeners) {
		all.Go(func() {
			l, err := Listen(t.Context(), path)
			switch {
			case err == nil:
				listeners <- l
			case !errors.Is(err, ErrInUse):
				t.Error(err)
			}
		})
	}
	all.Wait()
	close(listeners)
	if len(listeners) != 1 {
		t.Errorf("%d listen, want 1", len(listeners))
	}
	for l := range listeners {
		testkit.Must(t, l.Close())
	}
}
