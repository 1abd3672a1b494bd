package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/internal/testkit/golden"
)

func TestTopShowsRatesAndClients(t *testing.T) {
	before := look{at: time.Unix(100, 0), Packets: map[string]uint64{"drop_denied": 5, "drop_rate": 5, "pass_allowed": 1}}
	now := look{
		at: time.Unix(102, 0), Mode: "native", Monitor: true, Connections: 1234, Clients: 3, Blocked: 1, Seen: 30000, Passed: 10000,
		Dropped: 20000, Packets: map[string]uint64{"drop_denied": 15, "drop_rate": 19995, "pass_allowed": 9995},
		WouldDrop: map[string]uint64{"drop_over_quota": 7, "drop_options": 0}, TableFull: 2,
		Ports:   []lookPort{{443, 5, 3, 1234, 1, 4, 29000, 20000}, {8443, 20, 0, 0, 0, 0, 0, 0}},
		clients: []lookClient{{"192.0.2.7/32", 443, 5, false}, {"192.0.2.9/32", 443, 1224, false}, {"2001:db8::/64", 443, 5, true}},
	}
	now.Attachments = append(now.Attachments, struct {
		Interface string
		Attached  bool
		Reason    string
	}{"eth0", true, ""}, struct {
		Interface string
		Attached  bool
		Reason    string
	}{"eth1", false, "it is gone"})
	golden.Check(t, "top.golden", []byte(view(before, now, 0)))
	short := view(before, now, 16)
	if n := strings.Count(short, "\n"); n > 15 || !strings.Contains(short, "2001:db8::/64") || !strings.HasSuffix(short, "and 2 more\n") {
		t.Errorf("%d lines of 16:\n%s", n, short)
	}
	now.Seen, now.at = 100, time.Unix(103, 0)
	before.Seen = 30000 // another gateway
	if text := view(before, now, 0); !strings.Contains(text, "seen 33,") {
		t.Errorf("after a restart:\n%s", text)
	}
}

func TestTopAsksAGateway(t *testing.T) {
	newPair(t)
	p := start(t)
	s := p.dial(t)
	s.want(t, "inc 192.0.2.77", "ok")
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"top", "--socket", p.socket, "--frames", "2", "--interval", "100ms"}, &stdout, &stderr)
	if code != exitFine || strings.Count(stdout.String(), "192.0.2.77/32") != 2 || strings.Contains(stdout.String(), "\x1b") {
		t.Errorf("exit code %d, %s\n%s", code, &stderr, &stdout)
	}
	testkit.Must(t, s.Close())
	for _, test := range []struct {
		want string
		code int
		args []string
	}{
		{"no gateway answers", exitMachine, []string{"--socket", p.socket + "x"}},
		{"--interval is 1ms", exitUsage, []string{"--interval", "1ms"}},
		{"--frames is -1", exitUsage, []string{"--frames", "-1"}},
		{"unexpected argument", exitUsage, []string{"now"}},
	} {
		stderr.Reset()
		code := run(t.Context(), append([]string{"top"}, test.args...), &stdout, &stderr)
		if code != test.code || !strings.Contains(stderr.String(), test.want) {
			t.Errorf("%v: exit code %d, %s", test.args, code, &stderr)
		}
	}
}

func TestAskPrintsTheReply(t *testing.T) {
	newPair(t)
	p := start(t)
	for _, test := range []struct {
		args []string
		code int
		want string // of standard output, or in the error
	}{
		{[]string{"--socket", p.socket, "quota", "20"}, exitFine, "ok\n"},
		{[]string{"--socket", p.socket, "deny 203.0.113.0/24 for 1h"}, exitFine, "ok\n"},
		{[]string{"--socket", p.socket, "greet"}, exitUsage, `unknown request "greet"`},
		{[]string{"--socket", p.socket + "x", "status"}, exitMachine, "no gateway answers"},
		{nil, exitUsage, "ask takes a request"},
	} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), append([]string{"ask"}, test.args...), &stdout, &stderr)
		if said := stdout.String() + stderr.String(); code != test.code || !strings.Contains(said, test.want) {
			t.Errorf("%v: exit code %d, %s", test.args, code, said)
		}
	}
	if s := p.status(t); s.Ports[0].Quota != 20 || len(s.Denied) != 1 {
		t.Errorf("status %+v", s)
	}
}
