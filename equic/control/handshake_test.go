package control

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/equic-bench/equic-bench/equic"
	"github.com/equic-bench/equic-bench/internal/testkit"
)

// fakeHandshake is a handshake of a fake gateway.
type fakeHandshake struct {
	*fake
	client client
}

func (f *fake) MustValidate(port uint16, addr netip.Addr) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.taken(client{port, addr}) >= f.quotas[port]
}

func (f *fake) Begin(port uint16, from netip.AddrPort, validated bool) (equic.Handshake, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := client{port, from.Addr()}
	if err := f.lack(c); err != nil {
		return nil, err
	}
	if validated && f.taken(c) >= f.quotas[port] {
		return nil, fmt.Errorf("begin a handshake of %s: %w", c.addr, equic.ErrOverQuota)
	}
	f.begun[c]++
	return fakeHandshake{f, c}, nil
}

// taken returns the part of its quota that a client uses.
func (f *fake) taken(c client) int { return f.counts[c] + f.begun[c] }

func (h fakeHandshake) note(what string) {
	h.notes = append(h.notes, what)
	if what != "hello" {
		h.begun[h.client]--
	}
}

func (h fakeHandshake) Hello() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.note("hello")
}

func (h fakeHandshake) Complete() (bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.note("complete")
	if h.counts[h.client] >= h.quotas[h.client.port] {
		return false, nil
	}
	h.counts[h.client]++
	return true, nil
}

func (h fakeHandshake) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.note("close")
}

func (h fakeHandshake) Cancel() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.note("cancel")
}

// inProgress returns the number of handshakes in progress.
func (f *fake) inProgress() (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, begun := range f.begun {
		n += begun
	}
	return n
}

func TestSessionsWithHandshakes(t *testing.T) {
	one, two := []uint16{443}, []uint16{443, 8443}
	const noAddress = " is not an address with a port: give one such as 192.0.2.7:50000 or [2001:db8::7]:50000"
	tests := []struct {
		name              string
		ports             []uint16
		say               []say
		total, inProgress int // connections and handshakes at the end
	}{
		{"a handshake that is complete is a connection, which dec releases", one, []say{
			{"begin 1 192.0.2.7:50000", "ok"},
			{"hello 1", "ok"},
			{"complete 1", "ok"},
			{"begin 1 192.0.2.7:50000", "ok"},
			{"complete 1", "ok"},
			{"dec 192.0.2.7", "ok"},
		}, 1, 0},
		{"a handshake may fail, or cost nothing", one, []say{
			{"begin a 192.0.2.7:50000", "ok"},
			{"begin b 192.0.2.7:50000", "ok"},
			{"fail a", "ok"},
			{"cancel b", "ok"},
		}, 0, 0},
		{"above the quota, an address that is not validated gets a Retry", one, []say{
			{"validate 192.0.2.7", "ok"},
			{"begin a 192.0.2.7:50000", "ok"},
			{"begin b [::ffff:192.0.2.7]:50001", "ok"},
			{"validate 192.0.2.7", "retry"},
			{"begin c 192.0.2.7:50002", "retry"},
			{"begin c 192.0.2.8:50002", "ok"},
		}, 0, 3},
		{"and one that is validated is turned away", one, []say{
			{"begin a 192.0.2.7:50000 validated", "ok"},
			{"begin b 192.0.2.7:50001 validated 443", "ok"},
			{"begin c 192.0.2.7:50002 validated", "over"},
			{"complete c", `error: no handshake "c" is in progress here: begin it first`},
		}, 0, 2},
		{"what is complete too late is turned away", one, []say{
			{"begin a 192.0.2.7:50000", "ok"},
			{"inc 192.0.2.7", "ok"},
			{"inc 192.0.2.7", "ok"},
			{"complete a", "over"},
			{"fail a", `error: no handshake "a" is in progress here: begin it first`},
		}, 2, 0},
		{"a client for which there is no place begins nothing", one, []say{
			{"begin a 203.0.113.1:50000", "full"},
			{"hello a", `error: no handshake "a" is in progress here: begin it first`},
		}, 0, 0},
		{"an ID names one handshake", one, []say{
			{"begin a 192.0.2.7:50000", "ok"},
			{"begin a 192.0.2.8:50000", `error: a handshake "a" is in progress here: choose another ID`},
		}, 0, 1},
		{"the port must be named where there are two", two, []say{
			{"begin a 192.0.2.7:50000", "error: several ports are protected: give one of 443, 8443"},
			{"begin a 192.0.2.7:50000 8443", "ok"},
			{"begin b 192.0.2.7:50000 validated 8443", "ok"},
			{"validate 192.0.2.7 8443", "retry"},
			{"begin c 192.0.2.7:50000 8443", "retry"},
			{"begin c 192.0.2.7:50000 asked 8443", "ok"},
			{"validate 192.0.2.7 443", "ok"},
		}, 0, 3},
		{"what cannot be read is an error", one, []say{
			{"begin", "error: 0 arguments given: send " + beginForm},
			{"begin 192.0.2.7:50000", "error: 1 arguments given: send " + beginForm},
			{"begin a 192.0.2.7", `error: "192.0.2.7"` + noAddress},
			{"begin a 2001:db8::7:50000", `error: "2001:db8::7:50000"` + noAddress},
			{"begin a 192.0.2.7:65536", `error: "192.0.2.7:65536"` + noAddress},
			{"begin a 192.0.2.7:50000 valid", `error: port "valid" is not protected: give one of 443`},
			{"begin a 192.0.2.7:50000 443 validated", `error: "validated" is one argument too many: send ` + beginForm},
			{"begin a 192.0.2.7:50000 validated 80", `error: port "80" is not protected: give one of 443`},
			{"complete", "error: 0 arguments given: send complete ID"},
			{"cancel a b", "error: 2 arguments given: send cancel ID"},
			{
				"validate 192.0.2.7:50000",
				`error: "192.0.2.7:50000" is not an address: give one such as 192.0.2.7 or 2001:db8::7`,
			},
			{"fail \x00", `error: no handshake "\x00" is in progress here: begin it first`},
		}, 0, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := control(t, test.ports...)
			p := dial(t, c.path)
			for _, s := range test.say {
				p.want(t, s.line, s.reply)
			}
			if c.total() != test.total || c.inProgress() != test.inProgress {
				t.Errorf("%d connections and %d handshakes, want %d and %d", c.total(), c.inProgress(), test.total,
					test.inProgress)
			}
		})
	}
}

// The server broke them off, so they do not count against the clients.
func TestASessionThatDiesTakesItsHandshakesBack(t *testing.T) {
	c := control(t, 443)
	stays, dies := dial(t, c.path), dial(t, c.path)
	stays.want(t, "begin a 192.0.2.7:50000", "ok")
	dies.want(t, "begin a 192.0.2.7:50001", "ok")
	dies.want(t, "begin b 192.0.2.8:50000 validated", "ok")
	dies.want(t, "begin c 192.0.2.9:50000", "ok")
	dies.want(t, "complete c", "ok")
	testkit.Must(t, dies.Close())
	testkit.Await(t, "what it had is gone", func() bool { return c.total() == 0 && c.inProgress() == 1 })
	c.mu.Lock()
	defer c.mu.Unlock()
	if got, want := fmt.Sprint(c.notes), "[complete cancel cancel]"; got != want {
		t.Errorf("its handshakes were told %s, want %s", got, want)
	}
}
