package equic

import (
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/equic-bench/equic-bench/internal/testkit"
)

func (t *portTable) begin(tb testing.TB, addr netip.Addr, validated bool) *handshake {
	tb.Helper()
	h, err := t.table.begin(serverPort, netip.AddrPortFrom(addr, 40000), validated, false)
	testkit.Must(tb, err)
	return h
}

func (t *portTable) isOver(addr netip.Addr, validated bool) bool {
	h, err := t.table.begin(serverPort, netip.AddrPortFrom(addr, 40000), validated, false)
	if err == nil {
		h.Close()
	}
	return errors.Is(err, ErrOverQuota)
}

func (t *portTable) mustValidate(addr netip.Addr) bool {
	return t.table.mustValidate(serverPort, addr, false)
}

func TestHandshakesOfAValidatedAddressCountBeforeTheyAreComplete(t *testing.T) {
	table := newAdmission(2, 8)
	first, second := table.begin(t, alice, true), table.begin(t, alice, true)
	if !table.isOver(alice, true) || table.isOver(bob, true) {
		t.Error("want the third of alice refused, and the first of bob begun")
	}
	if diff := cmp.Diff(map[string]uint32{alice.String(): 0}, table.kernelCounts(alice)); diff != "" {
		t.Errorf("before the ClientHello is whole (-want +got):\n%s", diff)
	}
	for _, h := range []*handshake{first, second, second} {
		h.Hello()
	}
	if diff := cmp.Diff(map[string]uint32{alice.String(): 2}, table.kernelCounts(alice)); diff != "" {
		t.Errorf("in the kernel (-want +got):\n%s", diff)
	}
	if !completes(t, first) || !completes(t, second) || table.count(alice) != 2 {
		t.Errorf("%d connections, want 2", table.count(alice))
	}
	first.Close()
	first.Close()
	if got := table.count(alice); got != 1 {
		t.Errorf("%d connections after one has ended, want 1", got)
	}
}

// An attacker who spoofs addresses can begin handshakes in the name of any client.
func TestHandshakesOfAnAddressThatIsNotValidatedTurnNobodyAway(t *testing.T) {
	table := newAdmission(2, 8)
	for range 2 {
		table.begin(t, alice, false).Hello()
	}
	if !table.mustValidate(alice) || table.mustValidate(bob) {
		t.Error("want a Retry for alice, and none for bob")
	}
	if diff := cmp.Diff(map[string]uint32{alice.String(): 0}, table.kernelCounts(alice)); diff != "" {
		t.Errorf("in the kernel (-want +got):\n%s", diff)
	}
	h := table.begin(t, alice, true)
	h.Hello()
	if !completes(t, h) {
		t.Error("alice, with a validated address, was locked out")
	}
}

func TestTooManyHandshakesInTotalAskForValidation(t *testing.T) {
	table := newAdmission(9, 100)
	table.halfOpen, table.holdDown = HalfOpenLimits{Total: 3, PerClient: 2}, 0
	var begun []*handshake
	for i, addr := range []netip.Addr{alice, alice, bob} {
		if i == 2 && !table.mustValidate(alice) {
			t.Error("the third of one client needs no validation")
		}
		if table.mustValidate(addr) {
			t.Errorf("handshake %d must be validated", i)
		}
		begun = append(begun, table.begin(t, addr, false))
	}
	if !table.mustValidate(carol) {
		t.Error("the fourth of all needs no validation")
	}
	if got, want := table.halfOpenNow(), (HalfOpen{Unvalidated: 3}); got != want {
		t.Errorf("half open %+v, want %+v", got, want)
	}
	for _, h := range begun {
		h.Close()
	}
	if table.mustValidate(alice) || table.used() != 0 {
		t.Errorf("after their end, alice must be validated, or %d clients are left", table.used())
	}
}

// A client that was at its quota has completed handshakes, so its address is not
// spoofed.
func TestAClientThatWasAtItsQuotaIsCountedBeforeItsAddressIsValidated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := newAdmission(2, 8)
		defer table.close()
		testkit.Must(t, errors.Join(table.inc(alice), table.inc(alice), table.dec(alice)))
		if !table.mustValidate(alice) {
			t.Error("no Retry, so if an answer is lost, the kernel drops what would repeat the question")
		}
		h := table.begin(t, alice, false)
		h.Hello()
		if diff := cmp.Diff(map[string]uint32{alice.String(): 2}, table.kernelCounts(alice)); diff != "" {
			t.Errorf("in the kernel (-want +got):\n%s", diff)
		}
		if !table.isOver(alice, false) {
			t.Error("one more was begun")
		}
		h.Close()
		time.Sleep(3 * provenFor)
		if table.mustValidate(alice) {
			t.Error("a Retry for a client that has not been at its quota for a while")
		}
		h = table.begin(t, alice, false)
		h.Hello()
		if diff := cmp.Diff(map[string]uint32{alice.String(): 1}, table.kernelCounts(alice)); diff != "" {
			t.Errorf("later (-want +got):\n%s", diff)
		}
	})
}

// A handshake that completes after the quota is used up by others is refused.
func TestTheBackstopHoldsTheQuotaAtCompletion(t *testing.T) {
	table := newAdmission(2, 8)
	var all []*handshake
	for i := range 4 {
		all = append(all, table.begin(t, alice, i%2 == 0))
	}
	admitted := 0
	for _, h := range all {
		if completes(t, h) {
			admitted++
		}
	}
	if admitted != 2 || table.count(alice) != 2 {
		t.Errorf("%d admitted and %d counted, want 2", admitted, table.count(alice))
	}
	for _, h := range all {
		h.Close()
	}
}

// When a client breaks off a handshake, the server has already done all of the work.
func TestAHandshakeThatFailsCountsForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := newAdmission(1, 8)
		defer table.close()
		table.begin(t, alice, false).Close()
		table.begin(t, bob, true).Close()
		if !table.mustValidate(alice) || !table.isOver(bob, true) {
			t.Error("another handshake may begin at once")
		}
		if got, want := table.halfOpenNow(), (HalfOpen{Unvalidated: 1}); got != want {
			t.Errorf("half open %+v, want %+v", got, want)
		}
		time.Sleep(DefaultHoldDown + time.Millisecond)
		if table.mustValidate(alice) || table.used() != 0 {
			t.Errorf("%d clients are left a second later", table.used())
		}
	})
}

func TestAHandshakeThatIsCancelledCountsForNothing(t *testing.T) {
	table := newAdmission(1, 8)
	defer table.close()
	for _, h := range []*handshake{table.begin(t, alice, false), table.begin(t, bob, true)} {
		h.Hello()
		h.Cancel()
		h.Close()
	}
	if got := table.halfOpenNow(); got != (HalfOpen{}) || table.used() != 0 {
		t.Errorf("half open %+v, and %d clients are left", got, table.used())
	}
	h := table.begin(t, alice, true)
	if !completes(t, h) || table.count(alice) != 1 {
		t.Error("alice was not admitted")
	}
	if h.Cancel(); table.count(alice) != 0 {
		t.Error("a connection was not released")
	}
}
