package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/equic-bench/equic-bench/internal/testkit"
)

// bootScript starts systemd as the first process of namespaces of its own, with the unit and
// nothing else: the folder of its units is another, and those that a unit depends on by default
// are left out. Its control groups are below one of the test's ($2), as it would otherwise make
// groups like those of this machine.
const bootScript = `set -e
for tree in $(findmnt --noheadings --output TARGET --types cgroup,cgroup2); do
	mkdir "$tree/$2" && echo $$ > "$tree/$2/cgroup.procs" || true
done 2>/dev/null
exec unshare --fork --kill-child --pid --mount-proc --mount --net --uts --ipc --cgroup sh -ec '
	mount --make-rprivate /
	mount -t tmpfs tmpfs /run
	mount -t tmpfs tmpfs /usr/local/bin
	mkdir -p /run/etc /run/work /run/systemd /run/units/equic-gateway.service.d
	mount -t overlay overlay -o lowerdir=/etc,upperdir=/run/etc,workdir=/run/work /etc
	mkdir /etc/equic-gateway
	cp "$1/equic-gateway" /usr/local/bin/
	cp "$1/options" /etc/equic-gateway/
	cp "$1/equic-gateway.service" /run/units/
	printf "[Unit]\nDefaultDependencies=no\n" > /run/units/equic-gateway.service.d/alone.conf
	ip link set lo up
	ip link add eth0 type veth peer name eth1
	ip link set eth0 up
	ip link set eth1 up
	export container=test SYSTEMD_UNIT_PATH=/run/units
	exec /lib/systemd/systemd --system --unit=equic-gateway.service --show-status=no --log-target=console
' sh "$1"
`

// systemd is one that runs the unit.
type systemd struct {
	t   *testing.T
	pid string
	log *bytes.Buffer
}

func bootSystemd(t *testing.T) systemd {
	t.Helper()
	testkit.NeedRoot(t)
	if _, err := os.Stat("/lib/systemd/systemd"); err != nil {
		testkit.Lack(t, err.Error())
	}
	dir := testkit.Build(t, ".")
	unit, err := os.ReadFile(unitFile)
	testkit.Must(t, err)
	testkit.Must(t, os.WriteFile(filepath.Join(dir, filepath.Base(unitFile)), unit, 0o600))
	testkit.Must(t, os.WriteFile(filepath.Join(dir, "options"), []byte("OPTIONS=--interface eth0 --port 443\n"), 0o600))
	s := systemd{t: t, log: new(bytes.Buffer)}
	group := "equic-systemd-" + strconv.Itoa(os.Getpid())
	boot := exec.CommandContext(t.Context(), "sh", "-c", bootScript, "sh", dir, group)
	boot.Stdout, boot.Stderr = s.log, s.log
	testkit.Must(t, boot.Start())
	t.Cleanup(func() {
		_ = boot.Process.Kill() // the namespaces end with it
		_ = boot.Wait()
		if t.Failed() {
			t.Logf("systemd said:\n%s", s.log)
		}
		removeGroups(t, group)
	})
	testkit.AwaitFor(t, 30*time.Second, "systemd", func() bool {
		parent := strconv.Itoa(boot.Process.Pid)
		child, _ := os.ReadFile("/proc/" + parent + "/task/" + parent + "/children") // "" before there is one
		s.pid = strings.TrimSpace(string(child))
		name, err := os.ReadFile("/proc/" + s.pid + "/comm")
		return err == nil && s.pid != "" && strings.TrimSpace(string(name)) == "systemd"
	})
	return s
}

// removeGroups removes the control groups below a name, once they are empty.
func removeGroups(t *testing.T, name string) {
	t.Helper()
	roots, err := filepath.Glob("/sys/fs/cgroup/*/" + name)
	testkit.Must(t, err)
	for _, root := range append(roots, "/sys/fs/cgroup/"+name) {
		testkit.Await(t, "the end of the control group "+root, func() bool {
			_ = exec.Command("find", root, "-depth", "-type", "d", "-exec", "rmdir", "{}", ";").Run() //nolint:noctx // short
			_, err := os.Stat(root)
			return os.IsNotExist(err)
		})
	}
}

// inside runs a command in systemd's namespaces.
func (s systemd) inside(arguments ...string) (string, error) {
	command := append([]string{"--target", s.pid, "--all"}, arguments...)
	out, err := exec.CommandContext(s.t.Context(), "nsenter", command...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (s systemd) show(property string) string {
	out, _ := s.inside("systemctl", "show", "--property="+property, "--value", "equic-gateway") // "" until it answers
	return out
}

func (s systemd) attached() bool {
	out, err := s.inside("ip", "link", "show", "eth0")
	return err == nil && strings.Contains(out, "prog/xdp")
}

func TestTheUnitRunsUnderSystemd(t *testing.T) {
	s := bootSystemd(t)
	active := func() bool { return s.show("ActiveState") == "active" }
	testkit.AwaitFor(t, 30*time.Second, "the unit", active)
	if got := s.show("StatusText"); got != "attached to eth0 (native)" || !s.attached() {
		t.Errorf("status %q, attached %v", got, s.attached())
	}
	if got := s.show("User"); got != "equic-gateway" {
		t.Errorf("user %q", got)
	}
	if out, err := s.inside("systemctl", "reload", "equic-gateway"); err != nil {
		t.Errorf("reload: %v\n%s", err, out)
	}
	first := s.show("MainPID")
	if out, err := s.inside("kill", "-KILL", first); err != nil {
		t.Fatalf("kill: %v\n%s", err, out)
	}
	testkit.AwaitFor(t, 30*time.Second, "the restart", func() bool { return active() && s.show("MainPID") != first })
	if out, err := s.inside("systemctl", "stop", "equic-gateway"); err != nil || s.attached() {
		t.Errorf("stop: %v, attached %v\n%s", err, s.attached(), out)
	}
	if _, err := s.inside("test", "-e", "/run/equic-gateway"); err == nil {
		t.Error("its folder in /run is left")
	}
}
