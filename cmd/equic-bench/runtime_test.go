package main

import (
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/equic-bench/equic-bench/internal/testkit"
)

// Without root there is no other runtime, and the reason is in the error.
func TestAutoSaysWhyAnEngineIsNotUsed(t *testing.T) {
	podman := startPodman(t)
	for name, c := range map[string]struct{ variable, value, says string }{
		"an engine over SSH":      {"DOCKER_HOST", "ssh://me@elsewhere", "DOCKER_HOST names ssh://me@elsewhere: an engine over SSH"},
		"an unknown context":      {"DOCKER_CONTEXT", "unknown", `read the context "unknown" of docker`},
		"an address that is none": {"DOCKER_HOST", "nowhere", "read the environment for the engine"},
		"Podman":                  {"DOCKER_HOST", podman, "Podman answers at " + podman},
	} {
		t.Run(name, func(t *testing.T) {
			for _, variable := range []string{"DOCKER_HOST", "DOCKER_CONTEXT"} {
				t.Setenv(variable, "")
			}
			t.Setenv("DOCKER_CONFIG", t.TempDir())
			t.Setenv(c.variable, c.value)
			var got string
			if p, err := openRuntime(t.Context(), runtimeAuto, "."); err != nil {
				got = err.Error()
			} else {
				got = p.String()
				testkit.Must(t, p.Close())
			}
			if !strings.Contains(got, c.says) {
				t.Errorf("%q, want the reason %q", got, c.says)
			}
		})
	}
}

// startPodman starts an engine that is Podman's by its own account, and returns its address.
func startPodman(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "podman.sock")
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "unix", path)
	testkit.Must(t, err)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Api-Version", "1.41")
		switch {
		case strings.HasSuffix(r.URL.Path, "/info"):
			_, _ = io.WriteString(w, `{"OSType": "linux"}`)
		case strings.HasSuffix(r.URL.Path, "/version"):
			_, _ = io.WriteString(w, `{"Components": [{"Name": "Podman Engine"}]}`)
		}
	})}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(l) // http.ErrServerClosed
	}()
	t.Cleanup(func() {
		testkit.Must(t, server.Close())
		<-ended
	})
	return "unix://" + path
}
