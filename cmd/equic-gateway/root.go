package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/equic-bench/equic-bench/cmd/internal/man"
	"github.com/equic-bench/equic-bench/equic"
)

// The exit codes.
const (
	exitFine        = 0
	exitInternal    = 1
	exitUsage       = 2
	exitMachine     = 3
	exitInterrupted = 130
)

const about = `equic-gateway blocks QUIC clients in the kernel for a server in any language.
It attaches an XDP program to an interface, and counts the connections that the
server names on a Unix socket: "tryinc ADDR" and "dec ADDR". New connections of a
client at its quota are dropped before the network stack sees them. When the server
goes away, its counts go with it; when equic-gateway ends in any way, nothing stays
attached, unless --pin is given: then the next one with the same flag takes everything
over, even from one that is still running. SIGHUP reads the lists from files again.

Standard output is data (--events), standard error is a log. Exit codes:
  0    ended by SIGTERM, or by a successor that took over
  1    internal error
  2    wrong usage, or a file of a list that cannot be read
  3    this machine cannot run it: a capability or the interface is missing, or
       another XDP program or process has the interface, the socket or an address;
       or all interfaces were deleted, and none was created again within 10 seconds
  130  interrupted (SIGINT)`

const examples = `  equic-gateway --interface eth0 --port 443
  equic-gateway --interface eth0 --port 443=20 --port 8443 --rate 10 --deny 192.0.2.0/24
  equic-gateway ask status`

// errInterrupted is the cause with which SIGINT ends the program.
var errInterrupted = errors.New("interrupted")

// run runs the whole program and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := rootCommand() //nolint:contextcheck // it gets its own from ExecuteContext
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err != nil {
		_, _ = fmt.Fprintln(stderr, message(err)) // no other place to report it
	}
	return exitCode(err)
}

func rootCommand() *cobra.Command {
	var f flags
	root := &cobra.Command{
		Use:           "equic-gateway --interface NAME --port PORT[=QUOTA]",
		Short:         "Block QUIC clients in the kernel for a server in any language",
		Long:          about,
		Example:       examples,
		Version:       programVersion(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return wrong("unexpected argument %q", args[0])
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error {
			o, err := f.parse()
			if err != nil {
				return err
			}
			return protect(c.Context(), o, c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return wrong("%w", err) })
	f.register(root.Flags())
	root.AddCommand(topCommand(), askCommand(), unpinCommand(), man.Command(func(_ *cobra.Command, args []string) error {
		if len(args) != 1 {
			return wrong("man takes a folder, and nothing else")
		}
		return nil
	}))
	return root
}

// unpinCommand removes what --pin has left.
func unpinCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "unpin FOLDER",
		Short: "Detach and remove a gateway that was started with --pin and has ended",
		Long: `unpin detaches the program of a gateway that was started with --pin FOLDER, and
removes its counts and lists. The gateway must have ended: end it by SIGTERM first.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return wrong("unpin takes the folder of --pin, and nothing else")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if err := equic.Unpin(args[0]); err != nil {
				return machineError{err}
			}
			return nil
		},
	}
}

// usageError is a mistake in the arguments.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func wrong(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

// machineError means that the gateway cannot run on this machine as it is (exit code 3).
type machineError struct{ error }

func (e machineError) Unwrap() error { return e.error }

// message returns the text of an error for the user.
func message(err error) string {
	if _, ok := errors.AsType[usageError](err); ok {
		return fmt.Sprintf("equic-gateway: %v; see `equic-gateway --help`", err)
	}
	return fmt.Sprintf("equic-gateway: %v", err)
}

func exitCode(err error) int {
	_, usage := errors.AsType[usageError](err)
	_, machine := errors.AsType[machineError](err)
	switch {
	case err == nil:
		return exitFine
	case errors.Is(err, errInterrupted):
		return exitInterrupted
	case usage:
		return exitUsage
	case machine:
		return exitMachine
	}
	return exitInternal
}

// version is set by the linker (see Makefile). Otherwise, the version that the Go
// command recorded is used.
var version string

func programVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
