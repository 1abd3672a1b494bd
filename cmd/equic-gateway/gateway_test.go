package main

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/equic-bench/equic-bench/equic"
	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/internal/testkit/netkit"
)

func TestAClientAtItsQuotaIsDroppedUntilItsConnectionEnds(t *testing.T) {
	client := newPair(t)
	p := start(t, "--quota", "2", "--events")
	s := p.dial(t)
	p.awaitCount(t, client, equic.PassUnknownClient)
	s.want(t, "inc "+clientAddress, "ok")
	s.want(t, "inc "+clientAddress, "ok")
	p.awaitCount(t, client, equic.DropOverQuota)
	s.want(t, "clients", `[{"client":"192.0.2.2/32","port":443,"connections":2,"blocked":true}]`)
	wantEvent(t, p, equic.Blocked)
	s.want(t, "dec "+clientAddress, "ok")
	wantEvent(t, p, equic.Unblocked)
	p.awaitCount(t, client, equic.PassUnderQuota)
}

func wantEvent(t *testing.T, p program, kind equic.EventKind) {
	t.Helper()
	line, err := p.out.ReadString('\n')
	testkit.Must(t, err)
	var e event
	testkit.Must(t, json.Unmarshal([]byte(line), &e))
	if e.Event != kind || e.Client.String() != clientAddress+"/32" || e.Port != 443 || e.Time.IsZero() {
		t.Errorf("event %s, want %s of %s", line, kind, clientAddress)
	}
}

func TestLimitsAndListsTakeEffectWhileItRuns(t *testing.T) {
	client := newPair(t)
	p := start(t, "--port", "8443=9", "--deny", clientAddress)
	s := p.dial(t)
	p.awaitCount(t, client, equic.DropDenied)
	s.want(t, "allow 192.0.2.0/24", "ok")
	p.awaitCount(t, client, equic.PassAllowed)
	s.want(t, "unallow 192.0.2.0/24", "ok")
	s.want(t, "undeny "+clientAddress, "ok")
	p.awaitCount(t, client, equic.PassUnknownClient)
	s.want(t, "inc "+clientAddress+" 443", "ok")
	s.want(t, "quota 1 443", "ok")
	p.awaitCount(t, client, equic.DropOverQuota)
	s.want(t, "quota 2 443", "ok")
	s.want(t, "rate 0.001 1 443", "ok")
	p.awaitCount(t, client, equic.DropRate)
	got := p.status(t)
	if len(got.Ports) != 2 || got.Ports[0].Quota != 2 || got.Ports[0].Burst != 1 || got.Ports[1].Quota != 9 {
		t.Errorf("status of the ports: %+v", got.Ports)
	}
}

func TestWhatAServerCountedGoesWithIt(t *testing.T) {
	client := newPair(t)
	p := start(t, "--quota", "1")
	s := p.dial(t)
	s.want(t, "inc "+clientAddress, "ok")
	p.awaitCount(t, client, equic.DropOverQuota)
	testkit.Must(t, s.Close())
	testkit.Await(t, "nobody is counted", func() bool { return p.status(t).Clients == 0 })
	p.awaitCount(t, client, equic.PassUnderQuota)
}

func TestHandshakesThatAServerBeganCountInTheKernel(t *testing.T) {
	client := newPair(t)
	p := start(t, "--quota", "2")
	s, other := p.dial(t), p.dial(t)
	s.want(t, "begin a "+clientAddress+":50000 validated", "ok")
	other.want(t, "begin a "+clientAddress+":50001 validated", "ok")
	p.awaitCount(t, client, equic.PassUnderQuota) // until the ClientHellos have arrived
	s.want(t, "hello a", "ok")
	other.want(t, "hello a", "ok")
	p.awaitCount(t, client, equic.DropOverQuota)
	s.want(t, "begin b "+clientAddress+":50002 validated", "over")
	if got := p.status(t); got.HalfOpen.Validated != 2 || got.Clients != 0 {
		t.Errorf("%+v; want two handshakes in progress, and nobody connected", got)
	}
	s.want(t, "complete a", "ok")
	testkit.Must(t, other.Close())
	testkit.Await(t, "what the other began is gone", func() bool { return p.status(t).HalfOpen.Validated == 0 })
	p.awaitCount(t, client, equic.PassUnderQuota)
	s.want(t, "dec "+clientAddress, "ok")
}

func TestTheProgramEndsInOrder(t *testing.T) {
	for _, test := range []struct {
		name   string
		signal os.Signal
		code   int
		said   string
	}{
		{"by SIGTERM", syscall.SIGTERM, exitFine, "msg=ended"},
		{"by SIGINT", os.Interrupt, exitInterrupted, "equic-gateway: interrupted"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_ = newPair(t)
			p := start(t, "--events", "--metrics", "127.0.0.1:0")
			s := p.dial(t)
			s.want(t, "inc "+clientAddress, "ok")
			if code := p.end(t, test.signal); code != test.code || !strings.Contains(p.log.String(), test.said) {
				t.Errorf("exit code %d, want %d; log:\n%s", code, test.code, p.log)
			}
			if attached(t) {
				t.Error("a program is still attached")
			}
			for _, path := range []string{p.socket, p.socket + ".lock"} {
				if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s is left: %v", path, err)
				}
			}
		})
	}
}

func TestKilledItLeavesNothingAttachedAndTheNextOneStarts(t *testing.T) {
	_ = newPair(t)
	p := start(t)
	s := p.dial(t)
	s.want(t, "inc "+clientAddress, "ok")
	if code := p.end(t, syscall.SIGKILL); code != -1 {
		t.Errorf("exit code %d of a killed program", code)
	}
	testkit.Await(t, "nothing is attached", func() bool { return !attached(t) })
	if _, err := os.Lstat(p.socket); err != nil {
		t.Errorf("the test wants a stale socket: %v", err)
	}
	next := commandAt(t, p.socket)
	next.start(t)
	if got := next.status(t); got.Clients != 0 || got.Mode != "native" {
		t.Errorf("status of the next one: %+v", got)
	}
}

func TestItEndsWithoutItsInterface(t *testing.T) {
	_ = newPair(t)
	p := start(t)
	testkit.Must(t, netlink.LinkDel(netkit.Link(t, serverInterface)))
	testkit.Await(t, "the log tells of it", func() bool { return strings.Contains(p.log.String(), "nothing is dropped") })
	if got := p.status(t); got.Attached || got.Attachments[0].Reason == "" {
		t.Errorf("status %+v, want that it is detached, and why", got)
	}
	_ = p.Wait() // after detachedFor; the test checks its state
	if code := p.ProcessState.ExitCode(); code != exitMachine || !strings.Contains(p.log.String(), "no such interface") {
		t.Errorf("exit code %d, want %d; log:\n%s", code, exitMachine, p.log)
	}
}

func TestASecondOneIsRefused(t *testing.T) {
	_ = newPair(t)
	first := start(t)
	for want, second := range map[string]program{
		"another process listens there":       commandAt(t, first.socket),
		"another program is attached already": command(t),
	} {
		if code, said := fails(t, second); code != exitMachine || !strings.Contains(said, want) {
			t.Errorf("exit code %d, want %d; it said %q, want %q", code, exitMachine, said, want)
		}
	}
	if !attached(t) || first.status(t).Mode != "native" {
		t.Error("the first one does not work any more")
	}
}

// fails runs a program that ends by itself. Its output may be long, so it is read
// first.
func fails(t *testing.T, p program) (code int, said string) {
	t.Helper()
	testkit.Must(t, p.Start())
	_, err := io.Copy(io.Discard, p.out)
	testkit.Must(t, err)
	_ = p.Wait() // the test checks its state
	return p.ProcessState.ExitCode(), p.log.String()
}

func TestWhatTheMachineLacksIsNamed(t *testing.T) {
	t.Run("no capability", func(t *testing.T) {
		_ = newPair(t)
		p := asNobody(t)
		if code, said := fails(t, p); code != exitMachine ||
			!strings.Contains(said, "missing CAP_BPF (or CAP_SYS_ADMIN) and CAP_NET_ADMIN") {
			t.Errorf("exit code %d, want %d; it said %q", code, exitMachine, said)
		}
	})
	t.Run("an address for the metrics that is taken", func(t *testing.T) {
		_ = newPair(t)
		var config net.ListenConfig
		taken, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
		testkit.Must(t, err)
		defer func() { testkit.Must(t, taken.Close()) }()
		if code, said := fails(t, command(t, "--metrics", taken.Addr().String())); code != exitMachine ||
			!strings.Contains(said, "address already in use") {
			t.Errorf("exit code %d, want %d; it said %q", code, exitMachine, said)
		}
		if attached(t) {
			t.Error("a program is still attached")
		}
	})
}

// asNobody returns the program as a user without privileges, with its socket in a
// folder in which that user may create one.
func asNobody(t *testing.T, arguments ...string) program {
	t.Helper()
	//nolint:usetesting // t.TempDir is below a folder that only root may enter
	dir, err := os.MkdirTemp("", "equic-gateway")
	testkit.Must(t, err)
	t.Cleanup(func() { testkit.Must(t, os.RemoveAll(dir)) })
	testkit.Must(t, os.Chown(dir, nobody, nobody))
	p := commandAt(t, dir+"/socket", arguments...)
	p.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	return p
}

func TestPrometheusReadsTheMetrics(t *testing.T) {
	_ = newPair(t)
	p := start(t, "--metrics", "127.0.0.1:0")
	p.dial(t).want(t, "inc "+clientAddress, "ok")
	if got := p.metrics(t); !strings.Contains(got, `equic_connections{port="443"} 1`) {
		t.Errorf("got %s", got)
	}
}

func TestEventsThatNobodyReadsDoNotEndTheProtection(t *testing.T) {
	client := newPair(t)
	p := start(t, "--quota", "1", "--events", "--hold-down", "0s")
	p.close()
	s := p.dial(t)
	for range 2 { // the second goes nowhere, silently
		s.want(t, "inc "+clientAddress, "ok")
		p.awaitCount(t, client, equic.DropOverQuota)
		s.want(t, "dec "+clientAddress, "ok")
	}
	testkit.Await(t, "the log says so",
		func() bool { return strings.Contains(p.log.String(), "write events: no more are written") })
	if code := p.end(t, syscall.SIGTERM); code != exitFine {
		t.Errorf("exit code %d", code)
	}
}
