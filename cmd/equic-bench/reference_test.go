package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/equic-bench/equic-bench/internal/testkit"
)

const (
	// referenceRun is the run whose figures the README shows.
	referenceRun = "results/reference/paper"
	// referenceLadder is the run that compares places, without its records.
	referenceLadder = "results/reference/ladder"
	// referenceKnee is the search for breaking points, without its records.
	referenceKnee = "results/reference/knee"
	// referenceNotes describe them, and quote their reports.
	referenceNotes = "results/reference/README.md"
)

// The sizes in the repository of the run's records, and of the other two together, are limited, in bytes.
const (
	mostReference = 30_000_000
	mostOthers    = 5_000_000
)

// TestTheReferenceRunGivesItsReportAndTheREADMEsFigures draws the reference run again:
// each byte of its report follows from the records, and so does each line that its notes
// quote, and each row of the README's tables.
func TestTheReferenceRunGivesItsReportAndTheREADMEsFigures(t *testing.T) {
	testkit.Slow(t, "draws the reference run twice")
	texts := documents(t)
	if code, out, stderr := command(t, "verify", referenceRun); code != exitFine ||
		strings.Contains(out, "not checked report") {
		t.Fatalf("verify: exit code %d\n%s%s", code, out, stderr)
	}
	dir := filepath.Join(t.TempDir(), "paper")
	testkit.Must(t, os.CopyFS(dir, os.DirFS(referenceRun)))
	testkit.Must(t, os.RemoveAll(filepath.Join(dir, "report")))
	code, out, stderr := command(t, "report", "--all", dir)
	if code != exitFine {
		t.Fatalf("report: exit code %d\n%s", code, stderr)
	}
	kept, drawn := readTree(t, filepath.Join(referenceRun, "report")), readTree(t, filepath.Join(dir, "report"))
	if len(kept) != len(drawn) {
		t.Errorf("%d files are kept, %d were drawn", len(kept), len(drawn))
	}
	for name := range drawn {
		if !bytes.Equal(kept[name], drawn[name]) {
			t.Errorf("report/%s is not what the records give", name)
		}
	}
	searched := readTree(t, filepath.Join(referenceKnee, "report"))
	for name, want := range map[string][]byte{
		"figure-claims.png": drawn["figure-claims.png"], "figure-breaking-points.png": searched["figure-breaking-points.png"],
	} {
		figure, err := os.ReadFile(filepath.Join("docs", name))
		if testkit.Must(t, err); len(want) == 0 || !bytes.Equal(figure, want) {
			t.Errorf("docs/%s is not that of the reference runs in %s: copy it from their reports", name, referenceNotes)
		}
	}
	checkQuotes(t, texts[referenceNotes], "bin/equic-bench report --all "+referenceRun, out)
	reports := string(drawn["report.md"])
	for _, dir := range []string{referenceLadder, referenceKnee} {
		text, err := os.ReadFile(filepath.Join(dir, "report", "report.md"))
		testkit.Must(t, err)
		reports += string(text)
	}
	for _, document := range []string{"README.md", referenceNotes} {
		checkRows(t, texts[document], reports)
	}
}

func TestTheReferenceRunsWithoutRecordsAreUnchanged(t *testing.T) {
	documents(t) // changes to the root of the repository
	for _, dir := range []string{referenceLadder, referenceKnee} {
		if code, out, stderr := command(t, "verify", dir); code != exitFine {
			t.Errorf("verify %s: exit code %d\n%s%s", dir, code, out, stderr)
		}
	}
}

func TestACopyWithTheReportAloneIsVerifiedAsFarAsItGoes(t *testing.T) {
	testkit.Slow(t, "reads the reference run twice")
	documents(t) // changes to the root of the repository
	small := filepath.Join(t.TempDir(), "small")
	if code, _, stderr := command(t, "pack", "--report", referenceRun, small); code != exitFine {
		t.Fatalf("pack --report: exit code %d\n%s", code, stderr)
	}
	code, out, stderr := command(t, "verify", small)
	if code != exitFine || !strings.Contains(out, "verified: "+small) {
		t.Fatalf("verify: exit code %d\n%s%s", code, out, stderr)
	}
	for _, check := range []string{"records", "verdicts", "report"} {
		if !regexp.MustCompile(`(?m)^not checked +` + check + ` `).MatchString(out) {
			t.Errorf("%s: want not checked\n%s", check, out)
		}
	}
	code, _, stderr = command(t, "pack", small, small+"-again")
	if code != exitTrial || !strings.Contains(stderr, "its records are not there") {
		t.Errorf("pack of a copy without records: exit code %d\n%s", code, stderr)
	}
	code, _, stderr = command(t, "report", "--out", small+"-report", small)
	if code == exitFine || !strings.Contains(stderr, "a copy without records") {
		t.Errorf("report of a copy without records: exit code %d\n%s", code, stderr)
	}
}

// checkRows asserts that the rows of a document's tables are rows of a report.
func checkRows(t *testing.T, document, report string) {
	t.Helper()
	rows := regexp.MustCompile(`(?m)^\|.*\|$`)
	theirs := rows.FindAllString(report, -1)
	ours := rows.FindAllString(document, -1)
	for _, row := range ours {
		if !slices.Contains(theirs, row) {
			t.Errorf("the report has no row %s", row)
		}
	}
	if len(ours) < 10 {
		t.Errorf("%d rows found", len(ours))
	}
}

// checkQuotes asserts that the lines of a document's console block that follow a
// command are lines of its output, in their order.
func checkQuotes(t *testing.T, document, command, output string) {
	t.Helper()
	all, _ := blocks(document)
	quoted := 0
	for _, b := range all {
		_, quotes, found := strings.Cut(b.text, "$ "+command+"\n")
		if !found {
			continue
		}
		quotes, _, _ = strings.Cut(quotes, "\n$ ")
		rest := "\n" + output
		for line := range strings.Lines(quotes) {
			line = strings.TrimSpace(line)
			if line == "" || line == "…" {
				continue
			}
			_, after, ok := strings.Cut(rest, "\n"+line+"\n")
			if !ok {
				t.Errorf("`%s` does not print, after the lines before it:\n%s", command, line)
				return
			}
			quoted, rest = quoted+1, "\n"+after
		}
	}
	if quoted < 10 {
		t.Errorf("%d lines of `%s` are quoted", quoted, command)
	}
}

func TestTheReferenceRunsAreSmallEnough(t *testing.T) {
	documents(t) // changes to the root of the repository
	if size := sizeOf(t, referenceRun) - sizeOf(t, filepath.Join(referenceRun, "report")); size > mostReference {
		t.Errorf("%s has %d bytes beside its report, want at most %d", referenceRun, size, mostReference)
	}
	if size := sizeOf(t, referenceLadder) + sizeOf(t, referenceKnee); size > mostOthers {
		t.Errorf("%s and %s have %d bytes, want at most %d", referenceLadder, referenceKnee, size, mostOthers)
	}
}

// sizeOf returns the size of all files in a folder, in bytes.
func sizeOf(t *testing.T, dir string) (size int64) {
	t.Helper()
	testkit.Must(t, filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			size += info.Size()
		}
		return err
	}))
	if size == 0 {
		t.Errorf("%s is empty", dir)
	}
	return size
}
