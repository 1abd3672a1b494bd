package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/equic-bench/equic-bench/cmd/internal/man"
	"github.com/equic-bench/equic-bench/compare"
	"github.com/equic-bench/equic-bench/orchestrate"
	"github.com/equic-bench/equic-bench/report"
	"github.com/equic-bench/equic-bench/report/analysis"
	"github.com/equic-bench/equic-bench/results"
	"github.com/equic-bench/equic-bench/scenarios"
)

// The exit codes.
const (
	exitFine        = 0
	exitInternal    = 1
	exitUsage       = 2
	exitMachine     = 3
	exitTrial       = 4
	exitRegression  = 5
	exitUnsure      = 6
	exitInterrupted = 130
	exitUnread      = 141 // as shells return for a program that SIGPIPE has ended
)

const about = `equic-bench measures what it costs a QUIC server to turn a client away, and
where that is done best: nowhere, in user space, or in the kernel by XDP.

Standard output is data, standard error is progress. Exit codes:
  0    fine; of run: each planned trial is valid, in one of three attempts
  1    internal error
  2    wrong usage, a scenario with errors, or runs that cannot be compared
  3    this machine cannot run it
  4    a trial stayed invalid in all three attempts, or a run does not verify
  5    compare found a regression
  6    compare is unsure
  130  interrupted
  141  the reader of its standard output is gone`

// run runs the whole program and returns the exit code.
func run(ctx context.Context, second *secondSignal, args []string, stdout, stderr io.Writer) int {
	root := rootCommand(second) //nolint:contextcheck // its commands get theirs from ExecuteContext
	root.SetArgs(args)
	root.SetOut(stdout)
	fitHelp(root, terminalWidth(stdout))
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err != nil && !unread(err) {
		_, _ = fmt.Fprintln(stderr, message(err)) // no other place to report it
	}
	return exitCode(err)
}

// fitHelp breaks the lines of flags for a terminal with that many columns; zero means
// no limit.
func fitHelp(root *cobra.Command, width int) {
	if width > 0 {
		wrapped := fmt.Sprintf("Flags.FlagUsagesWrapped %d", width)
		root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), "Flags.FlagUsages", wrapped))
	}
}

func rootCommand(second *secondSignal) *cobra.Command {
	root := &cobra.Command{
		Use:           "equic-bench",
		Short:         "Measure what it costs a QUIC server to turn a client away",
		Long:          about,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage(c, "unknown command %q%s", args[0], suggestion(args[0], commandNames(c)))
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok {
			return usage(c, "%w%s", err, suggestion(unknown.GetSpecifiedName(), flagNames(c)))
		}
		return usage(c, "%w", err)
	})
	root.Version = programVersion()
	root.SetVersionTemplate(versionLine())
	root.AddCommand(
		runCommand(second), reportCommand(), compareCommand(), verifyCommand(), packCommand(),
		listCommand(), validateCommand(), schemaCommand(), composeCommand(), doctorCommand(), cleanCommand(),
		versionCommand(), man.Command(arguments(1, 1)),
	)
	completions(root)
	return root
}

// suggestion returns the known word that was probably meant, as the end of a message;
// empty if there is none.
func suggestion(word string, known []string) string {
	if meant := scenarios.DidYouMean(word, known); meant != "" {
		return ": " + strings.TrimSuffix(meant, "?")
	}
	return ""
}

func commandNames(root *cobra.Command) (names []string) {
	for _, c := range root.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	return names
}

func flagNames(c *cobra.Command) (names []string) {
	c.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	return names
}

// usageError is a mistake in the arguments.
type usageError struct {
	err     error
	command string
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usage(c *cobra.Command, format string, args ...any) error {
	return &usageError{err: fmt.Errorf(format, args...), command: c.CommandPath()}
}

// arguments accepts between least and most arguments.
func arguments(least, most int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return usage(c, "an argument is missing: %s", c.Use)
		case len(args) > most:
			return usage(c, "unexpected argument %q", args[most])
		}
		return nil
	}
}

// message returns the text of an error for the user.
func message(err error) string {
	if wrong, ok := errors.AsType[*usageError](err); ok {
		return fmt.Sprintf("equic-bench: %v; see `%s --help`", err, wrong.command)
	}
	if wrong, ok := errors.AsType[*scenarios.Error](err); ok {
		return wrong.Error()
	}
	if errors.Is(err, context.Canceled) {
		return "equic-bench: interrupted: " + strings.ReplaceAll(err.Error(), ": context canceled", "")
	}
	return fmt.Sprintf("equic-bench: %v", err)
}

func exitCode(err error) int {
	_, wrongUsage := errors.AsType[*usageError](err)
	_, wrongScenario := errors.AsType[*scenarios.Error](err)
	switch {
	case err == nil:
		return exitFine
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	case wrongUsage, wrongScenario, isAny(err, results.ErrNoRun, analysis.ErrNoTrials, report.ErrNotAReport,
		results.ErrPacked, orchestrate.ErrNoBinary, orchestrate.ErrResume):
		return exitUsage
	case runtimeFails(err), isAny(err, errBusy, errMachine, orchestrate.ErrRuntime, orchestrate.ErrCapacity,
		fs.ErrPermission, syscall.EROFS, syscall.ENOSPC, syscall.EDQUOT):
		return exitMachine
	case isAny(err, orchestrate.ErrInvalid, errUnverified):
		return exitTrial
	case errors.Is(err, compare.ErrIncomparable): // after exitMachine: it may wrap fs.ErrPermission
		return exitUsage
	case errors.Is(err, errRegression):
		return exitRegression
	case errors.Is(err, errUnsure):
		return exitUnsure
	case unread(err):
		return exitUnread
	}
	return exitInternal
}

func isAny(err error, targets ...error) bool {
	return slices.ContainsFunc(targets, func(target error) bool { return errors.Is(err, target) })
}

// unread reports whether err is only EPIPE on our own stdout or stderr, as behind `|
// head`: without a reader, no message is needed. A broken pipe elsewhere, such as to an
// engine, is an ordinary error.
func unread(err error) bool {
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		return !slices.ContainsFunc(all.Unwrap(), func(e error) bool { return !unread(e) })
	}
	if p, ok := err.(*fs.PathError); ok { //nolint:errorlint // it is err itself that is taken apart
		own := p.Path == os.Stdout.Name() || p.Path == os.Stderr.Name()
		return own && errors.Is(p.Err, syscall.EPIPE)
	}
	inner := errors.Unwrap(err)
	return inner != nil && unread(inner)
}
