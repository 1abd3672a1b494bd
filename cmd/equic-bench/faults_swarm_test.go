package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/orchestrate"
	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
)

// swarmHost is an engine in a swarm, in namespaces of its own.
type swarmHost struct {
	*privateEngine

	name, address string
}

// testSwarm is a swarm of two engines: the server runs on the manager, and the clients on the
// worker. One cable joins them, which ends with either.
type testSwarm struct {
	t               *testing.T
	manager, worker swarmHost
}

// startSwarm makes this test's commands use a swarm of its own.
func startSwarm(t *testing.T) *testSwarm {
	t.Helper()
	host := func(name, address string) swarmHost {
		return swarmHost{newPrivateEngine(t, "echo "+name+" > /proc/sys/kernel/hostname; "+
			"until ip -4 addr show dev eth0 2>/dev/null | grep -q inet; do sleep 0.05; done; exec"), name, address}
	}
	s := &testSwarm{t, host("first", "10.98.0.1"), host("second", "10.98.0.2")}
	t.Setenv("DOCKER_HOST", s.manager.socket)
	s.manager.launch(t)
	s.worker.launch(t)
	s.connect()
	s.docker(s.manager, "swarm", "init", "--advertise-addr", s.manager.address)
	token := s.docker(s.manager, "swarm", "join-token", "--quiet", "worker")
	s.docker(s.worker, "swarm", "join", "--token", token, s.manager.address+":2377")
	for role, h := range map[string]swarmHost{"server": s.manager, "clients": s.worker} {
		s.docker(s.manager, "node", "update", "--label-add", "equic-bench.role="+role, h.name)
	}
	return s
}

// connect joins the two hosts, and waits for their engines.
func (s *testSwarm) connect() {
	s.t.Helper()
	hosts := []swarmHost{s.manager, s.worker}
	var pids []string
	for _, h := range hosts {
		testkit.Await(s.t, "the process of the engine", func() bool { return h.pid() != 0 })
		pids = append(pids, strconv.Itoa(h.pid()))
	}
	for _, pid := range pids { // the kernel removes the end of a dead host's cable some time later
		_ = exec.CommandContext(s.t.Context(), "nsenter", "--net=/proc/"+pid+"/ns/net", "ip", "link", "del", "eth0").Run()
	}
	s.run("ip", "link", "add", "eth0", "netns", pids[0], "type", "veth", "peer", "name", "eth0", "netns", pids[1])
	for i, h := range hosts {
		s.inside(pids[i], "ip", "link", "set", "lo", "up")
		s.inside(pids[i], "ip", "addr", "add", h.address+"/24", "dev", "eth0")
		s.inside(pids[i], "ip", "link", "set", "eth0", "up")
	}
	for _, h := range hosts {
		h.await(s.t)
	}
}

// restart starts a host that was stopped.
func (s *testSwarm) restart(h swarmHost) {
	s.t.Helper()
	h.launch(s.t)
	s.connect()
	testkit.AwaitFor(s.t, time.Minute, "the hosts of the swarm", func() bool {
		list := exec.CommandContext(s.t.Context(), "docker", "node", "ls", "--format", "{{.Status}}")
		out, err := list.Output()
		return err == nil && strings.Count(string(out), "Ready") == 2
	})
}

func (s *testSwarm) run(name string, args ...string) string {
	s.t.Helper()
	out, err := exec.CommandContext(s.t.Context(), name, args...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// inside runs a command in the network of a process.
func (s *testSwarm) inside(pid, name string, args ...string) {
	s.t.Helper()
	s.run("nsenter", slices.Concat([]string{"--net=/proc/" + pid + "/ns/net", name}, args)...)
}

func (s *testSwarm) docker(h swarmHost, args ...string) string {
	s.t.Helper()
	return s.run("docker", append([]string{"--host", h.socket}, args...)...)
}

// load gives the worker the image that a run made on the manager.
func (s *testSwarm) load() {
	s.t.Helper()
	archive := filepath.Join(s.t.TempDir(), "node.tar")
	tag := s.docker(s.manager, "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "equic-bench/node")
	s.docker(s.manager, "save", tag, "--output", archive)
	s.docker(s.worker, "load", "--input", archive)
}

// start starts a run of the faults' scenario.
func (s *testSwarm) start() *faultRun {
	s.t.Helper()
	return startFaultRun(s.t, s.t.TempDir(), "--variants", "xdp-block", "--runtime", runtimeSwarm)
}

// server waits for the server of the run's next attempt.
func (s *testSwarm) server(r *faultRun) (n faultNode) {
	s.t.Helper()
	testkit.AwaitFor(s.t, time.Minute, "the server", func() bool {
		for _, p := range processes() {
			epoch := p.variable(record.EnvEpoch)
			groups, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", p.pid)) // empty for one that has ended
			if p.variable(record.EnvNode) != results.RoleServer || r.epochs[epoch] ||
				!bytes.Contains(groups, []byte(filepath.Base(s.manager.dir))) || !program(p.pid) {
				continue
			}
			ns, _ := strconv.ParseInt(epoch, 10, 64) // the run wrote it
			n = faultNode{program: p.pid, epoch: time.Unix(0, ns)}
			r.epochs[epoch], r.spaces[p.space] = true, true
			return true
		}
		return false
	})
	return n
}

// checkClean asserts that no host has a service, a network or a container of a run.
func (s *testSwarm) checkClean() {
	s.t.Helper()
	for what, list := range map[string][]string{
		"services": {"service", "ls", "--quiet"},
		"networks": {"network", "ls", "--quiet", "--filter", "label=equic-bench.run"},
	} {
		if left := s.docker(s.manager, list...); left != "" {
			s.t.Errorf("%s are left: %s", what, left)
		}
	}
	for _, h := range []swarmHost{s.manager, s.worker} {
		// A host removes a container some time after its task.
		testkit.AwaitFor(s.t, 30*time.Second, "no container on "+h.name, func() bool {
			return s.docker(h, "ps", "--all", "--quiet") == ""
		})
	}
}

// One test, as a swarm takes long to make. Each part leaves it as it was.
func TestFaultSwarm(t *testing.T) {
	whole := startSwarm(t)
	part := func(name string, run func(s *testSwarm)) {
		t.Run(name, func(t *testing.T) {
			s := *whole
			s.t = t
			run(&s)
		})
	}

	slow := func(name string, run func(s *testSwarm)) {
		if *matrix {
			part(name, run)
		}
	}

	part("a host without the image is named, with what to do", func(s *testSwarm) {
		r := s.start()
		r.checkSays(exitMachine, "second does not have the image")
		s.checkClean()
		s.load()
	})

	part("the server's variants run, and each node is recorded with its host and address", func(s *testSwarm) {
		root := s.t.TempDir()
		if code := startBench(s.t, "run", faults, "--runtime", runtimeSwarm, "--results", root).exit(); code != exitFine {
			s.t.Errorf("exit code %d", code)
		}
		run := openRun(s.t, root)
		if len(run.Manifest.Runtime.Hosts) != 2 {
			s.t.Errorf("the manifest has the hosts %v", run.Manifest.Runtime.Hosts)
		}
		for _, trial := range run.Trials {
			for _, n := range trial.Nodes {
				if want := map[bool]string{true: "first", false: "second"}[n.Role == results.RoleServer]; n.Host != want {
					s.t.Errorf("%s: %s ran on %q, want %s", trial.Name(), n.Name, n.Host, want)
				}
			}
		}
		s.checkClean()
	})

	slow("an overlay that loses packets is named", func(s *testSwarm) {
		r := s.start()
		pid := strconv.Itoa(s.worker.pid())
		until(s.server(r).epoch)
		s.inside(pid, "nft", "add table inet lossy; add chain inet lossy out { type filter hook output priority 0; }; "+
			"add rule inet lossy out udp dport 4789 numgen random mod 5 == 0 drop")
		defer s.inside(pid, "nft", "delete table inet lossy")
		r.exit()
		if !strings.Contains(r.stderr.String(), "never came to the server: the network between them lost") {
			s.t.Error("no word of the loss")
		}
		s.checkClean()
	})

	slow("a host that is lost makes the trial invalid, and is named", func(s *testSwarm) {
		r := s.start()
		server := s.server(r)
		r.reach(server, orchestrate.PhaseAttack)
		s.worker.stop(s.t, syscall.SIGKILL)
		r.waitForAny(": invalid (")
		until(time.Now().Add(20 * time.Second)) // the manager has noticed by now
		s.restart(s.worker)
		r.checkExit()
		r.checkInvalid(server, "completed", "second") // it is down, or its clients are still running
		if trials := openRun(s.t, r.root).Trials; !trials[len(trials)-1].Valid {
			s.t.Error("no later attempt is valid")
		}
		s.checkClean()
	})

	slow("a manager that restarts takes its nodes along, and the run goes on", func(s *testSwarm) {
		r := s.start()
		server := s.server(r)
		r.reach(server, orchestrate.PhaseAttack)
		s.manager.stop(s.t, syscall.SIGKILL)
		s.restart(s.manager)
		r.checkExit()
		r.checkInvalid(server, "completed", "server (on first)")
		s.checkClean()
	})

	part("server and client have the networks of their hosts", func(s *testSwarm) {
		root := s.t.TempDir()
		b := startBench(s.t, "run", "testdata/host.yaml", "--runtime", runtimeSwarm, "--results", root)
		if code := b.exit(); code != exitFine {
			s.t.Errorf("exit code %d", code)
		}
		run := openRun(s.t, root)
		for _, n := range run.Trials[len(run.Trials)-1].Nodes {
			if want := map[string]string{"first": s.manager.address, "second": s.worker.address}[n.Host]; n.Address != want {
				s.t.Errorf("%s has the address %s, want that of its host %s, %s", n.Name, n.Address, n.Host, want)
			}
		}
		if !run.Manifest.Experiment.HostNetwork {
			s.t.Error("the manifest has no word of it")
		}
		s.checkClean()
	})

	part("an interrupted run leaves nothing", func(s *testSwarm) {
		r := s.start()
		s.server(r)
		r.giveUp()
		s.checkClean()
	})

	part("a killed run is removed by clean", func(s *testSwarm) {
		r := s.start()
		s.server(r)
		r.hit(r.cmd.Process.Pid, syscall.SIGKILL)
		r.exit()
		if code := startBench(s.t, "clean").exit(); code != exitFine {
			s.t.Errorf("clean: exit code %d", code)
		}
		s.checkClean()
	})
}
