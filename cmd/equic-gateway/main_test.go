package main

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/spf13/pflag"

	"github.com/equic-bench/equic-bench/equic"
	"github.com/equic-bench/equic-bench/equic/control"
	"github.com/equic-bench/equic-bench/internal/testkit"
)

func TestWrongUsageSaysWhatToDo(t *testing.T) {
	good := []string{"--interface", "nope0", "--port", "443"}
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"no interface", []string{"--port", "443"}, "give --interface and --port"},
		{"no port", []string{"--interface", "eth0"}, "give --interface and --port"},
		{"an argument", append(good, "now"), `unexpected argument "now"`},
		{"an unknown flag", append(good, "--fast"), "unknown flag: --fast"},
		{"port zero", append(good, "--port", "0"), `"0" is no port`},
		{"a port that is too large", append(good, "--port", "65536"), `"65536" is no port`},
		{"a port that is a name", append(good, "--port", "https"), `"https" is no port`},
		{"a port with no quota behind the sign", append(good, "--port", "80="), `"80=" has no quota behind the =`},
		{"a port with quota zero", append(good, "--port", "80=0"), `"80=0" has no quota behind the =`},
		{"a port twice", append(good, "--port", "443"), "port 443 is given twice"},
		{"quota zero", append(good, "--quota", "0"), "--quota is 0"},
		{"a negative quota", append(good, "--quota", "-1"), "quota is -1"},
		{"no handshakes", append(good, "--half-open", "0"), "--half-open is 0"},
		{"a negative number of handshakes", append(good, "--half-open-per-client", "-1"), "-1 per client"},
		{"no clients", append(good, "--max-clients", "0"), "--max-clients is 0"},
		{"no prefixes", append(good, "--max-prefixes", "0"), "--max-prefixes is 0"},
		{"too many prefixes", append(good, "--max-prefixes", "16777217"), "max prefixes is 16777217"},
		{"an IPv4 prefix of no bits", append(good, "--ipv4-prefix", "0"), "--ipv4-prefix is 0"},
		{"an IPv6 prefix of 129 bits", append(good, "--ipv6-prefix", "129"), "IPv6 prefix is 129"},
		{"a prefix without a quota", append(good, "--quota-of", "192.0.2.0/24"), "has no quota behind the ="},
		{"a quota of a name", append(good, "--quota-of", "friends=9"), `--quota-of: "friends" is not a prefix`},
		{"a quota of a part of a client", append(good, "--quota-of", "2001:db8::1=9"), "at most 64 bits"},
		{
			"two quotas of a prefix", append(good, "--quota-of", "192.0.2.0/24=9", "--quota-of", "192.0.2.9/24=8"),
			"192.0.2.0/24 has two quotas",
		},
		{"a negative quota of networks", append(good, "--network-quota", "-1"), "networks: quota is -1"},
		{
			"a network smaller than a client", append(good, "--network-quota", "9", "--network-ipv6-prefix", "65"),
			"IPv6 prefix of networks is 65",
		},
		{"an unknown policy", append(good, "--policy", "old"), `--policy: policy is "old"`},
		{"an unknown mode", append(good, "--mode", "offload"), `--mode: mode is "offload"`},
		{"a rate that is too high", append(good, "--rate", "1e9"), "initials per second is 1e+09"},
		{"a negative rate", append(good, "--rate", "-15"), "--rate is -15: give packets per second"},
		{"a burst that is negative", append(good, "--burst", "-1"), "burst is -1"},
		{"an allowed name", append(good, "--allow", "friend"), `--allow: "friend" is not a prefix`},
		{"a denied name", append(good, "--deny", "foe"), `--deny: "foe" is not a prefix`},
		{"two sockets", append(good, "--socket", "a", "--socket", "b"), "--socket\" flag: it is given twice"},
		{"an interface twice", append(good, "--interface", "nope0"), `interface "nope0" is given twice`},
		{"something unknown that is to pass", append(good, "--pass", "all"), `--pass: "all" is unknown`},
		{
			"a mode that cannot be pinned",
			[]string{"--port", "443", "--mode", "netfilter", "--pin", "/sys/fs/bpf/x"},
			"netfilter cannot be pinned",
		},
		{"samples without events", append(good, "--samples", "5"), "give --events, too"},
		{"too many samples", append(good, "--events", "--samples", "1000001"), "samples per second is 1000001"},
		{"no socket", append(good, "--socket", ""), "--socket is empty"},
		{"a group that is not there", append(good, "--socket-group", "no such"), "--socket-group: group: unknown group no such"},
		{"a mode that is no number", append(good, "--socket-mode", "u=rw"), `--socket-mode: "u=rw" is no mode`},
		{"a mode that is decimal", append(good, "--socket-mode", "0680"), `"0680" is no mode`},
		{"a mode that executes", append(good, "--socket-mode", "0770"), `"0770" is no mode`},
		{"metrics for the world", append(good, "--metrics", "0.0.0.0:9443"), `"0.0.0.0:9443" is no loopback address`},
		{"metrics for all interfaces", append(good, "--metrics", ":9443"), `":9443" is no loopback address`},
		{"metrics at no port", append(good, "--metrics", "127.0.0.1"), "missing port in address"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			args := test.args
			if !slices.Contains(args, "--socket") {
				args = append(args, "--socket", filepath.Join(t.TempDir(), "socket"))
			}
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), args, &stdout, &stderr)
			if code != exitUsage || !strings.Contains(stderr.String(), test.want) ||
				!strings.Contains(stderr.String(), "--help") {
				t.Errorf("exit code %d, error %q; want %d and %q", code, stderr.String(), exitUsage, test.want)
			}
			if stdout.Len() != 0 {
				t.Errorf("standard output has %q", stdout.String())
			}
		})
	}
}

func TestFlagsBecomeOptions(t *testing.T) {
	deny := writeList(t, "198.51.100.0/24")
	var f flags
	set := pflag.NewFlagSet("", pflag.ContinueOnError)
	f.register(set)
	testkit.Must(t, set.Parse([]string{
		"--interface", "eth0", "--port", "443=20", "--port", "8443", "--quota", "7", "--policy", "client",
		"--rate", "2.5", "--burst", "9", "--mode", "auto", "--max-clients", "100",
		"--hold-down", "0s", "--ipv4-prefix", "24", "--ipv6-prefix", "56",
		"--half-open", "300", "--half-open-per-client", "8",
		"--allow", "192.0.2.0/24", "--allow", "2001:db8::1", "--deny", "203.0.113.9",
		"--deny-file", deny, "--max-prefixes", "1000",
		"--pass", "fragments", "--pass", "options",
		"--metrics", "[::1]:9443", "--socket", "s", "--events", "--monitor",
		"--socket-group", "4242", "--socket-mode", "0620", "--pin", "/sys/fs/bpf/equic", "--samples", "3",
		"--quota-of", "100.64.0.0/10=200",
		"--network-quota", "50", "--network-ipv4-prefix", "22",
	}))
	got, err := f.parse()
	testkit.Must(t, err)
	port := equic.Port{Number: 443, Quota: 20, Policy: equic.PolicyClient, InitialsPerSecond: 2.5, Burst: 9}
	other := port
	other.Number, other.Quota = 8443, 7
	want := options{
		gateway: equic.Options{
			Interfaces: []string{"eth0"}, Ports: []equic.Port{port, other}, Quota: 7, Policy: equic.PolicyClient,
			InitialsPerSecond: 2.5, Burst: 9, Mode: equic.Auto, MaxClients: 100, IPv4Prefix: 24, IPv6Prefix: 56,
			Allowed:     []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::1/128")},
			Denied:      []netip.Prefix{netip.MustParsePrefix("203.0.113.9/32")},
			DeniedFeed:  []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")},
			MaxPrefixes: 1000, Monitor: true,
			Pass: equic.Fragments | equic.IPv4Options, HoldDown: -1,
			HalfOpen: equic.HalfOpenLimits{Total: 300, PerClient: 8},
			Pin:      "/sys/fs/bpf/equic", Inherit: inheritTime,
			Quotas:   []equic.PrefixQuota{{Prefix: netip.MustParsePrefix("100.64.0.0/10"), Quota: 200}},
			Networks: equic.NetworkLimits{Quota: 50, IPv4Prefix: 22}, AllowedFeed: []netip.Prefix{}, SamplesPerSecond: 3,
		},
		files:  listFiles{deny: deny},
		access: control.Access{Mode: 0o620, Group: new(4242)},
		socket: "s", metrics: "[::1]:9443", events: true,
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(options{}, listFiles{}), cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Errorf("options (-want +got):\n%s", diff)
	}
}

func TestTheGroupOfRootIsAGroupToo(t *testing.T) {
	for text, want := range map[string]*int{"": nil, "root": new(0), "0": new(0)} {
		access, err := parseAccess(text, "")
		testkit.Must(t, err)
		if diff := cmp.Diff(want, access.Group); diff != "" {
			t.Errorf("group %q (-want +got):\n%s", text, diff)
		}
	}
}

func TestAnInterfaceThatIsNotThereIsTheMachinesFault(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "socket")
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"--interface", "nope0", "--port", "443", "--socket", socket}, &stdout, &stderr)
	if code != exitMachine || !strings.Contains(stderr.String(), "no such interface among") {
		t.Errorf("exit code %d, error %q", code, stderr.String())
	}
	if left, err := os.ReadDir(filepath.Dir(socket)); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestHelpNamesEveryFlagAndExitCodeThatTheManualNames(t *testing.T) {
	var help, stderr bytes.Buffer
	if code := run(t.Context(), []string{"--help"}, &help, &stderr); code != exitFine {
		t.Fatalf("exit code %d, %s", code, stderr.String())
	}
	manual, err := os.ReadFile("../../docs/gateway.md")
	testkit.Must(t, err)
	var f flags
	set := pflag.NewFlagSet("", pflag.ContinueOnError)
	f.register(set)
	set.VisitAll(func(flag *pflag.Flag) {
		if flag.Hidden {
			return
		}
		for where, text := range map[string]string{"help": help.String(), "manual": string(manual)} {
			if !strings.Contains(text, "--"+flag.Name) {
				t.Errorf("the %s does not name --%s", where, flag.Name)
			}
		}
	})
	for _, code := range []string{"  0 ", "  1 ", "  2 ", "  3 ", "  130 "} {
		if !strings.Contains(help.String(), "\n"+code) {
			t.Errorf("the help does not name exit code%s", code)
		}
	}
}
