//go:build linux && !mips && !mips64 && !ppc64 && !s390x

package equic

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// owner keeps signalling to the program that this process maintains the counts.
type owner struct {
	once sync.Once
	stop chan struct{}
	done chan struct{}
}

// How long the program assumes after a signal that its process lives, and the time between
// two signals.
const (
	ownedFor   = 10 * time.Second
	ownedRenew = time.Second
)

// startOwner signals to the program, and to a successor, that the gateway is owned. The owner
// that it returns repeats the signal until it is closed. A nil owner does nothing.
func startOwner(objs *objects, p *pin) (*owner, error) {
	if err := p.renew(objs); err != nil {
		return nil, err
	}
	w := &owner{stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(w.done)
		tick := time.NewTicker(ownedRenew)
		defer tick.Stop()
		for {
			select {
			case <-w.stop:
				return
			case <-tick.C:
				_ = p.renew(objs) // it writes to memory, and succeeded before
			}
		}
	}()
	return w, nil
}

// renew notes that the gateway is owned for a while.
func (p *pin) renew(objs *objects) error {
	now, err := monotonic()
	if err != nil {
		return err
	}
	until := now + uint64(ownedFor)
	value := make([]byte, stateBytes)
	binary.NativeEndian.PutUint64(value, until)
	return errors.Join(objs.OwnedUntilNs.Set(until), p.state.Put(uint32(stateOwned), value))
}

// monotonic returns the time of CLOCK_MONOTONIC in nanoseconds, as programs read it.
func monotonic() (uint64, error) {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return 0, fmt.Errorf("read the monotonic clock: %w", err)
	}
	return uint64(now.Nano()), nil
}

func (w *owner) close() {
	if w == nil {
		return
	}
	w.once.Do(func() { close(w.stop) })
	<-w.done
}
