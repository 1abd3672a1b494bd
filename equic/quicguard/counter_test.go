package quicguard

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/quic-go/quic-go"

	"github.com/equic-bench/equic-bench/equic"
	"github.com/equic-bench/equic-bench/internal/testkit"
)

// scripted is a counter whose answers the test sets.
type scripted struct {
	*UserSpace
	inc func(admitted bool) (bool, error)
	dec error
}

func (s scripted) TryInc(port uint16, client netip.Addr) (bool, error) {
	admitted, _ := s.UserSpace.TryInc(port, client)
	return s.inc(admitted)
}

func (s scripted) Dec(port uint16, client netip.Addr) error {
	return errors.Join(s.dec, s.UserSpace.Dec(port, client))
}

func TestWhatHasNoPlaceInTheTableIsRefused(t *testing.T) {
	counter := scripted{UserSpace: NewUserSpace(0), inc: func(bool) (bool, error) { return false, equic.ErrFull }}
	told := make(chan error, 1)
	guarded := WrapWith(listen(t, false, nil), counter, Options{OnError: func(client netip.Addr, err error) {
		told <- err
		if client != localhost {
			t.Errorf("the error is told of %s", client)
		}
	}})
	greet(t, guarded)
	if _, err := dial(t, transport(t, localhost), guarded.Addr()); !isRefusal(err) {
		t.Errorf("error %v, want a refusal", err)
	}
	want := Stats{Refused: 1, Failed: 1}
	if got := guarded.Stats(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if err := <-told; !errors.Is(err, equic.ErrFull) {
		t.Errorf("OnError was told %v, want ErrFull", err)
	}
}

func TestACounterThatFailsTurnsNobodyAway(t *testing.T) {
	// Its Dec must not be called: it would return an error.
	counter := scripted{UserSpace: NewUserSpace(0), inc: func(bool) (bool, error) { return false, equic.ErrClosed }}
	guarded := Wrap(listen(t, false, nil), counter)
	conns := greet(t, guarded)
	for _, conn := range mustDial(t, 3, localhost, guarded.Addr()) {
		hangUp(conn)
		<-(<-conns).Context().Done()
	}
	guarded.Wait()
	want := Stats{Admitted: 3, Uncounted: 3, Failed: 3}
	if got := guarded.Stats(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestAReleaseThatFailsIsCountedUnlessTheGatewayIsClosed(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		want uint64
	}{
		{"the kernel fails", errors.New("broken"), 1},
		{"the gateway is closed", equic.ErrClosed, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			counter := scripted{UserSpace: NewUserSpace(1), inc: func(bool) (bool, error) { return true, nil }, dec: c.err}
			guarded := Wrap(listen(t, false, nil), counter)
			greet(t, guarded)
			hangUp(mustDial(t, 1, localhost, guarded.Addr())[0])
			guarded.Wait()
			if got := guarded.Stats(); got.Failed != c.want || got.Open != 0 {
				t.Errorf("%+v; want %d failed, none open", got, c.want)
			}
		})
	}
}

func TestThePortOfTheOptionsIsCountedUnder(t *testing.T) {
	counter := NewUserSpace(1)
	seen := make(chan netip.Addr, 1)
	guarded := WrapWith(listen(t, false, nil), counter, Options{
		Port:    443,
		OnAdmit: func(_ *quic.Conn, client netip.Addr) { seen <- client },
	})
	greet(t, guarded)
	mustDial(t, 1, localhost, guarded.Addr())
	if client := <-seen; client != localhost || counter.Count(443, client) != 1 {
		t.Errorf("%d connections of %s under port 443, want 1 of %s", counter.Count(443, client), client, localhost)
	}
}

func TestUserSpaceCounts(t *testing.T) {
	for _, c := range []struct {
		name  string
		first string
		port  uint16
		then  string
		same  bool
	}{
		{"an IPv4 address is one client", "192.0.2.1", 443, "192.0.2.1", true},
		{"and so is its form in IPv6", "192.0.2.1", 443, "::ffff:192.0.2.1", true},
		{"the next address is another", "192.0.2.1", 443, "192.0.2.2", false},
		{"another port is another", "192.0.2.1", 444, "192.0.2.1", false},
		{"an IPv6 /64 is one client", "2001:db8::1", 443, "2001:db8::ffff:0:0:2", true},
		{"and a zone is not part of it", "fe80::1", 443, "fe80::1%eth0", true},
		{"the next /64 is another", "2001:db8::1", 443, "2001:db8:0:1::1", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := NewUserSpace(1)
			if ok, err := u.TryInc(443, netip.MustParseAddr(c.first)); !ok || err != nil {
				t.Fatal(ok, err)
			}
			if ok, err := u.TryInc(c.port, netip.MustParseAddr(c.then)); ok == c.same || err != nil {
				t.Errorf("the second is admitted: %v, %v; want %v", ok, err, !c.same)
			}
			testkit.Must(t, u.Dec(443, netip.MustParseAddr(c.first)))
			if err := u.Dec(443, netip.MustParseAddr(c.first)); err == nil {
				t.Error("counted below zero")
			}
		})
	}
}

func TestUserSpaceTakesNoInvalidAddress(t *testing.T) {
	u := NewUserSpace(1)
	if ok, err := u.TryInc(443, netip.Addr{}); ok || err == nil {
		t.Errorf("TryInc: %v, %v", ok, err)
	}
	if err := u.Dec(443, netip.Addr{}); err == nil {
		t.Error("Dec gave no error")
	}
	if n := u.Count(443, netip.Addr{}); n != 0 {
		t.Errorf("count %d", n)
	}
}

func TestUserSpaceTellsWhoIsCounted(t *testing.T) {
	u := NewUserSpace(2)
	for range 3 {
		_, err := u.TryInc(443, netip.MustParseAddr("2001:db8::1"))
		testkit.Must(t, err)
	}
	want := equic.Client{Prefix: netip.MustParsePrefix("2001:db8::/64"), Port: 443, Connections: 2}
	n := 0
	for got := range u.Clients() {
		n++
		if got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	if n != 1 {
		t.Errorf("%d clients, want 1", n)
	}
}
