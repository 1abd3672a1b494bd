package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"go.yaml.in/yaml/v3"
	"golang.org/x/sys/unix"

	"github.com/equic-bench/equic-bench/equic"
	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/internal/testkit/netkit"
)

// What the release has for services (docs/gateway).
const (
	unitFile      = "../../docs/gateway/equic-gateway.service"
	keepFile      = "../../docs/gateway/keep.conf"
	alertsFile    = "../../docs/gateway/alerts.yaml"
	dashboardFile = "../../docs/gateway/dashboard.json"
	manualFile    = "../../docs/gateway.md"
	alertCases    = "testdata/alerts.yaml"
)

// serviceManager is a socket for the messages of sd_notify(3).
type serviceManager struct{ *net.UnixConn }

func newServiceManager(t *testing.T) serviceManager {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "notify"), Net: "unixgram"})
	testkit.Must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	testkit.Must(t, conn.SetReadDeadline(time.Now().Add(30*time.Second)))
	return serviceManager{conn}
}

// next returns the assignments of the next message.
func (m serviceManager) next(t *testing.T) map[string]string {
	t.Helper()
	b := make([]byte, 4096)
	n, err := m.Read(b)
	testkit.Must(t, err)
	got := map[string]string{}
	for line := range strings.SplitSeq(string(b[:n]), "\n") {
		name, value, _ := strings.Cut(line, "=")
		got[name] = value
	}
	return got
}

func (m serviceManager) want(t *testing.T, want map[string]string) {
	t.Helper()
	if got := m.next(t); !maps.Equal(got, want) {
		t.Errorf("message %q, want %q", got, want)
	}
}

// startUnder starts the program as a service.
func startUnder(t *testing.T, m serviceManager, arguments ...string) program {
	t.Helper()
	p := command(t, arguments...)
	p.Env = append(p.Env, "NOTIFY_SOCKET="+m.LocalAddr().String())
	p.start(t)
	return p
}

func TestTheServiceManagerIsToldWhatHappens(t *testing.T) {
	_ = newPair(t)
	m, deny := newServiceManager(t), writeList(t, "192.0.2.0/24")
	p := startUnder(t, m, "--deny-file", deny)
	attachedTo := "attached to " + serverInterface + " (native)"
	m.want(t, map[string]string{"READY": "1", "STATUS": attachedTo})

	reload := func() {
		t.Helper()
		before := monotonic(t)
		testkit.Must(t, p.Process.Signal(syscall.SIGHUP))
		got := m.next(t)
		at, err := strconv.ParseInt(got["MONOTONIC_USEC"], 10, 64)
		if now := monotonic(t); got["RELOADING"] != "1" || err != nil || at < before || at > now {
			t.Errorf("message %q between %d and %d", got, before, now)
		}
	}
	reload()
	m.want(t, map[string]string{"READY": "1", "STATUS": attachedTo})
	rewrite(t, deny, "nonsense")
	reload()
	m.want(t, map[string]string{"READY": "1", "STATUS": attachedTo +
		"; the last reload failed: the lists stay as they were: " + deny +
		`:1: "nonsense" is not a prefix: give one such as 192.0.2.0/24, or an address`})

	testkit.Must(t, netlink.LinkDel(netkit.Link(t, serverInterface)))
	if got := m.next(t); !strings.HasPrefix(got["STATUS"], "not attached to "+serverInterface+", nothing is dropped there: ") {
		t.Errorf("message %q", got)
	}
	testkit.Must(t, p.Process.Signal(syscall.SIGTERM))
	for {
		if got := m.next(t); got["STOPPING"] == "1" {
			break
		}
	}
	_ = p.Wait() // the test checks its state
	if code := p.ProcessState.ExitCode(); code != exitFine {
		t.Errorf("exit code %d", code)
	}
}

// monotonic returns the time on the clock of MONOTONIC_USEC.
func monotonic(t *testing.T) int64 {
	t.Helper()
	var now unix.Timespec
	testkit.Must(t, unix.ClockGettime(unix.CLOCK_MONOTONIC, &now))
	return now.Nano() / 1000
}

func TestAServiceManagerThatHasGoneDoesNotEndTheProtection(t *testing.T) {
	client := newPair(t)
	m := newServiceManager(t)
	testkit.Must(t, m.Close())
	p := startUnder(t, m, "--deny", clientAddress)
	p.awaitCount(t, client, equic.DropDenied)
	if !strings.Contains(p.log.String(), "notify the service manager") {
		t.Errorf("the log has nothing of it:\n%s", p.log)
	}
}

// The unit's privileges, without systemd: its user, and its capabilities but CAP_PERFMON,
// without which it is only slower.
func TestThePrivilegesOfTheUnitSuffice(t *testing.T) {
	client := newPair(t)
	for _, mode := range []equic.Mode{equic.Native, equic.TC, equic.Generic, equic.Netfilter} {
		p := asNobody(t, "--mode", string(mode), "--deny", clientAddress, "--metrics", "127.0.0.1:0")
		p.SysProcAttr.AmbientCaps = []uintptr{unix.CAP_BPF, unix.CAP_NET_ADMIN}
		p.start(t)
		p.awaitCount(t, client, equic.DropDenied)
		if code := p.end(t, syscall.SIGTERM); code != exitFine {
			t.Errorf("mode %s: exit code %d\n%s", mode, code, p.log)
		}
	}
}

// Those of the unit with keep.conf: a user whose folder is in a BPF file system.
func TestThePrivilegesOfTheUnitSufficeToPin(t *testing.T) {
	client := newPair(t)
	dir := newBPFFolder(t)
	mount := filepath.Dir(dir)
	testkit.Must(t, os.Chmod(mount, 0o700)) // as systemd mounts it
	for parent := filepath.Dir(mount); parent != os.TempDir() && parent != "/"; parent = filepath.Dir(parent) {
		testkit.Must(t, os.Chmod(parent, 0o755))
	}
	prepareAsKeepConf(t, mount)
	for range 2 { // the second takes over what the first has left
		p := asNobody(t, "--pin", filepath.Join(dir, "gateway"), "--deny", clientAddress)
		p.SysProcAttr.AmbientCaps = []uintptr{unix.CAP_BPF, unix.CAP_NET_ADMIN}
		p.start(t)
		p.awaitCount(t, client, equic.DropDenied)
		if code := p.end(t, syscall.SIGTERM); code != exitFine || !attached(t) {
			t.Errorf("exit code %d, attached %v\n%s", code, attached(t), p.log)
		}
	}
}

// prepareAsKeepConf runs the ExecStartPre commands of docs/gateway/keep.conf with another mount point,
// and gives the folder to the user nobody.
func prepareAsKeepConf(t *testing.T, mount string) {
	t.Helper()
	text, err := os.ReadFile(keepFile)
	testkit.Must(t, err)
	commands := 0
	for line := range strings.Lines(string(text)) {
		command, found := strings.CutPrefix(strings.TrimSpace(line), "ExecStartPre=+")
		if !found {
			continue
		}
		commands++
		words := strings.Fields(strings.NewReplacer("/sys/fs/bpf", mount, "-o equic-gateway", "-o nobody").Replace(command))
		if out, err := exec.CommandContext(t.Context(), words[0], words[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", command, err, out)
		}
	}
	if commands == 0 {
		t.Fatal("keep.conf prepares nothing")
	}
}

func TestAGroupMayConnectToTheSocket(t *testing.T) {
	_ = newPair(t)
	const group = 4242
	//nolint:usetesting // t.TempDir is below a folder that only root may enter
	dir, err := os.MkdirTemp("", "equic-gateway")
	testkit.Must(t, err)
	t.Cleanup(func() { testkit.Must(t, os.RemoveAll(dir)) })
	testkit.Must(t, os.Chmod(dir, 0o755))
	p := commandAt(t, filepath.Join(dir, "socket"), "--socket-group", strconv.Itoa(group))
	p.start(t)
	info, err := os.Lstat(p.socket)
	testkit.Must(t, err)
	if got := info.Mode().Perm(); got != 0o660 {
		t.Errorf("mode %o, want 660", got)
	}
	for gid, want := range map[uint32]error{group: nil, group + 1: syscall.EACCES} {
		if err := connectAs(t, p.socket, gid); err != want { //nolint:errorlint // an errno, not wrapped
			t.Errorf("group %d: error %v, want %v", gid, err, want)
		}
	}
}

// connectAs connects to a socket as a user without privileges who is in a group.
func connectAs(t *testing.T, path string, gid uint32) error {
	t.Helper()
	c := exec.CommandContext(t.Context(), "/proc/self/exe")
	c.Env = append(os.Environ(), connectVariable+"="+path)
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: gid}}
	_ = c.Run() // the exit code is the error's number
	if code := c.ProcessState.ExitCode(); code != 0 {
		return syscall.Errno(code)
	}
	return nil
}

func TestTheUnitIsValidAndHasFewPrivileges(t *testing.T) {
	testkit.NeedTool(t, "systemd-analyze")
	text, err := os.ReadFile(unitFile)
	testkit.Must(t, err)
	// The program need not be installed to check its unit.
	unit := filepath.Join(t.TempDir(), filepath.Base(unitFile))
	installed := strings.Replace(string(text), "ExecStart=/usr/local/bin/equic-gateway", "ExecStart=/bin/true", 1)
	testkit.Must(t, os.WriteFile(unit, []byte(installed), 0o600))
	kept := filepath.Join(t.TempDir(), filepath.Base(unitFile))
	testkit.Must(t, os.WriteFile(kept, []byte(installed), 0o600))
	testkit.Must(t, os.Mkdir(kept+".d", 0o700))
	dropIn, err := os.ReadFile(keepFile)
	testkit.Must(t, err)
	testkit.Must(t, os.WriteFile(filepath.Join(kept+".d", "keep.conf"), dropIn, 0o600))
	for _, arguments := range [][]string{
		{"verify", unit},
		{"verify", kept},
		{"security", "--offline=yes", "--threshold=20", unit}, // of 100
	} {
		out, err := exec.CommandContext(t.Context(), "systemd-analyze", arguments...).CombinedOutput()
		if err != nil || arguments[0] == "verify" && len(out) > 0 {
			t.Errorf("systemd-analyze %s: %v\n%s", arguments[0], err, out)
		}
	}
}

// A file of a list that was bad at a restart may be repaired later.
func TestTheUnitStartsTheGatewayAgainAfterAnyFailure(t *testing.T) {
	text, err := os.ReadFile(unitFile)
	testkit.Must(t, err)
	if unit := string(text); !strings.Contains(unit, "\nRestart=on-failure\n") || strings.Contains(unit, "RestartPrevent") ||
		!strings.Contains(unit, "\nStartLimitIntervalSec=0\n") {
		t.Error("the unit has not Restart=on-failure alone, without a limit")
	}
}

// The options of the unit are those of the program.
func TestTheUnitsOptionsExist(t *testing.T) {
	text, err := os.ReadFile(unitFile)
	testkit.Must(t, err)
	var help strings.Builder
	if code := run(t.Context(), []string{"--help"}, &help, &help); code != exitFine {
		t.Fatal(code)
	}
	found := regexp.MustCompile(`--[a-z-]+`).FindAllString(string(text), -1)
	for _, flag := range found {
		if !strings.Contains(help.String(), flag+" ") {
			t.Errorf("there is no %s", flag)
		}
	}
	if len(found) < 4 {
		t.Errorf("%d options found", len(found))
	}
}

// expressions are the queries of the dashboard and of the alerts, by the panel or alert.
func expressions(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	var alerts struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	text, err := os.ReadFile(alertsFile)
	testkit.Must(t, err)
	decoder := yaml.NewDecoder(strings.NewReader(string(text)))
	decoder.KnownFields(true)
	testkit.Must(t, decoder.Decode(&alerts))
	for _, group := range alerts.Groups {
		for _, rule := range group.Rules {
			all[rule.Alert] = rule.Expr
			if rule.Labels["severity"] == "" || rule.Annotations["summary"] == "" || rule.Annotations["action"] == "" {
				t.Errorf("%s has no severity, summary or action", rule.Alert)
			}
			if _, err := time.ParseDuration(rule.For); rule.For != "" && err != nil {
				t.Errorf("%s: %v", rule.Alert, err)
			}
		}
	}
	var dashboard struct {
		Templating struct {
			List []struct{ Name, Query string }
		}
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	text, err = os.ReadFile(dashboardFile)
	testkit.Must(t, err)
	testkit.Must(t, json.Unmarshal(text, &dashboard))
	for _, v := range dashboard.Templating.List {
		all["variable "+v.Name] = v.Query
	}
	for _, p := range dashboard.Panels {
		for i, target := range p.Targets {
			all[fmt.Sprintf("%s, query %d", p.Title, i)] = target.Expr
		}
	}
	return all
}

func TestTheDashboardAndTheAlertsUseMetricsThatExist(t *testing.T) {
	_ = newPair(t)
	p := start(t, "--metrics", "127.0.0.1:0")
	labels := labelsOf(t, p.metrics(t))
	used := map[string]bool{}
	metric := regexp.MustCompile(`\bequic_[a-z_]+\b(?:\{([^}]*)\})?`)
	label := regexp.MustCompile(`([a-z_]+)(?:=|=~|!=|!~)"`)
	for where, query := range expressions(t) {
		for _, m := range metric.FindAllStringSubmatch(query, -1) {
			name, _, _ := strings.Cut(m[0], "{")
			used[name] = true
			if labels[name] == nil {
				t.Errorf("%s: there is no metric %s", where, name)
			}
			for _, l := range label.FindAllStringSubmatch(m[1], -1) {
				if l[1] != "instance" && !slices.Contains(labels[name], l[1]) {
					t.Errorf("%s: %s has no label %s, but %q", where, name, l[1], labels[name])
				}
			}
		}
	}
	manual, err := os.ReadFile(manualFile)
	testkit.Must(t, err)
	for name := range labels {
		if !used[name] && !strings.Contains(string(manual), "`"+name+"`") {
			t.Errorf("%s is neither used nor explained in the manual", name)
		}
	}
	if len(used) < 10 {
		t.Errorf("%d metrics are used", len(used))
	}
}

// Prometheus itself evaluates the alerts, and parses the queries of the dashboard.
func TestPrometheusAgreesWithTheAlertsAndReadsTheQueries(t *testing.T) {
	testkit.NeedTool(t, "promtool")
	queries := filepath.Join(t.TempDir(), "queries.yaml")
	var rules strings.Builder
	rules.WriteString("groups:\n- name: queries\n  rules:\n")
	variables := strings.NewReplacer("$__rate_interval", "1m", "$instance", ".*")
	for where, query := range expressions(t) {
		if !strings.HasPrefix(where, "variable ") {
			_, _ = fmt.Fprintf(&rules, "  - record: query\n    labels: {where: %q}\n    expr: %q\n", where, variables.Replace(query))
		}
	}
	testkit.Must(t, os.WriteFile(queries, []byte(rules.String()), 0o600))
	for _, arguments := range [][]string{
		{"check", "rules", alertsFile},
		{"check", "rules", queries},
		{"test", "rules", alertCases},
	} {
		if out, err := exec.CommandContext(t.Context(), "promtool", arguments...).CombinedOutput(); err != nil {
			t.Errorf("promtool %q: %v\n%s", arguments, err, out)
		}
	}
}

func TestEveryAlertHasACaseThatRaisesIt(t *testing.T) {
	cases, err := os.ReadFile(alertCases)
	testkit.Must(t, err)
	for name := range expressions(t) {
		raised := regexp.MustCompile(`alertname: ` + regexp.QuoteMeta(name) + `\n +exp_alerts:`)
		if strings.HasPrefix(name, "EquicGateway") && !raised.Match(cases) {
			t.Errorf("%s has none", name)
		}
	}
}

// labelsOf returns the names of the labels of each metric, in a page of Prometheus.
func labelsOf(t *testing.T, page string) map[string][]string {
	t.Helper()
	labels := map[string][]string{}
	sample := regexp.MustCompile(`(?m)^([a-z_]+)(?:\{(.*)\})? [0-9]+$`)
	for _, m := range sample.FindAllStringSubmatch(page, -1) {
		names := []string{}
		for _, l := range regexp.MustCompile(`([a-z_]+)="`).FindAllStringSubmatch(m[2], -1) {
			names = append(names, l[1])
		}
		labels[m[1]] = names
	}
	if len(labels) < 10 {
		t.Fatalf("%d metrics in\n%s", len(labels), page)
	}
	return labels
}
