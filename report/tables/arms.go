package tables

import (
	"fmt"
	"strings"

	"github.com/equic-bench/equic-bench/report/analysis"
)

// armSections returns the sections on the other arms of the run; their tables are empty
// if it has none.
func armSections(s *analysis.Summary) []Section {
	cost := Section{Titled: costTable(s), After: []string{costNote(s)}}
	noise := Section{Titled: noiseTable(s)}
	if s.Noise != nil {
		noise.After = []string{"Each variant ran twice in each block, as if it were two: what differs is noise. The " +
			"change is paired by block, by each headline figure; its interval and p are those of the other tables, and p is " +
			"not corrected. This run: " + s.Noise.Note() +
			". A change between two variants that is no larger than the largest of a block here may be nothing. The second " +
			"trials of a block are in no other figure or table."}
	}
	return []Section{cost, noise}
}

func costNote(s *analysis.Summary) string {
	how := "Each variant ran twice in each block: with its server under the probe, which samples it and counts its " +
		"system calls, and with nothing around it. The change is that of ratios paired by block, from the latter to the " +
		"former."
	asked := " Without a probe, the server's CPU use is unknown, so the rules that need it do not apply. The " +
		"trials without it are in no other figure or table."
	if stretch := s.Manifest.Experiment.AlternateNS; stretch > 0 {
		how = fmt.Sprintf("In each trial the server was measured in one half of its stretches of %g s, in an order "+
			"without a rhythm: in the other it was neither sampled nor were its system calls counted. The change is from the "+
			"latter to the former, within a trial; interval and p are over the trials. Of each stretch the first %g s are "+
			"left out, as the switch may disturb them.", analysis.Seconds(stretch), analysis.Seconds(analysis.SkippedNS))
		asked = ""
	}
	return strings.TrimSpace(how +
		" The goal is reached where the whole interval is within 1 % of no change. Clients run under their probes in " +
		"both, so what that costs is in neither." + asked + " " + spareTime(s))
}

// busyServer is the busy share, in %, from which a server's CPUs have no spare time.
const busyServer = 90

// spareTime describes how busy the servers were, for the variants whose cost is measured.
func spareTime(s *analysis.Summary) string {
	if s.Cost == nil {
		return ""
	}
	var all []string
	spare := false
	for i := range s.Cost.Lines {
		name := s.Cost.Lines[i].Variant
		if i > 0 && name == s.Cost.Lines[i-1].Variant {
			continue
		}
		if v := s.Variant(name); v != nil && v.BusyCPUs.Mean.Known() {
			all = append(all, fmt.Sprintf("%s %s %%", name, v.BusyCPUs.Mean.Short()))
			spare = spare || v.BusyCPUs.Mean < busyServer
		}
	}
	if len(all) == 0 {
		return ""
	}
	text := "How busy the server's CPUs were while it was measured: " + strings.Join(all, ", ") + "."
	if spare {
		text += fmt.Sprintf(" Below %d %% it had time to spare, which hides a part of what measuring costs.", busyServer)
	}
	return text
}
