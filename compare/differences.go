package compare

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/equic-bench/equic-bench/results"
)

// difference is one property in which two runs may differ.
type difference struct {
	what      string
	base, new string
}

// describe returns the differences of which the two sides are not equal, as text.
func describe(all []difference) []string {
	lines := []string{}
	for _, d := range all {
		if d.base != d.new {
			lines = append(lines, fmt.Sprintf("%s: %s in BASE, %s in NEW", d.what, orNone(d.base), orNone(d.new)))
		}
	}
	return lines
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// obstacles returns the differences that can change figures independently of the
// program, so that a change could not be attributed to it.
func obstacles(base, fresh *results.Run) []string {
	b, n := &base.Manifest, &fresh.Manifest
	all := []difference{
		{"layout version", fmt.Sprint(b.Schema), fmt.Sprint(n.Schema)},
		{"scenario", b.Scenario, n.Scenario},
		{"scenario file, SHA-256", b.ScenarioSHA256, n.ScenarioSHA256},
	}
	all = append(all, experiments("", &b.Experiment, &n.Experiment)...)
	for _, c := range n.Cells {
		if was := b.ExperimentOf(c.Name); was != nil {
			all = append(all, experiments(c.Name+", ", was, &c.Experiment)...)
		} else {
			all = append(all, difference{"cell " + c.Name, "none", "run"})
		}
	}
	all = append(all, []difference{
		{"kernel", b.Machine.Kernel, n.Machine.Kernel},
		{"architecture", b.Machine.Arch, n.Machine.Arch},
		{"CPU model", b.Machine.CPUModel, n.Machine.CPUModel},
		{"number of CPUs", fmt.Sprint(b.Machine.CPUs), fmt.Sprint(n.Machine.CPUs)},
		{"CPU frequency governor", b.Machine.Governor, n.Machine.Governor},
		{"runtime", b.Runtime.Name, n.Runtime.Name},
	}...)
	variants := slices.Clone(n.Experiment.Variants)
	for _, c := range n.Cells {
		variants = append(variants, c.Experiment.Variants...)
	}
	slices.Sort(variants)
	for _, variant := range slices.Compact(variants) {
		if was, is := modes(base, variant), modes(fresh, variant); was != "" && is != "" {
			all = append(all, difference{"XDP mode in force, " + variant, was, is})
		}
	}
	return describe(all)
}

// experiments returns the differences of the resolved scenarios, key by key. It leaves
// out what is compared separately. Another version may resolve the
// same file to another experiment.
func experiments(cell string, base, fresh *results.Experiment) []difference {
	var all []difference
	b, n := reflect.ValueOf(*base), reflect.ValueOf(*fresh)
	for i := range b.NumField() {
		key, _, _ := strings.Cut(b.Type().Field(i).Tag.Get("json"), ",")
		if key == "variants" || key == "arms" || key == "apart" { // that one follows from the runtime
			continue
		}
		all = append(all, difference{"scenario, " + cell + key, asJSON(b.Field(i)), asJSON(n.Field(i))})
	}
	return all
}

func asJSON(v reflect.Value) string {
	text, err := json.Marshal(v.Interface())
	if err != nil {
		return fmt.Sprint(v.Interface())
	}
	return string(text)
}

// modes returns the XDP modes in which a variant's valid trials ran.
func modes(run *results.Run, variant string) string {
	set := map[string]bool{}
	for _, t := range run.Trials {
		if t.Valid && t.Variant == variant && t.Arm == results.Plain && t.XDPMode != "" {
			set[t.XDPMode] = true
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(set)), " and ")
}

// information returns the differences that do not make runs incomparable. One of them
// is the program: it is what a comparison is for.
func information(base, fresh *results.Manifest) []string {
	lines := []string{binaries(base.Binaries, fresh.Binaries)}
	b, n := &base.Machine, &fresh.Machine
	all := []difference{
		{"version", base.Version, fresh.Version},
		{"Go", base.Go, fresh.Go},
		{"arms", fmt.Sprint(base.Experiment.Arms), fmt.Sprint(fresh.Experiment.Arms)},
		{"seed", fmt.Sprint(base.Seed), fmt.Sprint(fresh.Seed)},
		{"runtime version", base.Runtime.Version, fresh.Runtime.Version},
		{"limits", strings.Join(base.Runtime.Limits, ", "), strings.Join(fresh.Runtime.Limits, ", ")},
		{"system", b.OS, n.OS},
		{"memory in bytes", fmt.Sprint(b.MemoryBytes), fmt.Sprint(n.MemoryBytes)},
		{"swap in bytes", fmt.Sprint(b.SwapBytes), fmt.Sprint(n.SwapBytes)},
		{"clock source", b.ClockSource, n.ClockSource},
		{"net.core.rmem_max", fmt.Sprint(b.RmemMaxBytes), fmt.Sprint(n.RmemMaxBytes)},
	}
	for _, path := range union(base.Modules, fresh.Modules) {
		all = append(all, difference{"module " + path, base.Modules[path], fresh.Modules[path]})
	}
	return append(lines, describe(all)...)
}

// binaries reports which programs of the nodes differ.
func binaries(base, fresh map[string]string) string {
	if len(base) == 0 || len(fresh) == 0 {
		return "binaries: not recorded in both"
	}
	var others []string
	for _, name := range union(base, fresh) {
		if base[name] != fresh[name] {
			others = append(others, name)
		}
	}
	if len(others) == 0 {
		return "binaries: the same in both, so the program is not the cause of a change"
	}
	return "binaries that differ: " + strings.Join(others, ", ")
}

func union(a, b map[string]string) []string {
	all := maps.Clone(a)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, b)
	return slices.Sorted(maps.Keys(all))
}
