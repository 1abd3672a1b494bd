package orchestrate

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
	"github.com/equic-bench/equic-bench/scenarios"
)

// seq1 and server say whose record it is.
func seq1(p *process) bool   { return p.spec.Name == "sequential-1" }
func server(p *process) bool { return p.spec.Role == results.RoleServer }
func attacker(p *process) bool {
	return p.spec.Role == results.RoleParallel
}

// recordFault is a change of the records that breaks a rule.
type recordFault struct {
	variant record.Variant
	edit    func(p *process, l *record.Line) bool
	rule    string
	says    string
}

func recordFaults() map[string]recordFault {
	return map[string]recordFault{
		"a request is missing": {record.NoBlock, func(p *process, l *record.Line) bool {
			return !seq1(p) || l.Request == nil || l.Request.Seq != 3
		}, ruleComplete, "sequential-1 left 39 requests and counts 40, of 40 planned"},
		"a request is there twice, another not at all": {record.NoBlock, func(p *process, l *record.Line) bool {
			if seq1(p) && l.Request != nil && l.Request.Seq == 3 {
				l.Request.Seq = 4
			}
			return true
		}, ruleComplete, "sequential-1 left 1 requests whose number repeats"},
		"a request has no outcome": {record.NoBlock, func(p *process, l *record.Line) bool {
			if seq1(p) && l.Request != nil && l.Request.Seq == 3 {
				l.Request.Outcome = ""
			}
			return true
		}, ruleComplete, "outcome is unknown"},
		"a client leaves no totals": {record.NoBlock, func(p *process, l *record.Line) bool {
			return !seq1(p) || l.Client == nil
		}, ruleComplete, "sequential-1 left no client record"},
		"the server leaves no totals": {record.NoBlock, func(_ *process, l *record.Line) bool {
			return l.Server == nil
		}, ruleComplete, "server left no server record"},
		"the gateway leaves no totals": {record.XDPBlock, func(_ *process, l *record.Line) bool {
			return l.Gateway == nil
		}, ruleComplete, "server left no gateway record"},
		"the kernel drops nothing of a client at its quota": {record.XDPBlock, func(_ *process, l *record.Line) bool {
			if l.Gateway != nil {
				l.Gateway.Packets = map[string]uint64{"drop_short_initial": 4} // other drops do not count
			}
			return true
		}, ruleKernel, "dropped no packet over quota"},
		"the server refuses what the kernel should drop": {record.XDPBlockNew, func(_ *process, l *record.Line) bool {
			if l.Server != nil {
				l.Server.Refusals = 5
			}
			return true
		}, ruleKernel, "server had to refuse 5 connections by itself, as its kernel dropped 4 packets over quota"},
		"a count does not reach the kernel": {record.XDPBlock, func(_ *process, l *record.Line) bool {
			if l.Gateway != nil {
				l.Gateway.UpdateErrors = 1
			}
			return true
		}, ruleKernel, "server has 1 counts that did not reach"},
		"a probe leaves no record": {record.NoBlock, func(p *process, l *record.Line) bool {
			return !seq1(p) || l.Probe == nil
		}, ruleComplete, "sequential-1 left no probe record"},
		"system calls were not counted": {record.NoBlock, func(p *process, l *record.Line) bool {
			if server(p) && l.Probe != nil {
				l.Probe.SyscallCounter = false
			}
			return true
		}, ruleComplete, "server did not count its system calls"},
		"a sample is missing": {record.NoBlock, func(p *process, l *record.Line) bool {
			return !seq1(p) || l.Sample == nil || l.Sample.AtNS != 0
		}, ruleComplete, "sequential-1 left 49 samples, of 50 taken"},
		"a measured process ended with an error": {record.NoBlock, func(p *process, l *record.Line) bool {
			if seq1(p) && l.Probe != nil {
				l.Probe.ExitCode = 1
			}
			return true
		}, ruleComplete, "sequential-1 measured a process that ended with exit code 1"},
		"a record comes after the probe's last": {record.NoBlock, func(p *process, l *record.Line) bool {
			if seq1(p) && l.Probe != nil {
				p.printAsItIs(*l)
				*l = record.Line{Sample: &record.Sample{AtNS: 9e9}}
			}
			return true
		}, ruleComplete, "sequential-1 printed records after the probe's last"},
		"the attackers make no request": {record.NoBlock, func(p *process, l *record.Line) bool {
			return !attacker(p) || l.Request == nil
		}, ruleOverlap, "has no requests: there is nothing to overlap"},
		"a node started twice": {record.NoBlock, func(p *process, l *record.Line) bool {
			if seq1(p) && l.Progress != nil {
				l.Progress, l.Ready = nil, &record.Ready{AtNS: -1}
			}
			return true
		}, ruleAlive, "sequential-1 was ready 2 times"},
		"a node was throttled": {record.NoBlock, func(p *process, l *record.Line) bool {
			if server(p) && l.Probe != nil {
				l.Probe.ThrottledPeriods = 2
			}
			return true
		}, ruleThrottled, "server was throttled in 2 periods"},
		"a node was swapped": {record.NoBlock, func(p *process, l *record.Line) bool {
			if server(p) && l.Sample != nil && l.Sample.AtNS == 0 {
				l.Sample.SwapBytes = 4096
			}
			return true
		}, ruleSwapped, "server had 4096 bytes swapped out"},
		"the server lost its interface": {record.NoBlock, func(p *process, l *record.Line) bool {
			if server(p) && l.Probe != nil {
				l.Probe.LostInterfaces = []string{"eth0"}
			}
			return true
		}, ruleInterface, "server lost its interface eth0"},
		"a client got more than the server served": {record.NoBlock, func(_ *process, l *record.Line) bool {
			if l.Connection != nil && l.Connection.Client == "10.9.8.11" {
				l.Connection.Served--
			}
			return true
		}, ruleServed, "sequential-1 got 40 responses whole and at most 40, but the server says 39"},
		"the server served more than a client asked for": {record.NoBlock, func(_ *process, l *record.Line) bool {
			if l.Connection != nil && l.Connection.Client == "10.9.8.11" {
				l.Connection.Served++
			}
			return true
		}, ruleServed, "the server says 41"},
		"a connection is still counted": {record.NoBlock, func(_ *process, l *record.Line) bool {
			if l.Server != nil {
				l.Server.StillCounted = 1
			}
			return true
		}, ruleQuota, "server still counts 1 connections"},
		"a client was over quota": {record.UserspaceBlock, func(_ *process, l *record.Line) bool {
			if l.Server != nil {
				l.Server.PeakPerClient = 6
			}
			return true
		}, ruleQuota, "server had 6 connections of one client at once, the quota is 5"},
		"XDP took another mode": {record.XDPBlock, func(p *process, l *record.Line) bool {
			if server(p) && l.Ready != nil {
				l.Ready.XDPMode = "generic"
			}
			return true
		}, ruleXDPMode, `in force "generic", asked for "native"`},
		"XDP is attached where it should not be": {record.NoBlock, func(p *process, l *record.Line) bool {
			if server(p) && l.Ready != nil {
				l.Ready.XDPMode = "native"
			}
			return true
		}, ruleXDPMode, `in force "native", asked for ""`},
		"the load was over before the attack": {record.NoBlock, func(p *process, l *record.Line) bool {
			if p.spec.Role == results.RoleSequential && l.Request != nil {
				l.Request.ScheduledNS /= 10
				l.Request.StartNS /= 10
			}
			return true
		}, ruleOverlap, "sequential load from 0.000 s to 0.390 s: 0 % of the attack met load"},
		"the clients were saturated and the server was not": {record.NoBlock, func(p *process, l *record.Line) bool {
			if attacker(p) && l.Sample != nil {
				l.Sample.BusyNS = 2e9 + l.Sample.AtNS
			}
			return true
		}, ruleGenerator, "1 of 1 s of the attack; attack: 41/s achieved of 40/s scheduled"},
		"the clients were saturated by softirqs": {record.NoBlock, func(p *process, l *record.Line) bool {
			if attacker(p) && l.Sample != nil {
				l.Sample.SoftIRQNS = 2e9 + l.Sample.AtNS/2
			}
			return true
		}, ruleGenerator, "1 of 1 s of the attack"},
		"a sequential request started two seconds late": {record.NoBlock, func(p *process, l *record.Line) bool {
			if seq1(p) && l.Request != nil && l.Request.Seq == 39 {
				l.Request.StartNS += 2e9
			}
			return true
		}, ruleSequential, "the latest 2.000 s, of sequential-1"},
		"sequential requests started 0.2 s late, and those after them caught up": {record.NoBlock, func(p *process, l *record.Line) bool {
			if seq1(p) && l.Request != nil && l.Request.Seq >= 32 {
				l.Request.StartNS += [...]int64{200e6, 105e6, 10e6, 0}[l.Request.Seq%4]
			}
			return true
		}, ruleSequential, "2 of 60 sequential requests outside the attack"},
	}
}

func TestEachRuleIsBrokenByItsFault(t *testing.T) {
	for name, test := range recordFaults() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, o := oneTrial(test.variant), testOptions(t)
				rt := newFake(s)
				rt.edit = test.edit
				outcome, err := Run(t.Context(), s, rt, o)
				if !errors.Is(err, ErrInvalid) {
					t.Fatalf("error %v, want ErrInvalid", err)
				}
				for i := range outcome.Trials {
					expectBroken(t, &outcome.Trials[i], test.rule, test.says)
				}
			})
		})
	}
}

func TestWhatIsNoFaultOfATrialLeavesItValid(t *testing.T) {
	tests := map[string]struct {
		edit    func(p *process, l *record.Line) bool
		warning string // empty: none
	}{
		"nobody was turned away": {func(_ *process, l *record.Line) bool {
			if l.Server != nil {
				l.Server.Refusals, l.Server.PeakPerClient = 0, 4
			}
			return true
		}, "nobody was turned away: clients had at most 4 connections at once (quota 5)"},
		"a served response came too late": {func(p *process, l *record.Line) bool {
			if seq1(p) && l.Request != nil && l.Request.Seq == 3 {
				l.Request.Outcome = record.Timeout
			}
			return true
		}, ""},
		"the server kept a client from starting in time": {func(p *process, l *record.Line) bool {
			if seq1(p) && l.Request != nil {
				switch l.Request.Seq {
				case 30:
					l.Request.EndNS = 3e9
				case 31:
					l.Request.StartNS = 6e9
				}
				if l.Request.Seq > 31 {
					l.Request.StartNS = 6e9 + int64(l.Request.Seq-31)*5e6
				}
			}
			return true
		}, ""},
		"server and clients were both saturated": {func(_ *process, l *record.Line) bool {
			if l.Sample != nil {
				l.Sample.BusyNS = 2e9 + l.Sample.AtNS
			}
			return true
		}, "server and clients were both saturated in 1 of 1 s of the attack"},
		"the attack was slower than scheduled": {func(p *process, l *record.Line) bool {
			if attacker(p) && l.Request != nil {
				l.Request.StartNS += l.Request.StartNS - 1e9
			}
			return true
		}, "attack: 21/s achieved of 40/s scheduled"},
		"datagrams were lost": {func(p *process, l *record.Line) bool {
			if server(p) && l.Sample != nil && l.Sample.AtNS > 0 {
				l.Sample.UDPRcvbufErrors = 9
			}
			return true
		}, "server lost 9 datagrams to a full receive buffer"},
		"something else used the server's CPU": {func(p *process, l *record.Line) bool {
			if server(p) && l.Sample != nil {
				l.Sample.CPUNS -= l.Sample.AtNS / 5
			}
			return true
		}, "something else used 20 % of the server's CPUs"},
		"an attacker reached its limit in flight": {func(p *process, l *record.Line) bool {
			if p.spec.Name == "parallel-1" && l.Client != nil {
				l.Client.Held = 4
			}
			return true
		}, "parallel-1 held back 4 requests"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, o := oneTrial(record.UserspaceBlock), testOptions(t)
				rt := newFake(s)
				rt.edit = test.edit
				outcome, err := Run(t.Context(), s, rt, o)
				if err != nil {
					t.Fatal(err)
				}
				warnings := strings.Join(outcome.Trials[0].Warnings, "\n")
				if !strings.Contains(warnings, test.warning) || test.warning == "" && warnings != "" {
					t.Errorf("warnings %q, want %q", warnings, test.warning)
				}
			})
		})
	}
}

func TestBusyTimeIsInterpolatedBetweenSamples(t *testing.T) {
	n := &nodeEvidence{
		probe: &record.Probe{CPUs: []int{0, 1}},
		usage: []usage{{0, 0}, {1e9, 1e9}, {2e9, 3e9}},
	}
	tests := map[string]struct {
		w    window
		want float64
	}{
		"one CPU of two busy":                   {window{0, 1e9}, 0.5},
		"between samples":                       {window{5e8, 15e8}, 0.75},
		"no growth is known outside of samples": {window{2e9, 3e9}, 0},
		"an empty window":                       {window{1e9, 1e9}, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := n.busy(test.w); got != test.want {
				t.Errorf("busy %v, want %v", got, test.want)
			}
		})
	}
}

func TestTheDeadlineCoversTheLongestClient(t *testing.T) {
	closed := scenarios.Clients{Count: 1, Requests: 10, MaxInFlight: 4, Timeout: time.Second, Delay: time.Minute}
	open := scenarios.Clients{Count: 1, Requests: 10, Rate: 1, MaxInFlight: 4, Timeout: time.Second, Delay: time.Minute}
	tests := map[string]struct {
		clients scenarios.Clients
		want    time.Duration
	}{
		"a schedule and one time-out":                  {open, time.Minute + 11*time.Second},
		"a closed loop in which every round times out": {closed, time.Minute + 3*time.Second},
		"no clients": {scenarios.Clients{Delay: time.Minute}, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := longest(test.clients); got != test.want {
				t.Errorf("longest %s, want %s", got, test.want)
			}
		})
	}
}
