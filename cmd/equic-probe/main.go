// Command equic-probe runs one command and measures it: the first process of
// every node of a trial. The command's standard output passes through; the
// probe's records follow it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/equic-bench/equic-bench/measure"
	"github.com/equic-bench/equic-bench/record"
)

// exitUsage is the exit code for an invalid command line.
const exitUsage = 2

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}

// run returns the exit code: the command's own, or one of package measure's.
func run(ctx context.Context, args []string, getenv func(string) string, stdout io.Writer, stderr *os.File) int {
	opts, pinned, err := parse(args, getenv, stderr)
	if err == nil && len(pinned) > 0 {
		err = pin(pinned)
	}
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(stderr, "equic-probe:", err)
		return exitUsage
	}
	opts.Stdout, opts.Stderr = stdout, stderr
	code, err := measure.Run(ctx, opts)
	if err != nil {
		fmt.Fprintln(stderr, "equic-probe:", err)
	}
	return code
}

func parse(
	args []string, getenv func(string) string, stderr io.Writer,
) (opts measure.Options, pinned []int, err error) {
	flags := flag.NewFlagSet("equic-probe", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.DurationVar(&opts.Interval, "interval", measure.DefaultInterval, "time between two samples")
	flags.BoolVar(&opts.Syscalls, "syscalls", false,
		"count system calls (needs CAP_BPF and CAP_PERFMON, or CAP_SYS_ADMIN)")
	flags.DurationVar(&opts.Alternate, "alternate", 0,
		"measure in half of the stretches of this length only, to tell what measuring costs (0: all the time)")
	flags.Func("cpus", "`list` of the CPUs to sample, as 0,1 (default: those that it may use)", func(list string) error {
		opts.CPUs, err = parseCPUs(list)
		return err
	})
	flags.Func("pin", "`list` of the CPUs to run on, with the command, as 0,1 (default: those that it may use)",
		func(list string) error {
			pinned, err = parseCPUs(list)
			return err
		})
	line := flags.String("ready-line", "",
		"the command prints no records, and is ready when it prints a line with this `text`")
	answers := flags.String("ready-address", "",
		"the command prints no records, and is ready when it answers QUIC at this `address`")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(stderr, "usage: equic-probe [flags] -- COMMAND [ARGUMENT...]")
			flags.SetOutput(stderr)
			flags.PrintDefaults()
		}
		return opts, nil, err
	}
	if opts.Interval <= 0 {
		return opts, nil, fmt.Errorf("--interval %v: must be above zero", opts.Interval)
	}
	if opts.Alternate < 0 || opts.Alternate%opts.Interval != 0 {
		return opts, nil, fmt.Errorf("--alternate %v: must be a multiple of --interval %v", opts.Alternate, opts.Interval)
	}
	if opts.Command = flags.Args(); len(opts.Command) == 0 {
		return opts, nil, errors.New("no command: usage: equic-probe [flags] -- COMMAND [ARGUMENT...]")
	}
	if *line != "" || *answers != "" {
		opts.Ready = &measure.Readiness{Node: getenv(record.EnvNode), Line: *line, Answers: answering(*answers)}
	}
	if opts.Receivers, err = receivers(getenv(record.EnvReceivers)); err != nil {
		return opts, nil, err
	}
	opts.Clock, err = record.NewClock(getenv)
	return opts, pinned, err
}

func parseCPUs(list string) ([]int, error) {
	var cpus []int
	for word := range strings.SplitSeq(list, ",") {
		cpu, err := strconv.ParseUint(word, 10, 16)
		if err != nil {
			return nil, fmt.Errorf("%q is not the number of a CPU", word)
		}
		cpus = append(cpus, int(cpu))
	}
	return cpus, nil
}

// receivers parses process ids that are separated by commas.
func receivers(list string) (pids []int, err error) {
	for text := range strings.SplitSeq(list, ",") {
		if text == "" {
			continue
		}
		pid, err := strconv.Atoi(text)
		if err != nil {
			return nil, fmt.Errorf("%s=%q: want process ids: %w", record.EnvReceivers, list, err)
		}
		pids = append(pids, pid)
	}
	return pids, nil
}
