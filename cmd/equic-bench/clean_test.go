package main

import (
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// TestImagesStayWhileARunMeasures uses an engine that only answers pings: no image is
// requested.
func TestImagesStayWhileARunMeasures(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "engine.sock")
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var asked atomic.Bool
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := "[]"
		if strings.Contains(r.URL.Path, "/images") {
			asked.Store(true)
		}
		if strings.HasSuffix(r.URL.Path, "/info") || strings.HasSuffix(r.URL.Path, "/version") {
			body = `{"OSType":"linux"}`
		}
		_, _ = w.Write([]byte(body)) // the client sees that the connection broke off
	})}
	go func() { _ = server.Serve(l) }() // until Close
	t.Cleanup(func() { _ = server.Close() })
	t.Setenv("DOCKER_HOST", "unix://"+socket)
	awaitMachine(t)
	release, err := lockMachine(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := release(); err != nil {
			t.Error(err)
		}
	}()

	clean := rootCommand(nil)
	clean.SetArgs([]string{"clean", "--images"})
	if err := clean.ExecuteContext(t.Context()); !errors.Is(err, errBusy) || exitCode(err) != exitMachine {
		t.Errorf("error %v, want that another run measures", err)
	}
	if asked.Load() {
		t.Error("images were asked for while a run measures")
	}
}
