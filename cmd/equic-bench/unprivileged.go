package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/equic-bench/equic-bench/host"
	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/scenarios"
)

// A user without root and without an engine can still measure what needs no program in the
// kernel: in a user namespace, whose root may make network namespaces (user_namespaces(7)).

// needsKernel reports whether a variant needs rights that the root of a user namespace lacks.
func needsKernel(v record.Variant) bool { return attaches(v) || v.InFront() }

// enterUserNamespace replaces this process by the same command as root of a user namespace, if
// cause is a lack of rights. It returns only if it cannot, with the cause.
func enterUserNamespace(ctx context.Context, s *scenarios.Scenario, cause error) error {
	if !lacksRights(cause) || os.Geteuid() == 0 || !slices.ContainsFunc(s.Variants,
		func(v record.Variant) bool { return !needsKernel(v) }) {
		return cause
	}
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		return cause
	}
	namespaces := []string{"unshare", "--map-root-user", "--net", "--mount"}
	if err := exec.CommandContext(ctx, unshare, append(namespaces[1:], "true")...).Run(); err != nil {
		return fmt.Errorf("%w; and this kernel does not let unprivileged users make namespaces", cause)
	}
	self, err := os.Executable()
	if err != nil {
		return errors.Join(cause, err)
	}
	lock, err := inheritableLock(ctx)
	if err != nil {
		return err
	}
	env := append(os.Environ(), fmt.Sprintf("%s=%d", envLock, lock.Fd()))
	err = unix.Exec(unshare, slices.Concat(namespaces, []string{self}, os.Args[1:]), env)
	return errors.Join(cause, err, lock.Close())
}

// envLock is the environment variable with the descriptor of the machine's lock. The command in the
// user namespace inherits the lock: one that it took itself would be valid only in its own network namespace.
const envLock = "EQUIC_BENCH_LOCK"

// inheritableLock takes the lock of the machine, for this process and what it becomes.
func inheritableLock(ctx context.Context) (*os.File, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "unix", lockName)
	if err != nil {
		release, busy := lockMachine(ctx)
		if busy != nil { // with the reason
			return nil, busy
		}
		return nil, errors.Join(fmt.Errorf("lock the machine: %w", err), release()) // it was freed in between
	}
	lock, err := l.(*net.UnixListener).File() // a copy, which outlives l
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock the machine: %w", err), l.Close())
	}
	_, err = unix.FcntlInt(lock.Fd(), unix.F_SETFD, 0) // not closed by exec
	return lock, err
}

// withoutPrograms leaves out what does not run in a user namespace, and returns in words what that
// is, and what would run it.
func withoutPrograms(s *scenarios.Scenario) (words []string, err error) {
	var left, out []record.Variant
	for _, v := range s.Variants {
		if needsKernel(v) {
			out = append(out, v)
		} else {
			left = append(left, v)
		}
	}
	if len(left) == 0 {
		return nil, fmt.Errorf("%w: each variant of %s needs a program in the kernel, and so root or a Docker engine",
			errMachine, s.Name)
	}
	s.Variants = left
	words = append(words, "not root, and not on an engine: running in a user namespace")
	if len(out) > 0 {
		words = append(words, "left out, as they need programs in the kernel: "+joinVariants(out))
	}
	return append(words, "missing: the count of system calls, and the server's memory limit",
		"with sudo, or with an engine, all of it runs"), nil
}

func joinVariants(all []record.Variant) string {
	names := make([]string, len(all))
	for i, v := range all {
		names[i] = string(v)
	}
	return strings.Join(names, ", ")
}

// unprivileged reports whether enterUserNamespace has started this program. It then keeps the lock
// from the nodes that the program starts.
func unprivileged() bool {
	lock, err := strconv.Atoi(os.Getenv(envLock))
	if err != nil || !host.Local().UserNamespace() {
		return false
	}
	unix.CloseOnExec(lock)
	return true
}
