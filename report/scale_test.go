package report

import (
	"bytes"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/report/internal/synth"
)

var (
	scaleFile = flag.String("scale", "",
		"measure `report` on huge runs, and write the table to this file (make bench-report)")
	scaleBinary = flag.String("binary", "", "the equic-bench that -scale measures")
)

// scaleCase is one run, and the limits for its report.
type scaleCase struct {
	synth.Bulk
	goal      time.Duration
	goalBytes int64
}

// A histogram makes the memory independent of the number of requests, so ten million
// may take no more of it than one million.
func scaleCases() []scaleCase {
	const most = 300e6
	return []scaleCase{
		{synth.Bulk{Requests: 1_000_000, Blocks: 1}, 5 * time.Second, most},
		{synth.Bulk{Requests: 10_000_000, Blocks: 1}, 50 * time.Second, most},
		{synth.Bulk{Requests: 10_000_000, Blocks: 10}, 50 * time.Second, most},
	}
}

// scaleRounds is how often the report of each run is made; goals are judged by the worst.
const scaleRounds = 3

// TestScale is the benchmark of `make bench-report`. It fails if a report cannot be
// made. Only the table shows whether a goal is met, since that depends on the machine.
func TestScale(t *testing.T) {
	if *scaleFile == "" {
		t.Skip("a benchmark: make bench-report")
	}
	var table strings.Builder
	fmt.Fprintf(&table, "`report` on runs made by code: %d CPUs, %s, %s; each run %d times, from a warm page cache.\n\n",
		runtime.NumCPU(), runtime.Version(), time.Now().UTC().Format(time.DateOnly), scaleRounds)
	table.WriteString("| requests | blocks | trials | MB | wall, median (s) | worst | CPU, median (s) | peak memory " +
		"(MB) | MB/s | goal | met |\n" +
		"| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- | --- |\n")
	for _, c := range scaleCases() {
		t.Run(fmt.Sprintf("%d requests in %d blocks", c.Requests, c.Blocks), func(t *testing.T) {
			table.WriteString(c.measure(t))
		})
	}
	if !t.Failed() {
		testkit.Must(t, os.WriteFile(*scaleFile, []byte(table.String()), 0o644))
	}
}

// measure makes the run and its report, and returns the row of the table.
func (c scaleCase) measure(t *testing.T) string {
	t.Helper()
	root := t.TempDir() // removed with all of its contents
	needSpace(t, root, int64(c.Requests)*500)
	dir := c.Write(t, root)
	size := folderBytes(t, dir)
	var wall, cpu []time.Duration
	var peak int64
	for range scaleRounds {
		w, used := reportOnce(t, dir)
		wall, cpu = append(wall, w), append(cpu, time.Duration(used.Utime.Nano()+used.Stime.Nano()))
		peak = max(peak, used.Maxrss<<10)
	}
	slices.Sort(wall)
	slices.Sort(cpu)
	median, worst := wall[scaleRounds/2], wall[scaleRounds-1]
	met := "yes"
	if worst > c.goal || peak > c.goalBytes {
		met = "no"
	}
	return fmt.Sprintf("| %d | %d | %d | %d | %.2f | %.2f | %.2f | %.0f | %.0f | %.0f s, %.0f MB | %s |\n",
		c.Requests, c.Blocks, c.Blocks*len(synth.PaperVariants()), size/1e6, median.Seconds(), worst.Seconds(),
		cpu[scaleRounds/2].Seconds(), float64(peak)/1e6, float64(size)/1e6/median.Seconds(),
		c.goal.Seconds(), float64(c.goalBytes)/1e6, met)
}

// reportOnce runs the program on a run directory. The kernel's peak of memory includes
// that of the parent before the exec: this test keeps no records, and stays well below
// it.
func reportOnce(t *testing.T, dir string) (time.Duration, *syscall.Rusage) {
	t.Helper()
	if *scaleBinary == "" {
		t.Fatal("-binary is missing: `make bench-report` gives it")
	}
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), *scaleBinary, "report", dir)
	cmd.Stderr = &stderr
	start := time.Now()
	err := cmd.Run()
	wall := time.Since(start)
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, stderr.Bytes())
	}
	used, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		t.Fatalf("no resource usage: %T", cmd.ProcessState.SysUsage())
	}
	return wall, used
}

func needSpace(t *testing.T, dir string, bytes int64) {
	t.Helper()
	var disk unix.Statfs_t
	testkit.Must(t, unix.Statfs(dir, &disk))
	if free := int64(disk.Bavail) * disk.Bsize; free < bytes {
		t.Fatalf("%s has %d MB free, the run needs %d: set TMPDIR to a folder with more", dir, free/1e6, bytes/1e6)
	}
}

func folderBytes(t *testing.T, dir string) int64 {
	t.Helper()
	var size int64
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
	return size
}
