package bench

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/equic-bench/equic-bench/equic"
)

// count adds and removes connections of clients, beyond the quota and beyond the room
// in the map. At the end no client has any.
func (s *soak) count(ctx context.Context, t *testing.T) {
	t.Helper()
	held := make([]netip.Addr, 0, soakClients)
	release := func(i int) {
		if err := s.gateway.Dec(serverPort, held[i]); err != nil {
			t.Error(err)
		}
		held[i] = held[len(held)-1]
		held = held[:len(held)-1]
		s.pairs.Add(1)
	}
	for ctx.Err() == nil {
		if len(held) == cap(held) || len(held) > 0 && rand.IntN(3) == 0 {
			release(rand.IntN(len(held)))
			continue
		}
		client := soakClient(rand.IntN(soakClients))
		switch err := s.gateway.Inc(serverPort, client); {
		case err == nil:
			held = append(held, client)
		case !errors.Is(err, equic.ErrFull):
			t.Error(err)
		}
	}
	for len(held) > 0 {
		release(len(held) - 1)
	}
}

// shake makes handshakes that begin, continue, complete, stall and fail.
func (s *soak) shake(ctx context.Context, t *testing.T) {
	t.Helper()
	var begun []equic.Handshake
	defer func() {
		for _, h := range begun {
			h.Close()
		}
	}()
	for ctx.Err() == nil {
		client := soakClient(rand.IntN(soakClients))
		if rand.IntN(2) == 0 && !s.gateway.MustValidate(serverPort, client) {
			h, err := s.gateway.Begin(serverPort, netip.AddrPortFrom(client, uint16(rand.IntN(1<<16))), rand.IntN(2) == 0)
			switch {
			case err == nil:
				begun = append(begun, h)
			case !errors.Is(err, equic.ErrFull) && !errors.Is(err, equic.ErrOverQuota):
				t.Error(err)
			}
		}
		if len(begun) == 0 {
			continue
		}
		switch i := rand.IntN(len(begun)); rand.IntN(3) {
		case 0:
			begun[i].Hello()
		case 1:
			if _, err := begun[i].Complete(); err != nil {
				t.Error(err)
			}
		default:
			begun[i].Close()
			begun = append(begun[:i], begun[i+1:]...)
			s.shaken.Add(1)
		}
	}
}

// change sets another quota and another rate, a thousand times a second.
func (s *soak) change(ctx context.Context, t *testing.T) {
	t.Helper()
	s.each(ctx, time.Millisecond, func() {
		if err := s.gateway.SetQuota(serverPort, 1+rand.IntN(2*soakQuota)); err != nil {
			t.Error(err)
		}
		if err := s.gateway.SetRate(serverPort, float64(rand.IntN(200)), 0); err != nil {
			t.Error(err)
		}
	})
}

// list adds clients to the lists and removes them. At the end the lists are empty.
func (s *soak) list(ctx context.Context, t *testing.T) {
	t.Helper()
	for _, l := range []*equic.List{s.gateway.Allowed(), s.gateway.Denied()} {
		defer func() {
			for _, p := range l.Prefixes() {
				noteError(t, l.Remove(p))
			}
		}()
	}
	s.each(ctx, time.Millisecond, func() {
		for _, l := range []*equic.List{s.gateway.Allowed(), s.gateway.Denied()} {
			client := soakClient(rand.IntN(soakClients))
			noteError(t, l.Add(netip.PrefixFrom(client, client.BitLen()-rand.IntN(16))))
			if listed := l.Prefixes(); len(listed) > 8 {
				noteError(t, l.Remove(listed[rand.IntN(len(listed))]))
			}
		}
	})
}

// read reads everything that can be read.
func (s *soak) read(ctx context.Context, t *testing.T) {
	t.Helper()
	metrics := equic.MetricsHandler(s.gateway.Gateway)
	s.each(ctx, 10*time.Millisecond, func() {
		for c := range s.gateway.Clients() {
			if c.Connections < 1 {
				t.Errorf("client %s has %d connections", c.Prefix, c.Connections)
			}
		}
		answer := httptest.NewRecorder()
		metrics.ServeHTTP(answer, httptest.NewRequestWithContext(ctx, http.MethodGet, "/metrics", http.NoBody))
		if answer.Code != http.StatusOK {
			t.Errorf("metrics: %s", answer.Body)
		}
	})
}

// drain receives the events.
func (s *soak) drain(ctx context.Context, _ *testing.T) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.events:
			s.seen.Add(1)
		}
	}
}

// each calls a function at an interval, and counts the calls as changes.
func (s *soak) each(ctx context.Context, interval time.Duration, do func()) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			do()
			s.changes.Add(1)
		}
	}
}

// soakClient returns a client by its number: one half has IPv4, one IPv6.
func soakClient(i int) netip.Addr {
	if i%2 == 0 {
		return netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)}) // RFC 2544: for benchmarks
	}
	return netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 0, 0, byte(i >> 8), byte(i), 15: 1}) // RFC 3849
}
