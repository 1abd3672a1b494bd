// Package host reads the kernel's information about this machine: CPUs, memory,
// capabilities, load. doctor checks it, orchestrate records it and waits for an idle
// machine, and measure finds the CPUs that it may use. The package measure reads the
// state of a process.
package host

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Host is a machine, as described by the files of its kernel (proc(5), sysfs). Values
// that they do not contain are empty or zero.
type Host struct{ root fs.FS }

// Local returns this machine.
func Local() Host { return New(os.DirFS("/")) }

// New returns the machine with these files. root is "/".
func New(root fs.FS) Host { return Host{root} }

// OS returns the name of the distribution, or else of the operating system.
func (h Host) OS() string {
	if name := strings.Trim(h.field("etc/os-release", "PRETTY_NAME", "="), `"`); name != "" {
		return name
	}
	return runtime.GOOS
}

// Kernel returns the kernel's release: "6.1.0-18-amd64".
func (h Host) Kernel() string { return h.text("proc/sys/kernel/osrelease") }

// BTF reports whether the kernel describes its own types. Programs that trace it need
// that.
func (h Host) BTF() bool {
	_, err := fs.Stat(h.root, "sys/kernel/btf/vmlinux")
	return err == nil
}

// UserNamespace reports whether this process is in a user namespace: its root is another user
// outside of it, without rights there (user_namespaces(7)).
func (h Host) UserNamespace() bool {
	fields := strings.Fields(h.text("proc/self/uid_map"))
	return len(fields) >= 3 && !slices.Equal(fields[:3], []string{"0", "0", "4294967295"})
}

// IPv6 reports whether the kernel has IPv6.
func (h Host) IPv6() bool {
	_, err := fs.Stat(h.root, "proc/sys/net/ipv6/conf/default/disable_ipv6")
	return err == nil
}

// Capabilities returns the effective capabilities of this process, one bit for each
// (capabilities(7)).
func (h Host) Capabilities() (bits uint64, ok bool) {
	bits, err := strconv.ParseUint(h.field("proc/self/status", "CapEff", ":"), 16, 64)
	return bits, err == nil
}

// MemoryBytes returns a value of /proc/meminfo, such as MemTotal.
func (h Host) MemoryBytes(name string) int64 {
	return number(strings.TrimSuffix(h.field("proc/meminfo", name, ":"), " kB")) << 10 // its kB is KiB
}

// ClockSource returns the kernel's clock source.
func (h Host) ClockSource() string {
	return h.text("sys/devices/system/clocksource/clocksource0/current_clocksource")
}

// RmemMaxBytes returns the largest receive buffer that a socket may request.
func (h Host) RmemMaxBytes() int64 { return number(h.text("proc/sys/net/core/rmem_max")) }

// Load1 returns the load average of the last minute.
func (h Host) Load1() (load float64, ok bool) {
	text, _, _ := strings.Cut(h.text("proc/loadavg"), " ")
	load, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, false
	}
	return load, true
}

// ThrottledPeriods returns the number of periods in which the CPU quota of this control
// group, or of one above it, has stopped processes, or -1 if that is not known.
func (h Host) ThrottledPeriods() int64 {
	sum := int64(-1)
	for _, group := range h.groups() {
		for _, root := range []string{
			"sys/fs/cgroup",             // version 2
			"sys/fs/cgroup/cpu",         // version 1
			"sys/fs/cgroup/cpu,cpuacct", // version 1, mounted together
		} {
			n, err := strconv.ParseInt(h.field(path.Join(root, group, "cpu.stat"), "nr_throttled", " "), 10, 64)
			if err == nil && n >= 0 {
				sum = max(sum, 0) + n
				break
			}
		}
	}
	return sum
}

// groups returns the paths of this process's control group and of those above it, up to the root, which in a
// container is its own group.
func (h Host) groups() []string {
	all := []string{""}
	for line := range strings.Lines(h.text("proc/self/cgroup")) { // number:controllers:path
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) < 3 || f[1] != "" && !slices.Contains(strings.Split(f[1], ","), "cpu") {
			continue
		}
		for g := path.Clean("/" + f[2]); g != "/"; g = path.Dir(g) {
			if !slices.Contains(all, g[1:]) {
				all = append(all, g[1:])
			}
		}
	}
	return all
}

// OpenFilesLimit returns how many files a child process may open. It is the hard limit,
// since Go programs raise their soft limit to it.
func OpenFilesLimit() (uint64, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("read the limit of open files: %w", err)
	}
	return limit.Max, nil
}

// text returns the content of a file without leading and trailing white space.
func (h Host) text(path string) string {
	b, err := fs.ReadFile(h.root, path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// field returns the value of the first line "name<sep>value" of a file.
func (h Host) field(path, name, sep string) string {
	for line := range strings.Lines(h.text(path)) {
		if key, value, found := strings.Cut(line, sep); found && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// number parses a decimal number. Any other text is zero.
func number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
