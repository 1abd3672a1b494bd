package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"github.com/equic-bench/equic-bench/doctor"
	"github.com/equic-bench/equic-bench/equic"
	"github.com/equic-bench/equic-bench/host"
	"github.com/equic-bench/equic-bench/measure"
	"github.com/equic-bench/equic-bench/orchestrate"
	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/scenarios"
)

// errMachine means that this machine cannot run the scenario.
var errMachine = errors.New("this machine cannot run it")

// roomBytes is how much free space a results folder should have: enough for a few large runs.
const roomBytes = 512 << 20

func doctorCommand() *cobra.Command {
	var asJSON bool
	var root, runtime string
	c := &cobra.Command{
		Use:   "doctor [SCENARIO]",
		Short: "Report what this machine can and cannot run, with remedies",
		Long: `Looks at the kernel, the hardware, the engine and what is left of earlier runs,
and tries for real, on a throw-away veth pair, what needs root. With SCENARIO it
compares the machine with that scenario's CPUs, memory, open files and variants.
It refuses to start while a run is measuring.`,
		Example: "  equic-bench doctor scenarios/paper.yaml",
		Args:    arguments(0, 1),
		RunE: func(c *cobra.Command, args []string) error {
			if names := runtimeNames(); !slices.Contains(names, runtime) {
				return usage(c, "runtime %q is unknown, use %s", runtime, strings.Join(names, ", "))
			}
			need := doctor.Need{XDP: true, Places: []string{string(record.PlaceXDP)}, Syscalls: true}
			if len(args) == 1 {
				s, err := scenarios.Load(args[0])
				if err != nil {
					return err
				}
				need = needOf(s, localPlatform())
			}
			// The attempts would disturb a run that measures.
			release, err := lockMachine(c.Context())
			if err != nil {
				return err
			}
			checks := examine(c.Context(), need, runtime, root)
			if err := errors.Join(release(), printChecks(c.OutOrStdout(), checks, asJSON)); err != nil {
				return err
			}
			return verdict(checks)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print the checks as JSON")
	c.Flags().StringVar(&runtime, "runtime", runtimeAuto, "the runtime to look at; auto looks at docker and netns")
	c.Flags().StringVar(&root, "results", defaultResults, "folder of the run directories")
	return c
}

// needOf returns what a scenario needs: its CPUs, or those that a run on a platform
// would choose.
func needOf(s *scenarios.Scenario, p orchestrate.Platform) doctor.Need {
	server, clients := orchestrate.Place(s, p)
	return doctor.Need{
		ServerCPUs:  server,
		ClientCPUs:  clients,
		AutoCPUs:    len(s.Server.CPUs) == 0 || len(s.Sequential.CPUs) == 0,
		MemoryBytes: s.Server.Memory,
		XDP:         slices.ContainsFunc(s.Variants, attaches),
		Places:      placesOf(s),
		IPv6:        slices.ContainsFunc(s.Cells(), func(c *scenarios.Scenario) bool { return c.Network.Family.Has6() }),
		Floods:      slices.ContainsFunc(s.Cells(), floods),
		Syscalls:    s.Trial.Syscalls,
		OpenFiles:   orchestrate.OpenFiles(s),
	}
}

// attaches reports whether a variant attaches an eBPF program.
func attaches(v record.Variant) bool { return v.InKernel() || v == record.GatewayInFront }

// placesOf returns the places where the variants of a scenario drop packets.
func placesOf(s *scenarios.Scenario) (places []string) {
	for _, v := range s.Variants {
		switch {
		case v.Drops():
			places = append(places, string(v.Spec().Place))
		case v == record.GatewayInFront:
			places = append(places, string(record.PlaceXDP))
		}
	}
	return places
}

// floods reports whether an attack of a cell is a flood.
func floods(cell *scenarios.Scenario) bool {
	return slices.ContainsFunc(cell.Attacks(), func(c scenarios.Clients) bool { return c.Kind.Flood() })
}

// localPlatform describes nodes that run on this machine without an engine.
func localPlatform() orchestrate.Platform {
	cpus, _ := host.Affinity() // none if this machine has more CPUs than a unix.CPUSet can hold
	return orchestrate.Platform{CPUs: cpus, Cores: host.Local().Cores()}
}

// examine makes all checks, for nodes that will run in a runtime.
func examine(ctx context.Context, need doctor.Need, runtime, root string) []doctor.Check {
	places, usable := runtimeChecks(ctx, runtime)
	if isRemote(runtime) {
		return append(places, resultsCheck(root))
	}
	granted := grantsRights(runtime, usable)
	need.Floods = need.Floods && !granted // an engine's nodes send through sockets, and nothing counts that
	checks := append(doctor.Machine(host.Local(), need), openFilesCheck(need, granted))
	checks = append(checks, triedChecks(need, granted)...)
	checks = append(checks, places...)
	return append(checks, resultsCheck(root))
}

func openFilesCheck(need doctor.Need, engineSets bool) doctor.Check {
	limit, err := host.OpenFilesLimit()
	if err != nil {
		return doctor.Check{Name: "open files", Status: doctor.Warning, Found: oneLine(err), Means: "nodes may have too few"}
	}
	return doctor.OpenFiles(limit, need, engineSets)
}

// verdict returns an error that lists what is missing, with the remedy.
func verdict(checks []doctor.Check) error {
	var missing []string
	for _, c := range checks {
		if c.Status == doctor.Missing {
			missing = append(missing, fmt.Sprintf("%s: %s (%s)", c.Name, c.Found, c.Remedy))
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s", errMachine, strings.Join(missing, "; "))
}

// triedChecks makes the checks that have to try something. Without root they are left
// to the nodes, which have the capabilities that an engine gives them.
func triedChecks(need doctor.Need, granted bool) []doctor.Check {
	native := doctor.Check{Name: "native XDP", Status: doctor.OK, Found: "attached to a veth pair"}
	calls := doctor.Check{Name: "system calls", Status: doctor.OK, Found: "can be counted"}
	if os.Geteuid() != 0 {
		for _, c := range []*doctor.Check{&native, &calls} {
			c.Status, c.Found = doctor.Warning, "not tried"
			c.Means, c.Remedy = "only root can try it; an engine's nodes may be able to", "sudo equic-bench doctor"
		}
		return []doctor.Check{native, calls}
	}
	lessRights := granted && !doctor.AllRights(host.Local()) // fewer than the nodes have
	if err := inThrowAwayNetwork(tryXDP); err != nil {
		native.Means = "xdp-block and xdp-block-new do not run"
		native.Remedy = "run --variants no-block,userspace-block,userspace-early"
		native = failedTry(native, err, need.XDP, lessRights)
	}
	if err := measure.TryCounter(); err != nil {
		calls.Means = "system calls cannot be counted"
		calls.Remedy = "set trial.syscalls: false in the scenario, or fix the problem that the kernel reports"
		calls = failedTry(calls, err, need.Syscalls, lessRights)
	}
	return []doctor.Check{native, calls}
}

// failedTry returns the check for a failed attempt. Root in a container may have fewer
// rights than the nodes get from the engine; a failure then proves nothing about the
// nodes. An attempt that fails with all rights also fails in a node.
func failedTry(c doctor.Check, err error, needed, lessRights bool) doctor.Check {
	c.Status, c.Found = doctor.Warning, oneLine(err)
	switch {
	case lessRights && errors.Is(err, fs.ErrPermission):
		c.Means = "could not be tried here with this process's rights; the engine's nodes may be able to"
		c.Remedy = "try it outside of a container: sudo equic-bench doctor"
	case needed:
		c.Status = doctor.Missing
	}
	return c
}

func tryXDP() error {
	g, err := equic.Attach(equic.Options{Interfaces: []string{"eth0"}, Ports: []equic.Port{{Number: 4433}}, MaxClients: 1})
	if err != nil {
		return err
	}
	return g.Close()
}

// runtimeChecks checks the places where nodes can run; one is enough. It also returns
// the runtimes that can be opened.
func runtimeChecks(ctx context.Context, runtime string) (checks []doctor.Check, usable []runtimeKind) {
	var left leftovers
	for _, k := range runtimeKinds {
		if !k.named(runtime) {
			continue
		}
		c, opens := k.look(ctx, &left)
		if checks = append(checks, c); opens {
			usable = append(usable, k)
		}
	}
	if len(usable) == 0 && runtime != runtimeAuto {
		checks[0].Status = doctor.Missing
	} else if len(usable) == 0 {
		last := &checks[len(checks)-1]
		last.Status, last.Means, last.Remedy = doctor.Missing, "there is no place for nodes to run in", noRuntimeRemedy
	}
	return append(checks, left.check()), usable
}

// look opens a runtime, and closes it again.
func (k runtimeKind) look(ctx context.Context, left *leftovers) (c doctor.Check, opens bool) {
	rt, err := k.open(ctx, ".")
	if err != nil {
		c = k.check
		c.Status, c.Found = doctor.Warning, oneLine(err)
		left.ask(ctx, k.cleaner, k.unasked)
		return c, false
	}
	left.ask(ctx, rt, "")
	left.err = errors.Join(left.err, rt.Close())
	platform := rt.Platform()
	c = doctor.Check{Name: k.check.Name, Status: doctor.OK, Found: k.found(platform.Runtime)}
	if k.remote && len(platform.Warnings) > 0 { // doctor checks this machine itself
		c.Status, c.Means = doctor.Warning, strings.Join(platform.Warnings, "; ")
	}
	return c, true
}

// leftovers lists what killed runs left, in the order in which clean removes it.
type leftovers struct {
	names, unasked []string
	err            error
}

func (l *leftovers) ask(ctx context.Context, cleaner orchestrate.Cleaner, unasked string) {
	if cleaner == nil {
		l.unasked = append(l.unasked, unasked)
		return
	}
	names, err := cleaner.Leftovers(ctx)
	l.names, l.err = append(names, l.names...), errors.Join(l.err, err)
}

func (l *leftovers) check() doctor.Check {
	c := doctor.Check{Name: "leftovers", Status: doctor.OK, Found: "none"}
	switch {
	case l.err != nil:
		c.Status, c.Found, c.Means = doctor.Warning, oneLine(l.err), "what killed runs left is not known"
	case len(l.names) > 0:
		c.Status, c.Found = doctor.Warning, strings.Join(l.names, ", ")
		c.Means, c.Remedy = "a run that was killed left them; the next run of their runtime removes them", "equic-bench clean"
	case len(l.unasked) > 0:
		c.Found = strings.Join(l.unasked, "; ")
	}
	return c
}

// resultsCheck checks that a run can be written.
func resultsCheck(root string) doctor.Check {
	c := doctor.Check{Name: "results", Status: doctor.OK}
	dir := existing(root)
	if err := writable(dir); err != nil {
		c.Status, c.Found = doctor.Missing, oneLine(err)
		c.Means, c.Remedy = "no run can be written", "choose another folder with --results"
		return c
	}
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		c.Status, c.Found, c.Means = doctor.Warning, oneLine(err), "it may be full"
		return c
	}
	free := int64(fs.Bavail) * fs.Bsize // no file system is large enough to overflow it
	c.Found = fmt.Sprintf("%s, %d MiB free", dir, free>>20)
	if free < roomBytes {
		c.Status, c.Means = doctor.Warning, "a long run may fill the disk; its whole trials stay"
		c.Remedy = "make room, or choose another folder with --results"
	}
	return c
}

// existing returns the path, or the nearest folder above it that exists.
func existing(path string) string {
	for {
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			return path
		}
		parent := filepath.Dir(path)
		if parent == path {
			return path
		}
		path = parent
	}
}

func writable(dir string) error {
	f, err := os.CreateTemp(dir, ".equic-bench-*")
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, 4096)) // a full disk still has room for an empty file
	return errors.Join(err, f.Close(), os.Remove(f.Name()))
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// printChecks prints the checks, each failed one followed by the remedy.
func printChecks(w io.Writer, checks []doctor.Check, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(checks)
	}
	width := terminalWidth(w)
	_, err := io.WriteString(w, checksText(worstFirst(checks), width, width > 0 && os.Getenv("NO_COLOR") == ""))
	return err
}

// worstFirst sorts checks by status, and leaves those of one status in order.
func worstFirst(checks []doctor.Check) []doctor.Check {
	order := []doctor.Status{doctor.Missing, doctor.Warning, doctor.OK}
	sorted := slices.Clone(checks)
	slices.SortStableFunc(sorted, func(a, b doctor.Check) int {
		return slices.Index(order, a.Status) - slices.Index(order, b.Status)
	})
	return sorted
}

// statusColors are the colours of the statuses on a terminal.
var statusColors = map[doctor.Status]text.Color{
	doctor.Missing: text.FgRed, doctor.Warning: text.FgYellow, doctor.OK: text.FgGreen,
}

// checksText returns the checks for a terminal with that many columns; zero means no limit.
func checksText(checks []doctor.Check, width int, colored bool) string {
	const indent = 24
	var b strings.Builder
	for _, c := range checks {
		status := fmt.Sprintf("%-8s", c.Status)
		if colored {
			status = statusColors[c.Status].EscapeSeq() + status + text.Reset.EscapeSeq()
		}
		fmt.Fprintf(&b, "%s %-14s %s\n", status, c.Name, wrapped(c.Found, indent, width))
		for _, more := range []string{c.Means, c.Remedy} {
			if c.Status != doctor.OK && more != "" {
				fmt.Fprintf(&b, "%*s%s\n", indent, "", wrapped(more, indent, width))
			}
		}
	}
	return b.String()
}

// wrapped breaks a text between words, so that it fits after an indent.
func wrapped(s string, indent, width int) string {
	if width <= 0 {
		return s
	}
	lines := strings.Split(text.WrapSoft(s, max(20, width-indent)), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n"+strings.Repeat(" ", indent))
}
