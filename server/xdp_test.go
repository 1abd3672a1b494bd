package server

import (
	"context"
	"errors"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/equic-bench/equic-bench/equic"
	"github.com/equic-bench/equic-bench/record"
)

// needRoot skips a test that loads programs into the kernel. Where CI=true it
// fails instead: there, such a skip would hide an untested program.
func needRoot(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("short: needs root")
	}
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("needs root, and CI=true forbids to skip")
	}
	t.Skip("needs root")
}

// startXDP runs a server at one end of a veth pair and leaves the test at the
// other. The namespaces go with the threads, which are never unlocked.
func startXDP(t *testing.T, variant record.Variant, quota int) *running {
	t.Helper()
	needRoot(t)
	runtime.LockOSThread()
	serverNS, clientNS := newNamespace(t), newNamespace(t)
	must(t, netlink.LinkAdd(&netlink.Veth{
		LinkAttrs:     netlink.LinkAttrs{Name: "eth0"},
		PeerName:      "eth0",
		PeerNamespace: netlink.NsFd(serverNS),
	}))
	setUp(t, "192.0.2.2/24")
	must(t, netns.Set(serverNS))
	setUp(t, "192.0.2.1/24")
	must(t, netns.Set(clientNS))
	o := Options{Listen: "192.0.2.1:4433", Variant: variant, Quota: quota, Interface: "eth0", XDPMode: equic.Native}
	return startWith(t, o, func() {
		runtime.LockOSThread()
		if err := netns.Set(serverNS); err != nil {
			t.Error(err)
		}
	})
}

func newNamespace(t *testing.T) netns.NsHandle {
	t.Helper()
	ns, err := netns.New()
	must(t, err)
	t.Cleanup(func() { must(t, ns.Close()) })
	return ns
}

func setUp(t *testing.T, address string) {
	t.Helper()
	link, err := netlink.LinkByName("eth0")
	must(t, err)
	addr, err := netlink.ParseAddr(address)
	must(t, err)
	must(t, netlink.AddrAdd(link, addr))
	must(t, netlink.LinkSetUp(link))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// What tells the variants apart is whether a blocked client can still use the
// connections that it has.
func TestTheKernelBlocksAClientAtItsQuota(t *testing.T) {
	for _, c := range []struct {
		variant record.Variant
		lives   bool
	}{{record.XDPBlock, false}, {record.XDPBlockNew, true}} {
		t.Run(string(c.variant), func(t *testing.T) {
			const quota = 2
			r := startXDP(t, c.variant, quota)
			r.hold(1)
			last, err := r.dial() // at its end the client is at its quota
			must(t, err)
			r.untilDropped()

			served := make(chan error, 1)
			go func() {
				_, _, err := r.get(last, "/1000")
				served <- err
			}()
			if c.lives {
				if err := <-served; err != nil {
					t.Errorf("an established connection of a blocked client: %v", err)
				}
			} else {
				r.untilDropped()
				select {
				case err := <-served:
					t.Errorf("an established connection of a blocked client was served: %v", err)
				default:
				}
			}

			got := r.stop()
			if !c.lives {
				if err := <-served; err == nil {
					t.Error("a blocked client's request was served")
				}
			}
			if got.gateway == nil || got.gateway.Dropped == 0 || got.gateway.UpdateErrors != 0 {
				t.Errorf("gateway %+v; want packets dropped, no update errors", got.gateway)
			}
			if got.server.Variant != string(c.variant) || got.server.PeakPerClient != quota || got.server.StillCounted != 0 {
				t.Errorf("server %+v; want variant %s, peak %d, none still counted", got.server, c.variant, quota)
			}
		})
	}
}

// untilDropped dials until there is no answer. The server counts a connection a
// moment after its client has it, so a first attempt may get through, and be
// refused.
func (r *running) untilDropped() {
	r.t.Helper()
	for range 10 {
		ctx, cancel := context.WithTimeout(r.t.Context(), 300*time.Millisecond)
		_, err := r.dialWith(ctx)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			return
		}
	}
	r.t.Error("a client over quota is answered")
}
