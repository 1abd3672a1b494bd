package wire

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/equic-bench/equic-bench/internal/testkit"
)

// capture returns a function that reads the marked frames of a size that arrive in the
// test's namespace, one after the other.
func capture(t *testing.T, bytes int) (next func() []byte) {
	t.Helper()
	const all = unix.ETH_P_ALL<<8 | unix.ETH_P_ALL>>8 // in network order
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, all&0xffff)
	testkit.Must(t, err)
	t.Cleanup(func() { testkit.Must(t, unix.Close(fd)) })
	testkit.Must(t, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}))
	return func() []byte {
		t.Helper()
		for {
			b := make([]byte, 2048)
			size, _, err := unix.Recvfrom(fd, b, 0)
			testkit.Must(t, err)
			marked := b[15] == Mark
			if b[12] == 0x86 { // IPv6
				marked = b[14]<<4|b[15]>>4 == Mark
			}
			if size == bytes && marked {
				return b[:size]
			}
		}
	}
}
