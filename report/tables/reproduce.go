package tables

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/equic-bench/equic-bench/report/analysis"
)

// Reproduction describes how to run the same again.
type Reproduction struct {
	Command  string // steps for a shell
	Report   string // a command that draws this report again, in the run's folder
	Warnings []string
	Scenario string // SHA-256 of the scenario
	Binaries []binary
}

type binary struct{ Name, SHA256 string }

// Reproduce describes how to run the same again.
func Reproduce(s *analysis.Summary) Reproduction {
	m := s.Manifest
	r := Reproduction{Report: "equic-bench report .", Scenario: m.ScenarioSHA256}
	for _, name := range slices.Sorted(maps.Keys(m.Binaries)) {
		r.Binaries = append(r.Binaries, binary{name, m.Binaries[name]})
	}
	var steps []string
	switch {
	case m.Version == "" || m.Version == "unknown":
		r.Warnings = append(r.Warnings, "The program was built outside a git checkout: its version is not known.")
	case strings.HasSuffix(m.Version, "-dirty"):
		r.Warnings = append(r.Warnings,
			fmt.Sprintf("The program was built from a checkout with changes (%s): no commit is exactly what ran.", m.Version))
	default:
		steps = append(steps, "git checkout "+quoted(m.Version))
	}
	steps = append(steps, "make build")
	if len(r.Binaries) > 0 {
		steps = append(steps, "sha256sum --check <<'END'")
		for _, b := range r.Binaries {
			words := strings.Fields(b.SHA256 + " bin/" + b.Name) // on one line, whatever they are
			steps = append(steps, strings.Join(words, "  "))
		}
		steps = append(steps, "END")
	}
	r.Command = strings.Join(append(steps, "bin/"+Command(s)), "\n")
	return r
}
