package equic

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"time"
)

// ErrOverQuota means that a client has as many connections and handshakes in progress
// as its quota allows.
var ErrOverQuota = errors.New("client is over quota")

// Defaults of HalfOpenLimits.
const (
	// DefaultHalfOpenPerCPU is enough for 480 new connections per second at a round-trip
	// time of 50 ms. A CPU signs about as many with an RSA key of 2048 bits.
	DefaultHalfOpenPerCPU = 24
	// DefaultHalfOpenPerClient is more handshakes than the clients behind one address usually
	// have in progress at once.
	DefaultHalfOpenPerClient = 24
)

// DefaultHalfOpen returns DefaultHalfOpenPerCPU for each CPU that the process uses, but at
// least for two.
func DefaultHalfOpen() int { return DefaultHalfOpenPerCPU * max(2, runtime.GOMAXPROCS(0)) }

// HalfOpenLimits limit the handshakes in progress from addresses that are not
// validated. An attempt above a limit is not dropped: the server answers with a Retry,
// and does nothing more for it until the client returns with the token.
type HalfOpenLimits struct {
	// Total is the limit for all clients together. Zero is DefaultHalfOpen().
	Total int
	// PerClient is the limit for each client. Zero is DefaultHalfOpenPerClient. The
	// client's quota is a further limit on its handshakes and connections together.
	PerClient int
}

func (l HalfOpenLimits) complete() HalfOpenLimits {
	if l.Total == 0 {
		l.Total = DefaultHalfOpen()
	}
	if l.PerClient == 0 {
		l.PerClient = DefaultHalfOpenPerClient
	}
	return l
}

func (l HalfOpenLimits) validate() error {
	if l.Total < 1 || l.PerClient < 1 {
		return fmt.Errorf("half-open limits are %d in total and %d per client: give 1 or more", l.Total, l.PerClient)
	}
	return nil
}

// HalfOpen is the number of handshakes in progress.
type HalfOpen struct {
	Validated   int // from addresses that are validated
	Unvalidated int // from addresses that may be spoofed
}

// Handshake is an attempt to open a connection, from the first packet of it that the
// server reads. Its methods may be called from any goroutine.
//
// A handshake from a validated address counts towards its client's quota at once. So if
// a client starts many at the same time, the server works on no more than the quota. A
// handshake from an address that may be spoofed does not count, or an attacker could
// fill the quota of another client. If there are too many of these, the server answers
// with a Retry. Clients that were at their quota in the last 10 to 20 seconds are an
// exception: they have completed handshakes, so their address is not spoofed, and all
// their handshakes count.
type Handshake interface {
	// Hello reports that the whole ClientHello has arrived. From now on the kernel may
	// drop the client's packets that open connections, because this handshake needs no
	// more of them.
	Hello()
	// Complete reports that the handshake is complete. If the client is below its
	// quota, the connection is counted until Close. Otherwise the handshake is over,
	// and the server must refuse the connection. After an error, nothing is counted,
	// and the server may admit the connection or refuse it. Call it once.
	Complete() (admitted bool, err error)
	// Close reports that the connection has ended, or that its handshake has failed. A
	// failed handshake continues to count for Options.HoldDown. After a call of Close
	// or Cancel, further calls of either do nothing.
	Close()
	// Cancel removes a handshake that cost the server nothing from the count at once.
	// After Complete it is the same as Close.
	Cancel()
}

// handshake is a Handshake in a table.
type handshake struct {
	table     *table
	stripe    *stripe
	hash      uint64 // of its client, which may be moved to another slot
	validated bool
	allowed   bool // the client is on the list Allowed
	counted   bool // in the kernel
	stage     stage
}

type stage uint8

const (
	stageHandshake stage = iota
	stageOpen
	stageOver
)

// mustValidate reports whether the server must send a Retry in answer to an attempt from
// an address that is not validated. allowed reports whether the address is on the list Allowed.
func (t *table) mustValidate(port uint16, addr netip.Addr, allowed bool) bool {
	may := !t.monitoring.Load()
	if may && t.unvalidated.Load() >= int64(t.halfOpen.Total) {
		return true
	}
	var p place
	err := t.lock(&p, port, addr)
	if err != nil {
		return false
	}
	defer p.mu.Unlock()
	e := t.entryAt(&p)
	if !allowed && e.admitted()+e.unvalidated >= t.quota(p.limit, &p.key) {
		e.turnedAway = true
		return may
	}
	// The handshake that fills the quota counts at once, so packets that repeat its first one may be dropped. It
	// must not need them: a server may send a validated address as much as it has to.
	fills := !allowed && e.proven != forgotten && e.admitted()+e.unvalidated+1 >= t.quota(p.limit, &p.key)
	return may && (fills || int(e.unvalidated) >= t.halfOpen.PerClient)
}

// begin counts a handshake in progress.
func (t *table) begin(port uint16, from netip.AddrPort, validated, allowed bool) (*handshake, error) {
	addr := from.Addr()
	var p place
	err := t.lock(&p, port, addr)
	if err != nil {
		return nil, fmt.Errorf("begin a handshake of %s: %w", addr, err)
	}
	defer p.mu.Unlock()
	if e := t.entryAt(&p); !allowed && t.isOver(e, validated) {
		e.turnedAway = true
		if !t.monitoring.Load() {
			return nil, fmt.Errorf("begin a handshake of %s: %w", addr, ErrOverQuota)
		}
	}
	if err := t.add(&p); err != nil {
		return nil, fmt.Errorf("begin a handshake of %s: %w", addr, err)
	}
	h := &handshake{table: t, stripe: p.stripe, hash: p.hash, validated: validated, allowed: allowed}
	h.change(1)
	t.entries[p.index].ports |= portBit(from.Port())
	t.publish(p.index)
	return h, nil
}

// isOver reports whether a client may begin no further handshake.
func (t *table) isOver(e *entry, validated bool) bool {
	quota := t.quota(e.limit, &e.key)
	if e.proven != forgotten {
		return e.admitted()+e.unvalidated >= quota
	}
	return validated && e.admitted() >= quota
}

// index returns the slot of its client. The client has one while the handshake is in progress.
// Callers hold the lock of the stripe.
func (h *handshake) index() int { return h.table.find(h.hash) }

// change adds by to the number of handshakes in progress. Callers hold the lock of the
// stripe.
func (h *handshake) change(by int) {
	e := &h.table.entries[h.index()]
	if h.validated {
		e.validated += uint32(by) // by is 1 or -1; -1 wraps around
		h.table.validated.Add(int64(by))
	} else {
		e.unvalidated += uint32(by)
		h.table.unvalidated.Add(int64(by))
	}
	if h.counted && by < 0 {
		e.counted--
		h.counted = false
	}
}

func (h *handshake) Hello() {
	h.stripe.mu.Lock()
	defer h.stripe.mu.Unlock()
	if h.stage != stageHandshake || h.counted || h.stripe.closed {
		return
	}
	index := h.index()
	e := &h.table.entries[index]
	if h.table.limits[e.limit].admission && (h.validated || e.proven != forgotten) {
		h.counted = true
		e.counted++
		h.table.publish(index)
	}
}

func (h *handshake) Complete() (admitted bool, err error) {
	h.stripe.mu.Lock()
	defer h.stripe.mu.Unlock()
	if h.stage != stageHandshake {
		return h.stage == stageOpen, nil
	}
	if h.stripe.closed {
		return false, ErrClosed
	}
	h.change(-1)
	index := h.index()
	e := &h.table.entries[index]
	h.stage = stageOver
	over := !h.allowed && e.connections() >= h.table.quota(e.limit, &e.key)
	e.turnedAway = e.turnedAway || over
	if admitted = !over || h.table.monitoring.Load(); admitted {
		e.open++
		h.stage = stageOpen
	}
	h.table.publish(index)
	return admitted, nil
}

func (h *handshake) Close() { h.end(h.fail) }

func (h *handshake) Cancel() {
	h.end(func() {
		h.change(-1)
		h.table.publish(h.index())
	})
}

// end ends the connection, or the handshake if it is still in progress.
func (h *handshake) end(inProgress func()) {
	h.stripe.mu.Lock()
	defer h.stripe.mu.Unlock()
	if h.stripe.closed {
		return
	}
	switch h.stage {
	case stageHandshake:
		inProgress()
	case stageOpen:
		if i := h.index(); i >= 0 && h.table.entries[i].open > 0 { // else a Dec has removed it already
			h.table.end(h.stripe, i)
		}
	}
	h.stage = stageOver
}

// fail ends a handshake that has failed. The server has already spent work on it, so it
// continues to count for a while, in the same way as before. Otherwise a client that
// breaks off its handshakes could begin more of them than one that leaves them open.
// Callers hold the lock of the stripe.
func (h *handshake) fail() {
	t := h.table
	switch {
	case t.holdDown <= 0:
		h.change(-1)
	case h.validated || h.counted:
		h.change(-1)
		t.hold(h.stripe, h.index())
	default:
		now := time.Now()
		h.stripe.failed = append(h.stripe.failed, waiting{h.hash, now.Add(t.holdDown)})
		t.schedule(h.stripe, now)
	}
	t.publish(h.index())
}

// unbegun is a handshake that is not in a table. In monitor mode no attempt is answered with a
// Retry, so too many handshakes would fill the table. Its connection is counted once it is complete.
type unbegun struct {
	counts
	port    uint16
	addr    netip.Addr
	allowed bool

	mu    sync.Mutex
	stage stage
}

func (h *unbegun) Hello() {}

func (h *unbegun) Complete() (admitted bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stage != stageHandshake {
		return h.stage == stageOpen, nil
	}
	if h.allowed {
		err = h.inc(h.port, h.addr)
		admitted = err == nil
	} else {
		admitted, err = h.tryInc(h.port, h.addr)
	}
	h.stage = stageOver
	if admitted {
		h.stage = stageOpen
	}
	return admitted, err
}

func (h *unbegun) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stage == stageOpen {
		_ = h.dec(h.port, h.addr) // it is counted, unless Dec has released it already
	}
	h.stage = stageOver
}

func (h *unbegun) Cancel() { h.Close() }

// isFlooded reports whether the server would have to answer attempts from addresses that are
// not validated with a Retry, but does not, because of monitor mode.
func (t *table) isFlooded() bool {
	return t.monitoring.Load() && t.unvalidated.Load() >= int64(t.halfOpen.Total)
}

// halfOpenNow returns the number of handshakes in progress.
func (t *table) halfOpenNow() HalfOpen {
	return HalfOpen{Validated: int(t.validated.Load()), Unvalidated: int(t.unvalidated.Load())}
}
