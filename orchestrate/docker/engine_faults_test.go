package docker

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/orchestrate"
	"github.com/equic-bench/equic-bench/scenarios"
)

// openFake connects to a fake engine.
func openFake(t *testing.T, bin string) *Runtime {
	t.Helper()
	r, err := New(t.Context(), bin)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func TestTheEnginesVersionOfTheAPIIsSpoken(t *testing.T) {
	for name, test := range map[string]struct{ offered, spoken string }{
		"Engine 20.10 offers 1.41":           {"1.41", "1.41"},
		"an engine of 2018 offers 1.37":      {"1.37", "1.37"},
		"a later engine than ours can speak": {"1.99", api.DefaultVersion},
		"an engine that does not say":        {"", "1.24"}, // the first API with versions
	} {
		t.Run(name, func(t *testing.T) {
			e := startFakeEngine(t, test.offered, "")
			r := openFake(t, "")
			if got := r.Platform().Runtime.API; got != test.spoken {
				t.Errorf("API %s is recorded, want %s", got, test.spoken)
			}
			paths, _ := e.asked()
			if !slices.Contains(paths, "/v"+test.spoken+"/info") {
				t.Errorf("asked for %v, want /v%s/info among them", paths, test.spoken)
			}
		})
	}
}

func TestAnUnknownCapabilityIsReplacedByTheOlderOnes(t *testing.T) {
	const newer, older = "CAP_BPF,CAP_NET_ADMIN,CAP_PERFMON", "CAP_NET_ADMIN,CAP_SYS_ADMIN" // as the SDK writes them
	for name, test := range map[string]struct {
		unknown string
		asked   []string // for the server's container, one after the other
		says    string   // of the error; empty is none
	}{
		"all are known":                 {"", []string{newer}, ""},
		"CAP_BPF is unknown":            {"CAP_BPF", []string{newer, older}, ""},
		"CAP_PERFMON is unknown":        {"CAP_PERFMON", []string{newer, older}, ""},
		"one of the older ones is, too": {"CAP_NET_ADMIN", []string{newer, older}, "create container server: "},
	} {
		t.Run(name, func(t *testing.T) {
			e := startFakeEngine(t, "1.41", test.unknown)
			r, spec := openFake(t, ""), testSpec(t)
			spec.Nodes = spec.Nodes[:1]
			nodes, err := r.Open(t.Context(), spec)
			if test.says == "" && err != nil || test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)) {
				t.Fatalf("error %v, want %q", err, test.says)
			}
			if err == nil {
				if err := nodes.Remove(t.Context()); err != nil {
					t.Error(err)
				}
			}
			var asked []string
			_, created := e.asked()
			for _, c := range created {
				asked = append(asked, strings.Join(c.HostConfig.CapAdd, ","))
			}
			if !slices.Equal(asked, test.asked) {
				t.Errorf("asked for %v, want %v", asked, test.asked)
			}
			want := Capabilities()
			if len(test.asked) > 1 {
				want = OlderCapabilities()
			}
			if got := r.Platform().Runtime.Capabilities; !slices.Equal(got, want) {
				t.Errorf("%v are recorded, want %v", got, want)
			}
			if len(e.containers)+len(e.networks) > 0 {
				t.Errorf("left in the engine: %v, %v", e.containers, e.networks)
			}
		})
	}
}

// fakeRun runs on a fake engine with clients that never end by themselves.
func fakeRun(t *testing.T, e *fakeEngine, at string) (root string, _ orchestrate.Outcome, _ error) {
	t.Helper()
	s, err := scenarios.Load("../../scenarios/smoke.yaml")
	if err != nil {
		t.Fatal(err)
	}
	// A trial whose nodes are late is given up, and these do not end if they are killed.
	s.Variants, s.Trial.Startup, s.Parallel.Delay = s.Variants[:1], 2*time.Second, 1200*time.Millisecond
	s.Parallel.Requests = 300 // each phase takes two seconds: an event comes once a second
	root = t.TempDir()
	bin := standIns(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	outcome, err := orchestrate.Run(ctx, s, openFake(t, bin), orchestrate.Options{
		Results: root, BinDir: bin,
		OnEvent: func(event orchestrate.Event) {
			t.Log(event.Phase, event.Elapsed) // on failure, when each phase was
			if event.Phase == at {
				e.die()
			}
		},
	})
	return root, outcome, err
}

func TestAnEngineThatStopsInATrialEndsTheRun(t *testing.T) {
	testkit.Slow(t, "runs a trial for each phase")
	for _, phase := range []string{
		orchestrate.PhasePrepare, orchestrate.PhaseStart, orchestrate.PhaseBefore, orchestrate.PhaseAttack,
		orchestrate.PhaseAfter,
	} {
		t.Run("in the phase "+phase, func(t *testing.T) {
			e := startFakeEngine(t, "1.41", "")
			root, outcome, err := fakeRun(t, e, phase)
			if !errors.Is(err, ErrNoEngine) || !strings.Contains(err.Error(), "start the engine") {
				t.Errorf("error %v, want ErrNoEngine and the remedy", err)
			}
			if len(outcome.Trials) > 0 {
				t.Errorf("trials came of it: %+v", outcome.Trials)
			}
			if left, err := os.ReadDir(root); err != nil || len(left) > 0 {
				t.Errorf("left in the results folder: %v, %v", left, err)
			}
		})
	}
}

func TestAnEngineThatHangsIsWaitedForNoLongerThanTheContext(t *testing.T) {
	start := func(ctx context.Context, n *nodes) error { return n.Start(ctx, "server", io.Discard, io.Discard) }
	network := func(ctx context.Context, n *nodes) error {
		_, err := n.runtime.createNetwork(ctx, n.spec)
		return n.runtime.engine.Lost(err)
	}
	for name, test := range map[string]struct {
		at string // the end of the path that is not answered
		do func(ctx context.Context, n *nodes) error
	}{
		"when it lists networks":        {"/networks", network},
		"when it is to make a network":  {"/networks/create", network},
		"when it is attached to a node": {"/attach", start},
		"when it is to wait for a node": {"/wait", start},
		"when it is to start a node":    {"/start", start},
		"when it is to signal to a node": {
			"/kill",
			func(ctx context.Context, n *nodes) error { return n.Signal(ctx, "server", syscall.SIGTERM) },
		},
		"when it is to remove nodes": {
			"/containers/json",
			func(ctx context.Context, n *nodes) error { return n.Remove(ctx) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := startFakeEngine(t, "1.41", "")
			n := openNodes(t, openFake(t, ""), testSpec(t)).(*nodes)
			e.hangAt(test.at)
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			ended := make(chan error, 1)
			go func() { ended <- test.do(ctx, n) }()
			select {
			case err := <-ended:
				if !errors.Is(err, ErrNoEngine) || !strings.Contains(err.Error(), "restart the engine") ||
					strings.Contains(err.Error(), "network.subnet") {
					t.Errorf("error %v, want ErrNoEngine and its remedy, no other", err)
				}
			case <-time.After(20 * time.Second):
				e.die()
				t.Errorf("it is waited for; it ended with the engine: %v", <-ended)
			}
			e.hangAt("") // for the removal
		})
	}
}

func TestOnlyUnusedImagesAreRemoved(t *testing.T) {
	e := startFakeEngine(t, "1.41", "")
	e.images, e.used = []string{repository + ":1", repository + ":2", repository + ":3"}, repository+":2"
	removed, err := openFake(t, "").Unprepare(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"image " + repository + ":1", "image " + repository + ":3"}; !slices.Equal(removed, want) {
		t.Errorf("%v are said to be removed, want %v", removed, want)
	}
	if !slices.Equal(e.images, []string{e.used}) {
		t.Errorf("%v are left, want that of a container", e.images)
	}
}

func TestTheEngineIsAskedForTheOpenFilesThatANodeNeeds(t *testing.T) {
	e := startFakeEngine(t, "1.41", "")
	r, spec := openFake(t, ""), testSpec(t)
	spec.Nodes[1].OpenFiles = 1064
	few := spec.Nodes[1]
	few.Name, few.Address, few.OpenFiles = "few", few.Address.Next(), 65
	spec.Nodes = append(spec.Nodes, few)
	nodes, err := r.Open(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { testkit.Must(t, nodes.Remove(t.Context())) }()
	var got []string
	_, created := e.asked()
	for _, c := range created {
		for _, limit := range c.HostConfig.Ulimits {
			got = append(got, limit.String())
		}
	}
	slices.Sort(got)
	if want := []string{"nofile=1024:1024", "nofile=1064:1064"}; !slices.Equal(got, want) {
		t.Errorf("%d containers with the limits %q, want %q and none for the server", len(created), got, want)
	}
}

func TestAnEngineThatMayNotRaiseALimitIsNamedWithTheRemedy(t *testing.T) {
	said := errors.New("OCI runtime create failed: error setting rlimit type 7: operation not permitted")
	err := limited(said, 5064)
	if !errors.Is(err, ErrOpenFiles) || !errors.Is(err, said) || !strings.Contains(err.Error(), "for 5064 of them") ||
		!strings.Contains(err.Error(), "max_in_flight") {
		t.Errorf("got %v", err)
	}
	other := errors.New("no such container")
	if err := limited(other, 5064); !errors.Is(err, other) || errors.Is(err, ErrOpenFiles) {
		t.Errorf("another error became %v", err)
	}
}
