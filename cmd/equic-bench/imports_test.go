package main

import (
	"os/exec"
	"strings"
	"testing"
)

// Measured programs link only what they need, and drawing works on any laptop
// (docs/architecture.md, rules 4 and 6). The linter checks direct imports; this test
// checks indirect ones.
func TestProgramsAndPackagesLinkOnlyWhatTheyNeed(t *testing.T) {
	const (
		docker   = "github.com/docker/docker"
		plot     = "gonum.org/v1/plot"
		quic     = "github.com/quic-go/quic-go"
		ebpf     = "github.com/cilium/ebpf"
		compress = "github.com/klauspost/compress"
		ours     = "github.com/equic-bench/equic-bench/"
	)
	for of, forbidden := range map[string][]string{
		"cmd/equic-server": {docker, plot, compress, ours + "results", ours + "host", ours + "orchestrate", ours +
			"scenarios", ours + "report"},
		"cmd/equic-client": {docker, plot, compress, ours + "results", ours + "host", ebpf, ours + "orchestrate", ours +
			"scenarios", ours + "report", ours + "equic"},
		"cmd/equic-flood": {
			docker, plot, compress, quic, ours + "results", ours + "host", ours + "orchestrate", ours + "scenarios",
			ours + "report", ours + "equic",
		},
		"cmd/equic-probe": {
			docker, plot, compress, ours + "results", quic, ours + "orchestrate", ours + "scenarios",
			ours + "report",
		},
		"report":            {docker, quic, ebpf},
		"compare":           {docker, quic, ebpf},
		"orchestrate":       {docker, plot, quic, ebpf},
		"equic":             {docker, plot, quic, ours + "results", ours + "record"},
		"equic/quicguard":   {docker, plot, ours + "results", ours + "record"},
		"cmd/equic-gateway": {docker, plot, quic, ours + "results", ours + "record"},
	} {
		t.Run(of, func(t *testing.T) {
			t.Parallel()
			out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ours+of).Output()
			if err != nil {
				t.Fatal(err)
			}
			for dep := range strings.Lines(string(out)) {
				for _, no := range forbidden {
					if strings.HasPrefix(dep, no) {
						t.Errorf("links %s", strings.TrimSpace(dep))
					}
				}
			}
		})
	}
}
