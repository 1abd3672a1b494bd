package control

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/equic-bench/equic-bench/internal/testkit"
)

// say is a request and the expected reply.
type say struct{ line, reply string }

func TestSessions(t *testing.T) {
	one, two := []uint16{443}, []uint16{443, 8443}
	tests := []struct {
		name  string
		ports []uint16
		say   []say
		total int // counted connections at the end
	}{
		{"a connection is counted and released", one, []say{
			{"inc 192.0.2.7", "ok"}, {"inc 192.0.2.7", "ok"}, {"dec 192.0.2.7", "ok"},
		}, 1},
		{"the port may be named where there is one", one, []say{{"inc 192.0.2.7 443", "ok"}, {"dec 192.0.2.7", "ok"}}, 0},
		{"the port must be named where there are two", two, []say{
			{"inc 192.0.2.7", "error: several ports are protected: give one of 443, 8443"},
			{"quota 3", "error: several ports are protected: give one of 443, 8443"},
			{"rate 3", "error: several ports are protected: give one of 443, 8443"},
			{"rate 3 8", "error: several ports are protected: give one of 443, 8443"},
			{"inc 192.0.2.7 8443", "ok"},
		}, 1},
		{"each port counts for itself", two, []say{
			{"inc 192.0.2.7 8443", "ok"},
			{"dec 192.0.2.7 443", "error: no connection of 192.0.2.7 to port 443 was counted here: count it by inc first"},
		}, 1},
		{"a port that is not protected is an error", one, []say{
			{"inc 192.0.2.7 80", `error: port "80" is not protected: give one of 443`},
			{"inc 192.0.2.7 65979", `error: port "65979" is not protected: give one of 443`},
			{"inc 192.0.2.7 -1", `error: port "-1" is not protected: give one of 443`},
		}, 0},
		{"an address may have several forms", one, []say{
			{"inc ::ffff:192.0.2.7", "ok"},
			{"dec 192.0.2.7", "ok"},
			{"inc fe80::1%eth0", "ok"},
			{"dec fe80::1", "ok"},
			{"inc 2001:db8:0:0::7", "ok"},
			{"dec 2001:DB8::7", "ok"},
		}, 0},
		{"what is no address is an error", one, []say{
			{"inc example.org", `error: "example.org" is not an address: give one such as 192.0.2.7 or 2001:db8::7`},
			{"inc 192.0.2.0/24", `error: "192.0.2.0/24" is not an address: give one such as 192.0.2.7 or 2001:db8::7`},
		}, 0},
		{"what was not counted cannot be released", one, []say{
			{"dec 192.0.2.7", "error: no connection of 192.0.2.7 to port 443 was counted here: count it by inc first"},
			{"inc 192.0.2.7", "ok"},
			{"dec 192.0.2.7", "ok"},
			{"dec 192.0.2.7", "error: no connection of 192.0.2.7 to port 443 was counted here: count it by inc first"},
		}, 0},
		{"a client for which there is no place is not counted", one, []say{
			{"inc 203.0.113.1", "full"},
			{"tryinc 203.0.113.1", "full"},
			{"dec 203.0.113.1", "error: no connection of 203.0.113.1 to port 443 was counted here: count it by inc first"},
		}, 0},
		{"a client at its quota is counted by inc, which tells of it", one, []say{
			{"inc 192.0.2.7", "ok"}, {"inc 192.0.2.7", "ok"}, {"inc 192.0.2.7", "over"}, {"dec 192.0.2.7", "ok"},
		}, 2},
		{"and not by tryinc", one, []say{
			{"tryinc 192.0.2.7", "ok"},
			{"tryinc 192.0.2.7 443", "ok"},
			{"tryinc 192.0.2.7", "over"},
			{"dec 192.0.2.7", "ok"},
			{"tryinc 192.0.2.7", "ok"},
		}, 2},
		{"limits change", one, []say{
			{"quota 20", "ok"},
			{"quota 21 443", "ok"},
			{"rate 10", "ok"},
			{"rate 0.5 8", "ok"},
			{"rate 0 0 443", "ok"},
		}, 0},
		{"limits that cannot be are errors", one, []say{
			{"quota many", `error: quota is "many": give a number of connections`},
			{"quota 0", "error: set quota of port 443: quota is 0"},
			{"rate fast", `error: rate is "fast": give packets per second, or 0 for no limit`},
			{"rate -5", `error: rate is "-5": give packets per second, or 0 for no limit`},
			{"rate 1 x", `error: burst is "x": give a number of packets, or 0 for one second's worth`},
			{"rate 1 -1", "error: set rate of port 443: burst is -1"},
			{"rate 1 1 80", `error: port "80" is not protected: give one of 443`},
		}, 0},
		{"monitor mode changes", one, []say{
			{"monitor on", "ok"},
			{"monitor on", "ok"},
			{"monitor off", "ok"},
			{"monitor maybe", `error: monitor is "maybe": give on or off`},
			{"monitor", "error: 0 arguments given: send monitor on|off"},
		}, 0},
		{"lists change", one, []say{
			{"allow 192.0.2.0/24", "ok"},
			{"unallow 192.0.2.0/24", "ok"},
			{"deny 2001:db8::7", "ok"},
			{"undeny 2001:db8::7/128", "ok"},
			{"unallow 192.0.2.0/24", "error: remove 192.0.2.0/24: it is not on the list"},
			{"deny 203.0.113.0/24 for 10m", "ok"},
			{"undeny 203.0.113.0/24", "ok"},
			{"allow 203.0.113.7 for 1h30m", "ok"},
			{"deny 203.0.113.0/24 10m", `error: "10m" is no time: give one such as for 90s, for 10m or for 24h`},
			{"deny 203.0.113.0/24 for", "error: for has no time after it: give one such as for 90s, for 10m or for 24h"},
			{"deny 203.0.113.0/24 for ever", `error: for "ever" is no time: give one such as for 90s, for 10m or for 24h`},
			{"deny 203.0.113.0/24 for -1s", `error: for "-1s" is no time: give one such as for 90s, for 10m or for 24h`},
			{"undeny 203.0.113.0/24 for 10m", "error: 3 arguments given: send undeny PREFIX"},
			{"deny nobody", `error: "nobody" is not a prefix: give one such as 192.0.2.0/24, or an address`},
			{"deny fe80::1%eth0", `error: "fe80::1%eth0" is not a prefix: give one such as 192.0.2.0/24, or an address`},
		}, 0},
		{"spaces, tabs and carriage returns separate words", one, []say{{"  inc\t192.0.2.7  443 \r", "ok"}}, 1},
		{"garbage is an error, and the connection goes on", one, []say{
			{"", "error: the line is empty: send a request"},
			{" \t", "error: the line is empty: send a request"},
			{"INC 192.0.2.7", `error: unknown request "INC": send one of ` + names},
			{"\x00\xff\x1b[2J", `error: unknown request "\x00\xff\x1b[2J": send one of ` + names},
			{"inc", "error: 0 arguments given: send inc ADDR [PORT]"},
			{"inc 192.0.2.7 443 now", "error: 3 arguments given: send inc ADDR [PORT]"},
			{"status please", "error: 1 arguments given: send status"},
			{"inc 192.0.2.7", "ok"},
		}, 1},
		{"a line that is too long is an error, and is skipped", one, []say{
			{"inc " + strings.Repeat(" ", MaxLine-len("inc 192.0.2.7")) + "192.0.2.7", "ok"},
			{
				"inc  " + strings.Repeat(" ", MaxLine-len("inc 192.0.2.7")) + "192.0.2.7",
				"error: the line is longer than 256 bytes: send one request in each line",
			},
			{
				strings.Repeat("inc 192.0.2.7 ", 10*bufferSize/14),
				"error: the line is longer than 256 bytes: send one request in each line",
			},
			{"inc 192.0.2.7", "ok"},
		}, 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := control(t, test.ports...)
			p := dial(t, c.path)
			for _, s := range test.say {
				if got := p.ask(t, s.line); got != s.reply {
					t.Errorf("%.60q\n got %s\nwant %s", s.line, got, s.reply)
				}
			}
			if got := c.total(); got != test.total {
				t.Errorf("%d connections are counted, want %d", got, test.total)
			}
		})
	}
}

func TestEveryRequestIsNamedInTheErrorOfAnUnknownOne(t *testing.T) {
	for name, r := range requests {
		if !strings.Contains(", "+names+",", ", "+name+",") {
			t.Errorf("%s is missing in %q", name, names)
		}
		if !strings.HasPrefix(r.form+" ", name+" ") {
			t.Errorf("the form of %s is %q", name, r.form)
		}
	}
	if n := strings.Count(names, ",") + 1; n != len(requests) {
		t.Errorf("%d names of %d requests", n, len(requests))
	}
}

func TestStatusIsOneJSONObject(t *testing.T) {
	c := prepare(t, 443, 8443)
	c.server.Denied.(*fakeList).feed = 7
	c.start(t)
	p := dial(t, c.path)
	for _, line := range []string{
		"inc 192.0.2.7 443", "inc 192.0.2.7 443", "inc 192.0.2.8 443", "inc 192.0.2.8 8443",
		"quota 9 8443", "rate 1.5 6 8443", "allow 192.0.2.0/28", "deny 203.0.113.9", "monitor on",
	} {
		p.want(t, line, "ok")
	}
	const want = `{"attached":false,"mode":"native","attachments":[` +
		`{"interface":"eth0","attached":true,"since":"2001-09-09T01:46:40Z"},` +
		`{"interface":"eth1","attached":false,"since":"2033-05-18T03:33:20Z","reason":"it is gone"}],` +
		`"monitor":true,"ports":[` +
		`{"port":443,"quota":2,"policy":"new","initials_per_second":0,"burst":0,"connections":3,"clients":2,"blocked":1,` +
		`"turned_away":6,"seen":7,"passed":4,"dropped":3,"packets":{"drop_over_quota":3,"pass_established":3},` +
		`"would_drop":{"drop_denied":1}},` +
		`{"port":8443,"quota":9,"policy":"new","initials_per_second":1.5,"burst":6,"connections":1,"clients":1,"blocked":0,` +
		`"turned_away":0,"seen":0,"passed":0,"dropped":0,"packets":null,"would_drop":null}],` +
		`"connections":4,"inherited":0,"clients":3,"blocked":1,"half_open":{"validated":0,"unvalidated":3,"limit":48},` +
		`"seen":8,"passed":5,"dropped":3,` +
		`"packets":{"drop_over_quota":3,"pass_established":3,"pass_not_ip":1},"would_drop":{"drop_denied":1},` +
		`"table_full":1,"events_lost":2,"allowed":["192.0.2.0/28"],"denied":["203.0.113.9/32"],` +
		`"allowed_feed":0,"denied_feed":7,"expiring":[]}`
	if diff := cmp.Diff(want, p.ask(t, "status")); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
}

func TestEmptyListsAreListsInJSON(t *testing.T) {
	p := dial(t, control(t, 443).path)
	var got struct{ Allowed, Denied []string }
	testkit.Must(t, json.Unmarshal([]byte(p.ask(t, "status")), &got))
	if got.Allowed == nil || got.Denied == nil {
		t.Errorf("lists are null: %+v", got)
	}
}

func TestStatusShowsHowLongBansLast(t *testing.T) {
	p := dial(t, control(t, 443).path)
	start := time.Now()
	for _, line := range []string{
		"deny 203.0.113.9", "deny 192.0.2.0/24 for 24h", "allow 192.0.2.7 for 1h", "evict 203.0.113.77", "evict 203.0.113.78 for 90s",
		"deny 203.0.113.80 for 24h", "evict ::ffff:203.0.113.80", // it is denied for longer
	} {
		p.want(t, line, "ok")
	}
	var got struct {
		Denied   []string
		Expiring []struct {
			List, Prefix string
			Until        time.Time
			SecondsLeft  int `json:"seconds_left"`
		}
	}
	testkit.Must(t, json.Unmarshal([]byte(p.ask(t, "status")), &got))
	took := time.Since(start)
	if len(got.Denied) != 5 || len(got.Expiring) != 5 {
		t.Fatalf("status %+v, want five denied and five that will end", got)
	}
	for i, want := range []struct {
		list, prefix string
		d            time.Duration
	}{
		{"allowed", "192.0.2.7/32", time.Hour},
		{"denied", "192.0.2.0/24", 24 * time.Hour},
		{"denied", "203.0.113.77/32", evictTime},
		{"denied", "203.0.113.78/32", 90 * time.Second},
		{"denied", "203.0.113.80/32", 24 * time.Hour},
	} {
		e := got.Expiring[i]
		if e.List != want.list || e.Prefix != want.prefix {
			t.Errorf("%+v, want %+v", e, want)
		}
		if left := time.Duration(e.SecondsLeft) * time.Second; left > want.d || left < want.d-took-time.Second {
			t.Errorf("%v are left of %v after %v", left, want.d, took)
		}
		if at := e.Until.Sub(start); at < want.d || at > want.d+took {
			t.Errorf("it ends after %v, want %v", at, want.d)
		}
	}
}

func TestClientsAreOneJSONArray(t *testing.T) {
	p := dial(t, control(t, 443).path)
	p.want(t, "clients", "[]")
	for _, addr := range []string{"192.0.2.7", "2001:db8::7", "192.0.2.7"} {
		p.want(t, "inc "+addr, "ok")
	}
	p.want(t, "clients", `[{"client":"192.0.2.7/32","port":443,"connections":2,"blocked":true},`+
		`{"client":"2001:db8::7/128","port":443,"connections":1,"blocked":false}]`)
	p.want(t, "networks", `[{"client":"2001:db8::/48","port":443,"connections":9,"blocked":false}]`)
	p.want(t, "dec 192.0.2.7", "ok") // still in step after a long reply
}

func TestStatusAndCountsOfAClosedGatewayAreErrors(t *testing.T) {
	c := prepare(t, 443)
	c.closed = true
	c.start(t)
	p := dial(t, c.path)
	p.want(t, "status", "error: gateway is closed")
	p.want(t, "inc 192.0.2.7", "error: gateway is closed")
	p.want(t, "monitor on", "error: gateway is closed")
}

func TestASuccessorIsToldWhoCounts(t *testing.T) {
	c := control(t, 443)
	owners := func() int {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.owners
	}
	one, two := dial(t, c.path), dial(t, c.path)
	one.want(t, "clients", "[]")
	if got := owners(); got != 0 {
		t.Errorf("%d servers count, though none has", got)
	}
	for range 2 {
		one.want(t, "inc 192.0.2.7", "ok")
	}
	two.want(t, "begin 1 192.0.2.9:50000 validated", "ok")
	two.want(t, "complete 1", "ok")
	if got := owners(); got != 2 {
		t.Errorf("%d servers count, want 2", got)
	}
	testkit.Must(t, one.Close())
	testkit.Await(t, "one is left", func() bool { return owners() == 1 })
}

func TestIncClaimsWhatAPredecessorCounted(t *testing.T) {
	c := prepare(t, 443)
	alice := client{443, netip.MustParseAddr("192.0.2.7")}
	c.inherited[alice] = 3
	c.start(t)
	p := dial(t, c.path)
	for range 2 {
		p.want(t, "inc 192.0.2.7", "ok")
	}
	p.want(t, "inc 192.0.2.8", "ok")
	dial(t, c.path).want(t, "claimed", "ok") // it had counted nothing, so it was none of the owners
	if n := c.Inherited(); n == 0 {
		t.Error("nothing is left for its owner to claim")
	}
	p.want(t, "claimed", "ok")
	p.want(t, "inc 192.0.2.7", "over") // a third one, of its own
	p.want(t, "dec 192.0.2.7", "ok")
	if got := c.total(); got != 3 {
		t.Errorf("%d connections are counted, want 3", got)
	}
}

func TestTheGatewayIsHandedOverOnce(t *testing.T) {
	c := prepare(t, 443)
	given := 0
	c.server.Folder = t.TempDir()
	c.server.Options.HandOver = func() {
		given++
		go c.stop()
	}
	c.start(t)
	counting, asking := dial(t, c.path), dial(t, c.path)
	counting.want(t, "inc 192.0.2.7", "ok")
	if got := asking.ask(t, "handover "+t.TempDir()); !strings.HasPrefix(got, "error: this gateway is in ") {
		t.Errorf("a successor in another folder: %q", got)
	}
	asking.want(t, "handover "+c.server.Folder, "ok")
	testkit.Await(t, "both connections end", func() bool {
		_, err := counting.Read(make([]byte, 1))
		return err != nil
	})
	c.stop()
	c.server.HandOver()
	if given != 1 || c.total() != 1 {
		t.Errorf("given up %d times, %d connections stay counted; want 1 and 1", given, c.total())
	}
	plain := dial(t, control(t, 443).path)
	if got := plain.ask(t, "handover"); !strings.HasPrefix(got, "error: this gateway cannot be handed over") {
		t.Errorf("reply %q", got)
	}
}
