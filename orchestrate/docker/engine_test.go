package docker

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"
)

// fakeEngine implements the part of the engine's API that this package uses, as Docker
// Engine 20.10 answers it, on a Unix socket of its own. Its containers report that they
// are ready, and run until they are killed or the engine dies.
type fakeEngine struct {
	api     string // the version that it offers
	unknown string // a capability that it does not support, such as "CAP_BPF"
	socket  string
	server  *http.Server

	mu         sync.Mutex
	hang       string              // the end of paths that are not answered; empty: all are answered
	paths      []string            // of all requests
	created    []createdContainer  // requested containers, including refused ones
	ready      map[string]string   // the node that a container reports as ready, when it starts
	epoch      map[string]int64    // by container
	attached   map[string]net.Conn // by container
	images     []string            // their names
	used       string              // the image of a container that is not ours
	containers map[string]bool     // that exist
	networks   map[string]bool
}

// createdContainer holds the parts of a request that tests check.
type createdContainer struct {
	Env        []string
	HostConfig struct {
		CapAdd  []string
		Ulimits []container.Ulimit
	}
}

func startFakeEngine(t *testing.T, api, unknown string) *fakeEngine {
	t.Helper()
	e := &fakeEngine{
		api: api, unknown: unknown, socket: filepath.Join(t.TempDir(), "engine.sock"),
		ready: map[string]string{}, epoch: map[string]int64{}, attached: map[string]net.Conn{},
		containers: map[string]bool{}, networks: map[string]bool{},
	}
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "unix", e.socket)
	if err != nil {
		t.Fatal(err)
	}
	e.server = &http.Server{Handler: e.routes()}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = e.server.Serve(l) // until die
	}()
	t.Cleanup(func() { e.die(); <-served })
	t.Setenv("DOCKER_HOST", "unix://"+e.socket)
	return e
}

// hangAt makes the engine accept requests to some paths and never answer.
func (e *fakeEngine) hangAt(end string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.hang = end
}

// die ends the engine like a crash: every connection breaks.
func (e *fakeEngine) die() {
	_ = e.server.Close() // the second time it is already closed
	e.mu.Lock()
	defer e.mu.Unlock()
	for id, c := range e.attached { // the server no longer tracks them
		_ = c.Close()
		delete(e.attached, id)
	}
}

func (e *fakeEngine) routes() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("/_ping", func(w http.ResponseWriter, _ *http.Request) {
		if e.api != "" {
			w.Header().Set("Api-Version", e.api)
		}
		w.Header().Set("Ostype", "linux")
	})
	m.HandleFunc("GET /{v}/info", answer(http.StatusOK,
		`{"OSType":"linux","ServerVersion":"20.10.24","NCPU":2,"CPUSet":true,"MemoryLimit":true,"SwapLimit":true}`))
	m.HandleFunc("GET /{v}/version", answer(http.StatusOK, "{}"))
	m.HandleFunc("GET /{v}/images/{path...}", answer(http.StatusOK, `{"Id":"sha256:feed"}`))
	m.HandleFunc("GET /{v}/images/json", e.listImages)
	m.HandleFunc("DELETE /{v}/images/{path...}", e.removeImage)
	m.HandleFunc("GET /{v}/networks", e.list(e.networks))
	m.HandleFunc("POST /{v}/networks/create", e.createNetwork)
	m.HandleFunc("DELETE /{v}/networks/{id}", e.remove(e.networks))
	m.HandleFunc("GET /{v}/containers/json", e.list(e.containers))
	m.HandleFunc("POST /{v}/containers/create", e.create)
	m.HandleFunc("POST /{v}/containers/{id}/attach", e.attach)
	m.HandleFunc("POST /{v}/containers/{id}/wait", e.wait)
	m.HandleFunc("POST /{v}/containers/{id}/start", e.start)
	m.HandleFunc("POST /{v}/containers/{id}/kill", answer(http.StatusNoContent, ""))
	m.HandleFunc("DELETE /{v}/containers/{id}", e.remove(e.containers))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.mu.Lock()
		e.paths = append(e.paths, r.URL.Path)
		hangs := e.hang != "" && strings.HasSuffix(r.URL.Path, e.hang)
		e.mu.Unlock()
		if hangs {
			_, _ = io.Copy(io.Discard, r.Body) // else the end of the client is not noticed
			<-r.Context().Done()
			return
		}
		m.ServeHTTP(w, r)
	})
}

func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body) // the client sees that the connection broke off
	}
}

// list lists all resources and ignores the filters: all of them belong to one run.
func (e *fakeEngine) list(all map[string]bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		e.mu.Lock()
		defer e.mu.Unlock()
		found := []map[string]any{}
		for id := range all {
			found = append(found, map[string]any{"Id": id, "Name": id})
		}
		body, _ := json.Marshal(found) // strings only
		answer(http.StatusOK, string(body))(w, r)
	}
}

func (e *fakeEngine) remove(all map[string]bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(all, r.PathValue("id"))
		answer(http.StatusNoContent, "")(w, r)
	}
}

func (e *fakeEngine) createNetwork(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.networks["net"] = true
	answer(http.StatusCreated, `{"Id":"net"}`)(w, r)
}

func (e *fakeEngine) create(w http.ResponseWriter, r *http.Request) {
	var asked createdContainer
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		answer(http.StatusBadRequest, `{"message":"not JSON"}`)(w, r)
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.created = append(e.created, asked)
	for _, c := range asked.HostConfig.CapAdd {
		if "CAP_"+strings.TrimPrefix(c, "CAP_") == e.unknown {
			// The text of 20.10.
			answer(http.StatusBadRequest, fmt.Sprintf(`{"message":"invalid CapAdd: unknown capability: \"%s\""}`, e.unknown))(w,
				r)
			return
		}
	}
	id := r.URL.Query().Get("name")
	e.containers[id] = true
	for _, v := range asked.Env {
		if node, ok := strings.CutPrefix(v, "EQUIC_NODE="); ok {
			e.ready[id] = node
		}
		if epoch, ok := strings.CutPrefix(v, "EQUIC_EPOCH="); ok {
			e.epoch[id], _ = strconv.ParseInt(epoch, 10, 64) // the package writes it
		}
	}
	answer(http.StatusCreated, fmt.Sprintf(`{"Id":%q}`, id))(w, r)
}

// attach takes over the connection, as the engine does.
func (e *fakeEngine) attach(w http.ResponseWriter, r *http.Request) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return // the client sees it
	}
	_, _ = io.WriteString(c, "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: "+
		"Upgrade\r\nUpgrade: tcp\r\n\r\n")
	e.mu.Lock()
	defer e.mu.Unlock()
	e.attached[r.PathValue("id")] = c
}

// wait sends its header at once, and the rest never: no container ends.
func (e *fakeEngine) wait(w http.ResponseWriter, r *http.Request) {
	w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(w).Flush() // or the client sees it
	<-r.Context().Done()
}

func (e *fakeEngine) listImages(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	found := []map[string]any{}
	if strings.Contains(r.URL.Query().Get("filters"), `"reference":{"`+repository+`":true}`) {
		for _, name := range e.images {
			found = append(found, map[string]any{"Id": "sha256:feed", "RepoTags": []string{name}})
		}
	}
	body, _ := json.Marshal(found) // strings only
	answer(http.StatusOK, string(body))(w, r)
}

func (e *fakeEngine) removeImage(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	name := r.PathValue("path")
	if name == e.used {
		answer(http.StatusConflict, `{"message":"conflict: unable to remove repository reference: container is using its image"}`)(w, r)
		return
	}
	e.images = slices.DeleteFunc(e.images, func(other string) bool { return other == name })
	answer(http.StatusOK, "[]")(w, r)
}

func (e *fakeEngine) start(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	id := r.PathValue("id")
	ready := fmt.Sprintf(`{"ready":{"node":%q,"at_ns":%d}}`+"\n", e.ready[id], time.Now().UnixNano()-e.epoch[id])
	_, _ = io.WriteString(stdcopy.NewStdWriter(e.attached[id], stdcopy.Stdout), ready) // or the client sees it
	answer(http.StatusNoContent, "")(w, r)
}

// asked returns the requested paths so far, and the containers.
func (e *fakeEngine) asked() ([]string, []createdContainer) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.paths), slices.Clone(e.created)
}
