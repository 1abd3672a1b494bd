package validity

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
)

// seq1 and server report whether a record is of that node.
func seq1(n *results.Node) bool   { return n.Name == "sequential-1" }
func server(n *results.Node) bool { return n.Role == results.RoleServer }
func attacker(n *results.Node) bool {
	return n.Role == results.RoleParallel
}

// fault is a change of a valid run that breaks rules.
type fault struct {
	variant record.Variant
	change  func(*synth)
	broken  rules
	says    string // in the evidence of one of them
}

type rules []string

// edited changes the records of all nodes; false drops one.
func edited(edit func(n *results.Node, l *record.Line) bool) func(*synth) {
	return func(s *synth) { s.edit(edit) }
}

// recordFaults returns faults in the records, and so in the behaviour of the nodes.
func recordFaults() map[string]fault {
	return map[string]fault{
		"a request is missing": {record.NoBlock, edited(func(n *results.Node, l *record.Line) bool {
			return !seq1(n) || l.Request == nil || l.Request.Seq != 3
		}), rules{RuleComplete, RuleServed}, "sequential-1 left 39 requests and counts 40, of 40 planned"},
		"a request is there twice, another not at all": {record.NoBlock, edited(func(n *results.Node, l *record.Line) bool {
			if seq1(n) && l.Request != nil && l.Request.Seq == 3 {
				l.Request.Seq = 4
			}
			return true
		}), rules{RuleComplete}, "sequential-1 left 1 requests whose number repeats"},
		"a request has no outcome": {record.NoBlock, edited(func(n *results.Node, l *record.Line) bool {
			if seq1(n) && l.Request != nil && l.Request.Seq == 3 {
				l.Request.Outcome = ""
			}
			return true
		}), rules{RuleComplete, RuleServed}, "outcome is unknown"},
		"a client leaves no totals": {record.NoBlock, edited(func(n *results.Node, l *record.Line) bool {
			return !seq1(n) || l.Client == nil
		}), rules{RuleComplete}, "sequential-1 left no client record"},
		"the server leaves no totals": {record.NoBlock, edited(func(_ *results.Node, l *record.Line) bool {
			return l.Server == nil
		}), rules{RuleComplete, RuleQuota}, "server left no server record"},
		"the gateway leaves no totals": {record.XDPBlock, edited(func(_ *results.Node, l *record.Line) bool {
			return l.Gateway == nil
		}), rules{RuleComplete, RuleKernel}, "server left no gateway record"},
		"the kernel drops nothing of a client at its quota": {
			record.XDPBlock,
			edited(func(_ *results.Node, l *record.Line) bool {
				if l.Gateway != nil {
					l.Gateway.Packets = map[string]uint64{"drop_short_initial": 4} // other drops do not count
				}
				return true
			}),
			rules{RuleKernel},
			"no packet was dropped over quota",
		},
		"the server refuses what the kernel should drop": {
			record.XDPBlockNew,
			edited(func(_ *results.Node, l *record.Line) bool {
				if l.Server != nil {
					l.Server.Refusals = 5
				}
				return true
			}),
			rules{RuleKernel},
			"server had to refuse 5 connections by itself, but only 4 packets were dropped over quota",
		},
		"frames of a flood are lost": {record.NoBlock, func(s *synth) {
			s.flood()
			*s.trial.FloodFrames = 1960
		}, rules{RuleFlood}, "2000 frames were sent, 1960 came to the server"},
		"a count does not reach the kernel": {record.XDPBlock, edited(func(_ *results.Node, l *record.Line) bool {
			if l.Gateway != nil {
				l.Gateway.UpdateErrors = 1
			}
			return true
		}), rules{RuleKernel}, "server has 1 counts that did not reach"},
		"a probe leaves no record": {record.NoBlock, edited(func(n *results.Node, l *record.Line) bool {
			return !seq1(n) || l.Probe == nil
		}), rules{RuleComplete}, "sequential-1 left no probe record"},
		"system calls were not counted": {record.NoBlock, edited(func(n *results.Node, l *record.Line) bool {
			if server(n) && l.Probe != nil {
				l.Probe.SyscallCounter = false
			}
			return true
		}), rules{RuleComplete}, "server did not count its system calls"},
		"a sample is missing": {record.NoBlock, edited(func(n *results.Node, l *record.Line) bool {
			return !seq1(n) || l.Sample == nil || l.Sample.AtNS != 0
		}), rules{RuleComplete}, "sequential-1 left 49 samples, of 50 taken"},
		"a measured process ended with an error": {record.NoBlock, edited(func(n *results.Node, l *record.Line) bool {
			if seq1(n) && l.Probe != nil {
				l.Probe.ExitCode = 1
			}
			return true
		}), rules{RuleComplete}, "sequential-1 measured a process that ended with exit code 1"},
		"a record comes after the probe's last": {record.NoBlock, func(s *synth) {
			s.print("sequential-1", record.Line{Sample: &record.Sample{AtNS: 9e9}})
		}, rules{RuleComplete}, "sequential-1 printed records after the probe's last"},
		"the attackers make no request": {record.NoBlock, edited(func(n *results.Node, l *record.Line) bool {
			return !attacker(n) || l.Request == nil
		}), rules{RuleComplete, RuleServed, RuleOverlap}, "has no requests: there is nothing to overlap"},
		"a node started twice": {record.NoBlock, func(s *synth) {
			s.printFirst("sequential-1", record.Line{Ready: &record.Ready{AtNS: -2e9}})
		}, rules{RuleAlive}, "sequential-1 was ready 2 times"},
		"a node was throttled": {record.NoBlock, edited(func(n *results.Node, l *record.Line) bool {
			if server(n) && l.Probe != nil {
				l.Probe.ThrottledPeriods = 2
			}
			return true
		}), rules{RuleThrottled}, "server was throttled in 2 periods"},
		"a node was swapped": {record.NoBlock, edited(func(n *results.Node, l *record.Line) bool {
			if server(n) && l.Sample != nil && l.Sample.AtNS == 0 {
				l.Sample.SwapBytes = 4096
			}
			return true
		}), rules{RuleSwapped}, "server had 4096 bytes swapped out"},
		"the server lost its interface": {record.NoBlock, edited(func(n *results.Node, l *record.Line) bool {
			if server(n) && l.Probe != nil {
				l.Probe.LostInterfaces = []string{"eth0"}
			}
			return true
		}), rules{RuleInterface}, "server lost its interface eth0"},
		"a client got more than the server served": {record.NoBlock, edited(func(_ *results.Node, l *record.Line) bool {
			if l.Connection != nil && l.Connection.Client == "10.9.8.11" {
				l.Connection.Served--
			}
			return true
		}), rules{RuleServed}, "sequential-1 got 40 whole responses and can have got at most 40, but the server counted 39"},
		"the server served more than a client asked for": {record.NoBlock, edited(func(_ *results.Node, l *record.Line) bool {
			if l.Connection != nil && l.Connection.Client == "10.9.8.11" {
				l.Connection.Served++
			}
			return true
		}), rules{RuleServed}, "the server counted 41"},
		"a connection is still counted": {record.NoBlock, edited(func(_ *results.Node, l *record.Line) bool {
			if l.Server != nil {
				l.Server.StillCounted = 1
			}
			return true
		}), rules{RuleQuota}, "server still counts 1 connections"},
		"a client was over quota": {record.UserspaceBlock, edited(func(_ *results.Node, l *record.Line) bool {
			if l.Server != nil {
				l.Server.PeakPerClient = 6
			}
			return true
		}), rules{RuleQuota}, "server had 6 connections of one client at once, the quota is 5"},
		"XDP took another mode": {record.XDPBlock, edited(func(n *results.Node, l *record.Line) bool {
			if server(n) && l.Ready != nil {
				l.Ready.XDPMode = "generic"
			}
			return true
		}), rules{RuleXDPMode}, `XDP mode "generic", but "native" was asked for`},
		"XDP is attached where it should not be": {record.NoBlock, edited(func(n *results.Node, l *record.Line) bool {
			if server(n) && l.Ready != nil {
				l.Ready.XDPMode = "native"
			}
			return true
		}), rules{RuleXDPMode}, `XDP mode "native", but "" was asked for`},
		"the load was over before the attack": {record.NoBlock, edited(func(n *results.Node, l *record.Line) bool {
			if n.Role == results.RoleSequential && l.Request != nil {
				l.Request.ScheduledNS /= 10
				l.Request.StartNS /= 10
			}
			return true
		}), rules{RuleOverlap}, "sequential load from 0.000 s to 0.390 s: 0 % of the attack met load"},
		"the clients were saturated and the server was not": {
			record.NoBlock,
			edited(func(n *results.Node, l *record.Line) bool {
				if attacker(n) && l.Sample != nil {
					l.Sample.BusyNS = 2e9 + l.Sample.AtNS
				}
				return true
			}),
			rules{RuleGenerator},
			"1 of 1 s of the attack; attack: 40/s achieved of 40/s scheduled",
		},
		"the clients were saturated by softirqs": {record.NoBlock, edited(func(n *results.Node, l *record.Line) bool {
			if attacker(n) && l.Sample != nil {
				l.Sample.SoftIRQNS = 2e9 + l.Sample.AtNS/2
			}
			return true
		}), rules{RuleGenerator}, "1 of 1 s of the attack"},
		"the host gave the clients' CPUs to other guests": {
			record.NoBlock, edited(stolen), rules{RuleGenerator}, "1 of 1 s of the attack",
		},
		"a client had no sockets left": {record.NoBlock, edited(func(n *results.Node, l *record.Line) bool {
			if n.Name == "parallel-2" && l.Request != nil && l.Request.Seq == 3 {
				l.Request.Outcome, l.Request.Error = record.Local, "open socket: too many open files"
			}
			return true
		}), rules{RuleLocal}, "1 of 40 parallel requests failed on the clients' own machine, the first of parallel-2: " +
			"open socket: too"},
		"a sequential request started two seconds late": {record.NoBlock, edited(func(n *results.Node, l *record.Line) bool {
			if seq1(n) && l.Request != nil && l.Request.Seq == 39 {
				l.Request.StartNS += 2e9
			}
			return true
		}), rules{RuleSequential}, "the latest 2.000 s, of sequential-1"},
		"sequential requests started 0.2 s late, and those after them caught up": {
			record.NoBlock,
			edited(func(n *results.Node, l *record.Line) bool {
				if seq1(n) && l.Request != nil && l.Request.Seq >= 32 {
					l.Request.StartNS += [...]int64{200e6, 105e6, 10e6, 0}[l.Request.Seq%4]
				}
				return true
			}),
			rules{RuleSequential},
			"2 of 60 sequential requests outside the attack",
		},
	}
}

// otherFaults returns faults in the other evidence: the manifest, and the observations
// of the run.
func otherFaults() map[string]fault {
	node := func(name string, change func(*results.Node)) func(*synth) {
		return func(s *synth) { change(s.named(name)) }
	}
	return map[string]fault{
		"a client was killed": {
			record.NoBlock, node("parallel-2", func(n *results.Node) { n.Ended = results.EndedKilled }),
			rules{RuleCompleted},
			"parallel-2 was killed",
		},
		"a client was never started": {
			record.NoBlock, node("parallel-2", func(n *results.Node) { n.Ended = results.NeverStarted }),
			rules{RuleCompleted},
			"parallel-2 was never started",
		},
		"a node is ready after the epoch": {record.NoBlock, func(s *synth) {
			s.named("sequential-1").ReadySeenNS = 3e8
			s.records["sequential-1"][0].Ready.AtNS = 3e8
		}, rules{RuleReady}, "sequential-1 was ready 0.300 s after the epoch"},
		"a node's clock is ahead": {
			record.NoBlock, node("server", func(n *results.Node) { n.ReadySeenNS = -1.2e9 }),
			rules{RuleReady},
			"server was ready 1.000 s before the epoch by its clock, but reported it 1.200 s before the epoch by ours",
		},
		"the clock of the machine is set": {
			record.NoBlock, func(s *synth) { s.trial.ClockStepNS = -101e6 },
			rules{RuleReady},
			"which server and clients start by, was set back by 0.101 s",
		},
		"the server ends before it is asked to": {
			record.NoBlock, node("server", func(n *results.Node) { n.Ended = results.EndedItself }),
			rules{RuleAlive},
			"server ended with exit code 0",
		},
		"a client dies, with last words": {
			record.NoBlock, node("parallel-2", func(n *results.Node) { n.ExitCode, n.LastWords = 1, "no route" }),
			rules{RuleAlive},
			`parallel-2 ended with exit code 1; its last words: "no route"`,
		},
		"a client prints what is no record": {
			record.NoBlock, node("parallel-2", func(n *results.Node) { n.Fault = "line 3 is not a record" }),
			rules{RuleReadable},
			"parallel-2: line 3 is not a record",
		},
		"more requests were planned": {
			record.NoBlock, func(s *synth) { s.manifest.Experiment.Sequential.Requests = 41 },
			rules{RuleComplete},
			"sequential-1 left 40 requests and counts 40, of 41 planned",
		},
		"the quota is another": {
			record.UserspaceBlock, func(s *synth) { s.manifest.Experiment.Quota = 4 },
			rules{RuleQuota},
			"server had 5 connections of one client at once, the quota is 4",
		},
		"another XDP mode was asked for": {
			record.XDPBlock, func(s *synth) { s.manifest.Experiment.XDPMode = "generic" },
			rules{RuleXDPMode},
			`XDP mode "native", but "generic" was asked for`,
		},
	}
}

func TestEachFaultBreaksItsRulesAndNoOther(t *testing.T) {
	alone := map[string]bool{}
	for _, faults := range []map[string]fault{recordFaults(), otherFaults()} {
		for name, test := range faults {
			if len(test.broken) == 1 {
				alone[test.broken[0]] = true
			}
			t.Run(name, func(t *testing.T) {
				s := newSynth(test.variant).recorded(t)
				if !s.trial.Valid {
					t.Fatalf("the run is not valid without the fault: %+v", s.trial.Checks)
				}
				test.change(s)
				expectBroken(t, s.judge(t), test.says, test.broken...)
				if got := differing(s.verify()); !slices.Equal(got, test.broken) {
					t.Errorf("verify names %q, want %q", got, test.broken)
				}
			})
		}
	}
	for _, name := range Rules() {
		if !alone[name] {
			t.Errorf("no fault breaks rule %s alone", name)
		}
	}
}

// differing returns the rules that a finding names.
func differing(f results.Finding) []string {
	var names []string
	for _, fault := range f.Faults {
		name, _, _ := strings.Cut(fault.Fault, ": recorded ok, judged not ok: ")
		names = append(names, name)
	}
	return names
}

// expectBroken looks for one of some rules, broken with certain evidence.
func expectBroken(t *testing.T, v *Verdict, says string, rules ...string) {
	t.Helper()
	for _, c := range v.Checks {
		if slices.Contains(rules, c.Rule) && !c.OK && strings.Contains(c.Evidence, says) {
			expectFacts(t, c)
			return
		}
	}
	t.Errorf("none of %q is broken with %q in its evidence: %+v", rules, says, v.Checks)
}

// expectFacts checks that evidence names a node, or a group of them, and a number, or
// states that there was none at all.
func expectFacts(t *testing.T, c results.Check) {
	t.Helper()
	node := regexp.MustCompile(`\b(server|clients|(sequential|parallel)(-\d+)?)\b`)
	if !node.MatchString(c.Evidence) {
		t.Errorf("the evidence of rule %s names no node: %q", c.Rule, c.Evidence)
	}
	fact := regexp.MustCompile(`\d|\bno\b|\bnever\b|did not|unknown|records after|was measured|was killed|XDP mode`)
	if !fact.MatchString(node.ReplaceAllString(c.Evidence, "")) {
		t.Errorf("the evidence of rule %s has no number: %q", c.Rule, c.Evidence)
	}
}

// datagrams makes each of the four clients send 100, of which that many come to the server, or to a
// full buffer there.
func datagrams(came, failed uint64) func(n *results.Node, l *record.Line) bool {
	return func(n *results.Node, l *record.Line) bool {
		switch {
		case l.Sample == nil:
		case !server(n):
			l.Sample.UDPOutDatagrams = 1
			if l.Sample.AtNS > 0 {
				l.Sample.UDPOutDatagrams += 100
			}
		case l.Sample.AtNS > 0:
			l.Sample.UDPInDatagrams, l.Sample.UDPInErrors = came, failed
		}
		return true
	}
}

func TestWhatIsNoFaultOfATrialLeavesItValid(t *testing.T) {
	tests := map[string]struct {
		edit    func(n *results.Node, l *record.Line) bool
		warning string // empty: none
	}{
		"nobody was turned away": {func(_ *results.Node, l *record.Line) bool {
			if l.Server != nil {
				l.Server.Refusals, l.Server.PeakPerClient = 0, 4
			}
			return true
		}, "nobody was turned away: clients had at most 4 connections at once (quota 5)"},
		"a served response came too late": {func(n *results.Node, l *record.Line) bool {
			if seq1(n) && l.Request != nil && l.Request.Seq == 3 {
				l.Request.Outcome = record.Timeout
			}
			return true
		}, ""},
		"the server kept a client from starting in time": {func(n *results.Node, l *record.Line) bool {
			if seq1(n) && l.Request != nil {
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
		"server and clients were both saturated": {func(_ *results.Node, l *record.Line) bool {
			if l.Sample != nil {
				l.Sample.BusyNS = 2e9 + l.Sample.AtNS
			}
			return true
		}, "server and clients were both saturated in 1 of 1 s of the attack"},
		"the attack was slower than scheduled": {func(n *results.Node, l *record.Line) bool {
			if attacker(n) && l.Request != nil {
				l.Request.StartNS += l.Request.StartNS - 1e9
			}
			return true
		}, "attack: 20/s achieved of 40/s scheduled"},
		"datagrams were lost": {func(n *results.Node, l *record.Line) bool {
			if server(n) && l.Sample != nil && l.Sample.AtNS > 0 {
				l.Sample.UDPRcvbufErrors = 9
			}
			return true
		}, "server lost 9 datagrams to a full receive buffer"},
		"the network lost datagrams": {datagrams(300, 40), "60 of 400 datagrams that the clients sent never came to the " +
			"server: the network between them lost 15 %"},
		"the network lost almost nothing": {datagrams(397, 0), ""},
		"something else used the server's CPU": {func(n *results.Node, l *record.Line) bool {
			if server(n) && l.Sample != nil {
				l.Sample.CPUNS -= l.Sample.AtNS / 5
			}
			return true
		}, "something else used 20 % of the server's CPUs"},
		"an attacker reached its limit in flight": {func(n *results.Node, l *record.Line) bool {
			if n.Name == "parallel-1" && l.Client != nil {
				l.Client.Held = 4
			}
			return true
		}, "parallel-1 held back 4 requests"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newSynth(record.UserspaceBlock)
			s.edit(test.edit)
			v := s.judge(t)
			warnings := strings.Join(v.Warnings, "\n")
			if !v.Valid() || !strings.Contains(warnings, test.warning) || test.warning == "" && warnings != "" {
				t.Errorf("warnings %q, want %q; checks %+v", warnings, test.warning, v.Checks)
			}
		})
	}
}

func TestATrialOfASearchIsJudgedByItsOwnStrength(t *testing.T) {
	s := newSynth(record.UserspaceBlock)
	s.manifest.Experiment.Search = new(results.Search)
	s.manifest.Experiment.Parallel.Strength, s.trial.Strength = 1, 2
	s.edit(func(_ *results.Node, l *record.Line) bool {
		if l.Server != nil {
			l.Server.Refusals = 0
		}
		return true
	})
	// It is no news that the server refuses no client of a weak attack.
	if w := s.judge(t).Warnings; !slices.Equal(w, []string{"attack: 40/s achieved of 80/s scheduled"}) {
		t.Errorf("warnings %q", w)
	}
}

func TestSystemCallsAreNotMissedWhereHalfOfThemIsCounted(t *testing.T) {
	s := newSynth(record.NoBlock)
	s.edit(func(_ *results.Node, l *record.Line) bool {
		if l.Probe != nil {
			l.Probe.SyscallCounter = false
		}
		return true
	})
	for name, change := range map[string]func(*results.Experiment){
		"half of them":         func(e *results.Experiment) { e.AlternateNS = 1e9 },
		"none is asked for":    func(e *results.Experiment) { e.Syscalls = new(false) },
		"an older run: either": func(e *results.Experiment) { e.Syscalls = nil },
	} {
		was := s.manifest.Experiment
		expectBroken(t, s.judge(t), "server did not count its system calls", RuleComplete)
		change(&s.manifest.Experiment)
		if v := s.judge(t); !v.Valid() {
			t.Errorf("%s: %+v", name, v.Checks)
		}
		s.manifest.Experiment = was
	}
}

// stolen makes steal time of the idle time of the attackers' CPUs.
func stolen(n *results.Node, l *record.Line) bool {
	if attacker(n) && l.Sample != nil {
		l.Sample.StealNS = l.Sample.AtNS / 2
	}
	return true
}

func TestInOlderRunsStealTimeIsIdle(t *testing.T) {
	s := newSynth(record.NoBlock)
	s.edit(stolen)
	s.manifest.ValidityVersion = stealVersion - 1
	v, err := Judge(s.manifest, s.trial, s.read)
	if err != nil || !v.Valid() {
		t.Errorf("%+v, error %v; want a valid trial", v, err)
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

func TestAPacedClientThatStartsLateMakesATrialInvalid(t *testing.T) {
	s := newSynth(record.NoBlock)
	load := &s.manifest.Experiment.Sequential
	load.RatePerSecond, load.PaceNS = 0, 1e8
	if v := s.judge(t); !v.Valid() {
		t.Fatalf("%+v", v.Checks)
	}
	s.edit(func(n *results.Node, l *record.Line) bool {
		if seq1(n) && l.Request != nil && l.Request.Seq >= 30 { // its CPU was away for 2 s
			l.Request.ScheduledNS, l.Request.StartNS = l.Request.ScheduledNS+2e9, l.Request.StartNS+2e9
		}
		return true
	})
	expectBroken(t, s.judge(t), "the latest 2.000 s, of sequential-1", RuleSequential)
	s.manifest.ValidityVersion = pacedVersion - 1
	if v, err := Judge(s.manifest, s.trial, s.read); err != nil || !v.Valid() {
		t.Errorf("an older run: %+v, %v", v, err)
	}
}

func TestTheClientsOfEachHostCanBeTheBottleneck(t *testing.T) {
	s := newSynth(record.NoBlock)
	s.named("parallel-2").Host = "second"
	s.edit(func(n *results.Node, l *record.Line) bool {
		if n.Name == "parallel-2" && l.Sample != nil {
			l.Sample.BusyNS = 2e9 + l.Sample.AtNS
		}
		return true
	})
	expectBroken(t, s.judge(t), "1 of 1 s of the attack", RuleGenerator)
}

func TestTheAchievedRateIsTheScheduleHoweverClientsStart(t *testing.T) {
	for name, apartNS := range map[string]int64{"in step": 0, "in turn": 5e6} {
		e := &evidence{experiment: &results.Experiment{Parallel: results.Load{Clients: 100, RatePerSecond: 2}}}
		for client := range int64(100) {
			n := &nodeEvidence{Node: &results.Node{Role: results.RoleParallel}}
			for i := range int64(10) {
				at := 10e9 + client*apartNS + i*5e8
				n.requests = append(n.requests, span{at, at, at})
			}
			e.nodes = append(e.nodes, n)
		}
		if got, _ := e.attackRates(); got != 200 {
			t.Errorf("%s: %v/s, want 200", name, got)
		}
	}
}

func TestWhatTheApplicationDropsHasCome(t *testing.T) {
	s := newSynth(record.AppDropBlock)
	s.edit(datagrams(300, 0))
	s.printFirst(results.RoleServer, record.Line{Gateway: &record.Gateway{Dropped: 100}})
	if w := strings.Join(s.judge(t).Warnings, "\n"); !strings.Contains(w, "100 of 400 datagrams") {
		t.Errorf("warnings %q", w)
	}
}
