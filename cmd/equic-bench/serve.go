package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/equic-bench/equic-bench/report"
)

// defaultAddress is the address of --serve without a value.
const defaultAddress = "127.0.0.1:8080"

// showOptions defines how to show report.html.
type showOptions struct {
	open  bool
	serve string // an address to listen on; empty means none
}

func (o *showOptions) flags(c *cobra.Command) {
	c.Flags().BoolVar(&o.open, "open", false, "open report.html in the browser")
	c.Flags().StringVar(&o.serve, "serve", "",
		"serve the report over HTTP on this `address` until Ctrl-C, on "+defaultAddress+" if none is given")
	c.Flags().Lookup("serve").NoOptDefVal = defaultAddress
}

// arguments accepts at most one run, and the address of --serve if it is separate from
// the flag.
func (o *showOptions) arguments(c *cobra.Command, args []string) error {
	return arguments(0, 1)(c, o.rest(args))
}

// rest returns the arguments without an address of --serve, and stores that address: a
// flag with an optional value accepts one only after "=".
func (o *showOptions) rest(args []string) []string {
	if o.serve == "" {
		return args
	}
	for i, arg := range args {
		if _, _, err := net.SplitHostPort(arg); err != nil {
			continue
		}
		if _, err := os.Stat(arg); err == nil {
			continue // this is a run
		}
		o.serve = arg
		return append(args[:i:i], args[i+1:]...)
	}
	return args
}

// check reports problems before any work is done.
func (o *showOptions) check(c *cobra.Command) error {
	if o.serve != "" {
		_, port, err := net.SplitHostPort(o.serve)
		if err != nil || port == "" {
			return usage(c, "--serve: %q is not an address, give HOST:PORT or :PORT, such as %s", o.serve, defaultAddress)
		}
	}
	return nil
}

// show opens the report in a folder, or serves it, or both.
func (o *showOptions) show(c *cobra.Command, dir string) error {
	if o.serve != "" {
		return o.serveReport(c, dir)
	}
	if !o.open {
		return nil
	}
	path, err := filepath.Abs(filepath.Join(dir, report.HTMLFile))
	if err != nil {
		return err
	}
	return browse(c.Context(), path)
}

// serveReport serves a report's folder, and nothing else, until ctx ends.
func (o *showOptions) serveReport(c *cobra.Command, dir string) error {
	listener, err := listen(c, o.serve)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:           folder(dir),
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       time.Minute,
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	at := (&url.URL{Scheme: "http", Host: listener.Addr().String(), Path: "/"}).String()
	c.PrintErrf("serving %s (Ctrl-C ends it)\n", at)
	if ip := listener.Addr().(*net.TCPAddr).IP; !ip.IsLoopback() {
		c.PrintErrln(
			"warning: this is not a loopback address, and there is no password: whoever reaches it can read the report")
	}
	if o.open {
		if err := browse(c.Context(), at); err != nil {
			c.PrintErrf("equic-bench: %v\n", err)
		}
	}
	select {
	case err := <-ended:
		return fmt.Errorf("serve %s: %w", dir, err)
	case <-c.Context().Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Context()), 5*time.Second)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		return err
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// listen listens on an address: on loopback if it has no host.
func listen(c *cobra.Command, address string) (net.Listener, error) {
	if strings.HasPrefix(address, ":") {
		address = "127.0.0.1" + address
	}
	listener, err := new(net.ListenConfig).Listen(c.Context(), "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%w: serve the report: %w; name another address with --serve", errMachine, err)
	}
	return listener, nil
}

// folder serves the files of a report's folder; its index is report.html. The folder is
// reopened for each request, as each report replaces it.
func folder(dir string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		root, err := os.OpenRoot(dir)
		if err != nil {
			http.Error(w, "the report is not there now; draw it with `equic-bench report`", http.StatusServiceUnavailable)
			return
		}
		defer func() { _ = root.Close() }() // only read from
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-cache")
		name := strings.TrimPrefix(r.URL.Path, "/")
		if name == "" {
			name = report.HTMLFile
		}
		if strings.Contains(name, "/") || strings.HasPrefix(name, ".") ||
			r.Method != http.MethodGet && r.Method != http.MethodHead {
			http.NotFound(w, r)
			return
		}
		http.ServeFileFS(w, r, root.FS(), name)
	})
}

// browse opens a file or URL in the browser of the desktop. It waits for the opener,
// but only briefly: the opener may become the browser.
func browse(ctx context.Context, what string) error {
	opener, err := exec.LookPath("xdg-open")
	if err != nil {
		return fmt.Errorf("%w: there is no xdg-open to open a browser with; open %s yourself", errMachine, what)
	}
	command := exec.CommandContext(context.WithoutCancel(ctx), opener, what)
	if err := command.Start(); err != nil {
		return fmt.Errorf("%w: open %s: %w", errMachine, what, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	select {
	case err := <-ended:
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			return fmt.Errorf("%w: xdg-open ended with code %d: it found no browser; open %s yourself",
				errMachine, exit.ExitCode(), what)
		}
		return err
	case <-time.After(3 * time.Second): // by then an opener that fails has printed its error
	case <-ctx.Done():
	}
	return nil
}
