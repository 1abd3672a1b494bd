package main

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/equic-bench/equic-bench/doctor"
	"github.com/equic-bench/equic-bench/internal/testkit/golden"
	"github.com/equic-bench/equic-bench/results"
)

// The lists of doctor and verify, and the tables of other commands, fit the terminal.
func TestListsAreAsKeptAndFitTheirTerminal(t *testing.T) {
	checks := []doctor.Check{
		{Name: "kernel", Status: doctor.OK, Found: "Linux 6.18.0"},
		{
			Name: "buffers", Status: doctor.Warning, Found: "net.core.rmem_max 212992 bytes",
			Means:  "clients' receive buffers are smaller than quic-go asks for; the server's are raised by its capability",
			Remedy: "sysctl -w net.core.rmem_max=7340032",
		},
	}
	findings := []results.Finding{
		{Check: "sealed", Status: results.Holds, Evidence: "SHA256SUMS names 345 files"},
		{
			Check: "checksums", Status: results.Broken, Evidence: "1 of 345 files not as SHA256SUMS says",
			Faults: []results.Fault{{
				File:  "trials/001-no-block/server.jsonl",
				Fault: "changed: its SHA-256 is not the one in SHA256SUMS",
			}},
			Means: "these are not the bytes that the run wrote: take no figure from them",
		},
		{
			Check: "binaries", Status: results.NotChecked,
			Evidence: "in bin; not there: equic-client, equic-probe, equic-server",
		},
	}
	for name, render := range map[string]func(width int) string{
		"doctor": func(width int) string { return checksText(checks, width, false) },
		"verify": func(width int) string { return findingsText("results/runs/a", findings, 1, width) },
	} {
		for _, width := range []int{0, 80, 140} {
			got := render(width)
			for line := range strings.Lines(got) {
				if width > 0 && utf8.RuneCountInString(strings.TrimRight(line, "\n")) > width {
					t.Errorf("%s: wider than %d columns: %s", name, width, line)
				}
			}
			golden.Check(t, fmt.Sprintf("width/%s-%d.txt", name, width), []byte(got))
		}
	}
}
