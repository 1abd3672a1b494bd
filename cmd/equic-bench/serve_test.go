package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// reportFolder makes a run with a report, a file next to it, and a link to that file.
func reportFolder(t *testing.T) string {
	t.Helper()
	run := t.TempDir()
	dir := filepath.Join(run, "report")
	for _, err := range []error{
		os.Mkdir(dir, 0o755),
		os.WriteFile(filepath.Join(dir, "report.html"), []byte("<p>the page"), 0o644),
		os.WriteFile(filepath.Join(dir, "figure-3.csv"), []byte("variant\n"), 0o644),
		os.WriteFile(filepath.Join(run, "manifest.json"), []byte("not for all"), 0o644),
		os.Symlink("../manifest.json", filepath.Join(dir, "link.json")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// get returns the status and the body of a path, sent unchanged.
func get(t *testing.T, method, base, path string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, base, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.URL.Path = path
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func TestServeGivesTheReportAndNothingElse(t *testing.T) {
	dir := reportFolder(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	said, stderr := io.Pipe()
	c := new(cobra.Command)
	c.SetContext(ctx)
	c.SetErr(stderr)
	ended := make(chan error, 1)
	go func() { ended <- (&showOptions{serve: ":0"}).serveReport(c, dir) }()
	line, err := bufio.NewReader(said).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	base := strings.Fields(line)[1]
	if !strings.HasPrefix(base, "http://127.0.0.1:") {
		t.Errorf("it listens at %s, want loopback where no host is named", base)
	}
	tests := []struct {
		name, method, path string
		status             int
		body               string
	}{
		{"the start is the page", "GET", "/", 200, "<p>the page"},
		{"the page by its name", "GET", "/report.html", 200, "<p>the page"},
		{"a file of the report", "GET", "/figure-3.csv", 200, "variant\n"},
		{"a file that is not there", "GET", "/figure-9.csv", 404, ""},
		{"a file beside the report", "GET", "/../manifest.json", 404, ""},
		{"a link out of the report", "GET", "/link.json", 404, ""},
		{"no list of files", "GET", "/.", 404, ""},
		{"nothing is written", "PUT", "/report.html", 404, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, body := get(t, tt.method, base, tt.path)
			if denied := tt.status == 404 && status >= 400; status != tt.status && !denied || tt.body != "" &&
				body != tt.body || strings.Contains(body, "not for all") {
				t.Errorf("%d %q, want %d %q", status, body, tt.status, tt.body)
			}
		})
	}
	stop()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("Ctrl-C ends it with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("it still serves after Ctrl-C")
	}
}

func TestServeWithoutAReport(t *testing.T) {
	server := http.Server{Handler: folder(filepath.Join(t.TempDir(), "none")), ReadHeaderTimeout: time.Second}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	if status, body := get(t, "GET", "http://"+listener.Addr().String(), "/"); status != 503 ||
		!strings.Contains(body, "equic-bench report") {
		t.Errorf("%d %q", status, body)
	}
	_ = server.Close()
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
}

func TestServeOnATakenAddress(t *testing.T) {
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	c := new(cobra.Command)
	c.SetContext(t.Context())
	err = (&showOptions{serve: taken.Addr().String()}).serveReport(c, t.TempDir())
	if exitCode(err) != exitMachine ||
		!strings.Contains(message(err), "address already in use; name another address with --serve") {
		t.Errorf("exit %d, %s", exitCode(err), message(err))
	}
}

func TestAddressOfServe(t *testing.T) {
	tests := []struct {
		name  string
		args  []string
		runs  []string
		serve string
		wrong string
	}{
		{"alone", []string{"--serve"}, nil, defaultAddress, ""},
		{"with a run", []string{"runs/a", "--serve"}, []string{"runs/a"}, defaultAddress, ""},
		{"apart", []string{"--serve", "127.0.0.1:9000"}, nil, "127.0.0.1:9000", ""},
		{"apart, before the run", []string{"--serve", ":9000", "runs/a"}, []string{"runs/a"}, ":9000", ""},
		{"behind a =", []string{"--serve=[::1]:9000", "runs/a"}, []string{"runs/a"}, "[::1]:9000", ""},
		{"no port", []string{"--serve=localhost"}, nil, "", `--serve: "localhost" is not an address`},
		{"an address without the flag is a run", []string{"127.0.0.1:9000"}, []string{"127.0.0.1:9000"}, "", ""},
		{"two runs", []string{"a", "b", "--serve"}, nil, "", `unexpected argument "b"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var show showOptions
			var runs []string
			c := &cobra.Command{
				Use: "report", Args: show.arguments, SilenceErrors: true, SilenceUsage: true,
				RunE: func(c *cobra.Command, args []string) error {
					runs = show.rest(args)
					return show.check(c)
				},
			}
			show.flags(c)
			c.SetArgs(tt.args)
			err := c.Execute()
			if tt.wrong != "" {
				if exitCode(err) != exitUsage || !strings.Contains(err.Error(), tt.wrong) {
					t.Errorf("error %v, want %q", err, tt.wrong)
				}
				return
			}
			if err != nil || show.serve != tt.serve || !slices.Equal(runs, tt.runs) {
				t.Errorf("runs %q, address %q, error %v; want %q, %q", runs, show.serve, err, tt.runs, tt.serve)
			}
		})
	}
}

func TestOpenInTheBrowser(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir+":/usr/bin:/bin")
	seen := filepath.Join(dir, "seen")
	tests := []struct {
		name, script string
		says         string
	}{
		{"a browser opens", "#!/bin/sh\nprintf %s \"$1\" > " + seen + "\n", ""},
		{
			"there is no browser", "#!/bin/sh\nexit 3\n",
			"xdg-open ended with code 3: it found no browser; open /r/report.html yourself",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := os.WriteFile(filepath.Join(dir, "xdg-open"), []byte(tt.script), 0o755); err != nil {
				t.Fatal(err)
			}
			err := browse(t.Context(), "/r/report.html")
			if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %v, want %q", err, tt.says)
			}
		})
	}
	if got, err := os.ReadFile(seen); err != nil || string(got) != "/r/report.html" {
		t.Errorf("the browser was given %q, %v", got, err)
	}
	t.Run("there is no xdg-open", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		err := browse(t.Context(), "/r/report.html")
		if !errors.Is(err, errMachine) ||
			!strings.Contains(err.Error(), "no xdg-open to open a browser with; open /r/report.html yourself") {
			t.Errorf("error %v", err)
		}
	})
}
