// Package testkit contains the helpers that the tests of several packages share. It
// imports only the standard library. The package netkit makes networks.
package testkit

import (
	"net"
	"os/exec"
	"testing"
	"time"
)

// Must fails the test at once if err is not nil.
func Must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// Await polls a condition until it is true, for at most 20 s.
func Await(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	AwaitFor(tb, 20*time.Second, what, holds)
}

// AwaitFor polls a condition until it is true, at first every millisecond.
func AwaitFor(tb testing.TB, limit time.Duration, what string, holds func() bool) {
	tb.Helper()
	over := time.After(limit)
	for pause := time.Millisecond; !holds(); pause = min(2*pause, 16*time.Millisecond) {
		select {
		case <-over:
			tb.Fatalf("waited %s in vain for %s", limit, what)
		case <-time.After(pause):
		}
	}
}

// Build builds programs, named relative to the test's package, and returns
// their folder.
func Build(tb testing.TB, packages ...string) string {
	tb.Helper()
	bin := tb.TempDir()
	args := append([]string{"build", "-o", bin + "/"}, packages...)
	if out, err := exec.CommandContext(tb.Context(), "go", args...).CombinedOutput(); err != nil {
		tb.Fatalf("build %v: %v\n%s", packages, err, out)
	}
	return bin
}

// FreeAddress returns a UDP address on loopback that was free a moment ago.
func FreeAddress(tb testing.TB) string {
	tb.Helper()
	socket, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	Must(tb, err)
	defer socket.Close()
	return socket.LocalAddr().String()
}
