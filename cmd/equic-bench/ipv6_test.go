package main

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
)

const ipv6 = "../../scenarios/ipv6.yaml"

func TestEveryPlaceBlocksIPv6(t *testing.T) {
	testkit.NeedRoot(t)
	testkit.Slow(t, "seven trials")
	needBinary(t)
	runAll(t, ipv6, runtimeNetns, "--variants", "app-drop-block-new,socket-block-new,netfilter-block-new,nftables-block,"+
		"tc-block-new,generic-block-new,xdp-block-new")
}

func TestClientsOfBothVersionsOfIPAreBlocked(t *testing.T) {
	testkit.NeedRoot(t)
	testkit.Slow(t, "two trials")
	needBinary(t)
	runAll(t, ipv6, runtimeNetns, "--set", "network.family=both", "--variants", "userspace-block,xdp-block-new")
}

// Each of an attacker's addresses is a client at the server, in both versions of IP.
func TestAttackersSendFromAllOfTheirAddresses(t *testing.T) {
	testkit.NeedRoot(t)
	testkit.Slow(t, "a trial")
	needBinary(t)
	root := t.TempDir()
	b := startBench(t, "run", ipv6, "--results", root, "--runtime", runtimeNetns, "--variants", "no-block",
		"--set", "network.family=both", "--set", "server.key=ecdsa-p256", "--set", "clients.parallel.addresses=50",
		"--set", "clients.parallel.rate=100/s")
	if code := b.exit(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	r := openRun(t, root)
	trial := r.Trials[len(r.Trials)-1]
	seen := map[string]bool{}
	testkit.Must(t, r.Lines(trial, &trial.Nodes[0], func(l *record.Line) error {
		if l.Connection != nil {
			seen[l.Connection.Client] = true
		}
		return nil
	}))
	attackers := 0
	for _, n := range trial.Nodes {
		if n.Role != results.RoleParallel {
			continue
		}
		attackers++
		network, err := netip.ParsePrefix(n.Sources)
		testkit.Must(t, err)
		clients := 0
		for address := range seen {
			if network.Contains(netip.MustParseAddr(address)) {
				clients++
			}
		}
		if clients != 50 || seen[n.Address] {
			t.Errorf("%s is %d clients of %s, and at its own address: %v", n.Name, clients, network, seen[n.Address])
		}
	}
	if e := r.Manifest.Experiment; attackers != 2 || e.Family != record.FamilyBoth || e.Parallel.Addresses != 50 {
		t.Errorf("%d attackers, experiment %+v", attackers, e)
	}
	if code := startBench(t, "verify", r.Dir).exit(); code != 0 {
		t.Errorf("verify: exit code %d", code)
	}
}

func TestAComposeFileIsOfIPv4(t *testing.T) {
	t.Chdir("../..")
	var out, log strings.Builder
	code := run(t.Context(), nil, []string{"compose", "scenarios/ipv6.yaml"}, &out, &log)
	if code != exitUsage || !strings.Contains(log.String(), "a Compose file has IPv4 only") {
		t.Errorf("exit code %d: %s", code, &log)
	}
}
