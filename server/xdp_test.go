package server

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netns"

	"github.com/equic-bench/equic-bench/equic"
	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/internal/testkit/netkit"
	"github.com/equic-bench/equic-bench/record"
)

// startXDP runs a server at one end of a veth pair. The test is then at the other end.
func startXDP(t *testing.T, variant record.Variant, quota int) *running {
	t.Helper()
	return startOnVeth(t, Options{Variant: variant, Quota: quota})
}

func startOnVeth(t *testing.T, o Options) *running {
	t.Helper()
	p := netkit.NewPair(t)
	netkit.Enter(t, p.Client)
	o.Listen, o.Interface, o.XDPMode = netkit.ServerAddress+":4433", netkit.ServerInterface, equic.Native
	return startWith(t, o, func() {
		runtime.LockOSThread() // not unlocked: the thread ends in that namespace
		if err := netns.Set(p.Server); err != nil {
			t.Error(err)
		}
	})
}

// The variants differ in whether a blocked client can still use the connections that it
// has. The other places are tested in whole trials (cmd/equic-bench).
func TestAClientAtItsQuotaIsBlocked(t *testing.T) {
	for _, c := range []struct {
		variant record.Variant
		lives   bool
	}{
		{record.XDPBlock, false},
		{record.XDPBlockNew, true},
		{record.NftablesBlock, false},
		{record.AppDropBlock, false},
		{record.AppDropBlockNew, true},
	} {
		t.Run(string(c.variant), func(t *testing.T) {
			const quota = 2
			r := startXDP(t, c.variant, quota)
			r.hold(1)
			conn, err := r.dial() // with it, the client is at its quota
			testkit.Must(t, err)
			last := newHTTP(conn)
			if c.lives { // once it is served, it is counted, before any later attempt
				_, _, err := r.getAgain(last, "/1")
				testkit.Must(t, err)
			}
			r.untilDropped()

			served := make(chan error, 1)
			go func() {
				_, _, err := r.getAgain(last, "/1000")
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

// untilDropped dials until there is no answer. The server counts a connection a moment
// after its client has it, so a first attempt may still get through and be refused.
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
