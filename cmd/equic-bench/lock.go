package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// errBusy means that another run is measuring on this machine.
var errBusy = errors.New("another run is measuring on this machine")

// lockName is an abstract socket. It belongs to the machine (strictly, to its network
// namespace), leaves no file, and disappears with its process.
const lockName = "@equic-bench"

// lockMachine keeps other runs from measuring beside this one, until release.
func lockMachine(ctx context.Context) (release func() error, err error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "unix", lockName)
	if err == nil {
		return l.Close, nil
	}
	if !errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("lock the machine: %w", err)
	}
	if pid := lockHolder(ctx); pid > 0 {
		return nil, fmt.Errorf("%w (process %d): both results would be wrong; wait until it ends", errBusy, pid)
	}
	return nil, fmt.Errorf("%w: both results would be wrong; wait until it ends", errBusy)
}

// lockHolder returns the process that has the lock; zero if it is not known.
func lockHolder(ctx context.Context) int {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", lockName)
	if err != nil {
		return 0
	}
	defer c.Close()
	raw, err := c.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0
	}
	pid := 0
	_ = raw.Control(func(fd uintptr) { // pid stays zero
		if peer, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = int(peer.Pid)
		}
	})
	return pid
}
