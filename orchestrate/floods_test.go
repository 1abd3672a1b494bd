package orchestrate

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/equic-bench/equic-bench/orchestrate/validity"
	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
	"github.com/equic-bench/equic-bench/scenarios"
)

// flooded returns oneTrial with an attack by a flood.
func flooded(kind record.Attack) *scenarios.Scenario {
	s := oneTrial(record.NoBlock)
	s.Parallel.Kind, s.Parallel.Requests, s.Parallel.Duration = kind, 0, 2*time.Second
	return s
}

// calmFlood sends 100 frames.
func calmFlood(p *process) int {
	p.print(record.Line{Ready: &record.Ready{Node: p.spec.Name, AtNS: p.now()}})
	if code, interrupted := p.until(3 * time.Second); interrupted {
		return code
	}
	p.print(record.Line{Flood: &record.Flood{FromNS: 1e9, ToNS: 3e9, Frames: 100, Bytes: 124200}})
	p.print(record.Line{Client: &record.Client{Requests: 100}})
	p.probe()
	return 0
}

func TestATrialWithAFloodIsValidIfItsFramesArrived(t *testing.T) {
	for name, c := range map[string]struct {
		arrived *Arrivals // nil: unknown
		valid   bool
	}{
		"all arrived":                  {&Arrivals{Frames: 200}, true},
		"some were lost":               {&Arrivals{Frames: 190}, false},
		"the server's queue lost some": {&Arrivals{Frames: 200, Lost: new(uint64(10))}, true},
		"nothing counts":               {nil, true},
		"more came than were sent":     {&Arrivals{Frames: 250}, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rt := newFake(flooded(record.HalfOpen))
				rt.arrived = c.arrived
				rt.programs = map[string]program{"parallel-1": calmFlood, "parallel-2": calmFlood}
				o := testOptions(t)
				o.Once = true
				outcome, err := Run(t.Context(), rt.scenario, rt, o)
				if c.valid != (err == nil) {
					t.Fatal(err)
				}
				trial := outcome.Trials[0]
				if c.arrived == nil {
					c.arrived = new(Arrivals)
				} else if trial.FloodFrames == nil || *trial.FloodFrames != c.arrived.Frames {
					t.Errorf("frames that arrived: %v, want %d", trial.FloodFrames, c.arrived.Frames)
				}
				if trial.QueueLost != c.arrived.Lost {
					t.Errorf("frames that the queue lost: %v, want %v", trial.QueueLost, c.arrived.Lost)
				}
				for _, check := range trial.Checks {
					if want := c.valid || check.Rule != validity.RuleFlood; check.OK != want {
						t.Errorf("%+v", check)
					}
				}
			})
		})
	}
}

func TestAFloodIsToldWhereToSendAndHow(t *testing.T) {
	s := flooded(record.Spoofed)
	s.Parallel.Rate, s.Parallel.Max = 0, true
	nodes := specBuilder{scenario: s, bin: "/", wholeFrames: true}.nodes("no-block")
	i := slices.IndexFunc(nodes, func(n NodeSpec) bool { return n.Role == results.RoleParallel })
	const want = "/equic-probe --interval 100ms -- /equic-flood --kind spoofed --duration 2s " +
		"--rate 0 --delay 1s --interface eth0 --sources 10.192.0.0/12"
	if got := strings.Join(nodes[i].Command, " "); got != want {
		t.Errorf("command\n%s\nwant\n%s", got, want)
	}
	if n := nodes[i]; !n.Flood || n.Sources != s.Network.FloodSources() || n.OpenFiles < floodPorts {
		t.Errorf("node %+v", n)
	}
}

func TestANeighbourHasAnAttackersAddress(t *testing.T) {
	s := oneTrial(record.NoBlock)
	s.Parallel.Count = 2
	s.Neighbour = scenarios.Clients{Count: 3, Requests: 10, MaxInFlight: 1, Timeout: time.Second, KeyExchange: "x25519"}
	nodes := NodeSpecs(s, "no-block", "/")
	byName := map[string]NodeSpec{}
	for _, n := range nodes {
		byName[n.Name] = n
	}
	for name, behind := range map[string]string{
		"neighbour-1": "parallel-1", "neighbour-2": "parallel-2", "neighbour-3": "parallel-1",
	} {
		n := byName[name]
		if n.Behind != behind || n.Address != byName[behind].Address || !n.Address.IsValid() {
			t.Errorf("%s is behind %q at %s, want %q at %s", name, n.Behind, n.Address, behind, byName[behind].Address)
		}
		if i := slices.Index(n.Command, "--mode"); i < 0 || n.Command[i+1] != results.RoleSequential {
			t.Errorf("%s runs %q", name, n.Command)
		}
	}
	if len(nodes) != nodeCount(s) {
		t.Errorf("%d nodes, counted as %d", len(nodes), nodeCount(s))
	}
}

func TestNeighboursAreRefusedWhereEachNodeHasAnAddressOfItsOwn(t *testing.T) {
	s := oneTrial(record.NoBlock)
	s.Neighbour.Count = 1
	rt := newFake(s)
	_, err := Run(t.Context(), s, rt, testOptions(t))
	if !errors.Is(err, ErrRuntime) || !strings.Contains(err.Error(), "run with --runtime netns") || rt.opened > 0 {
		t.Errorf("error %v, %d trials", err, rt.opened)
	}
}

func TestSpoofedPacketsAreRefusedWhereNodesCannotSendThem(t *testing.T) {
	s := flooded(record.Spoofed)
	rt := newFake(s)
	_, err := Run(t.Context(), s, rt, testOptions(t))
	if !errors.Is(err, ErrRuntime) || !strings.Contains(err.Error(), "run with --runtime netns") || rt.opened > 0 {
		t.Errorf("error %v, %d trials", err, rt.opened)
	}
}
