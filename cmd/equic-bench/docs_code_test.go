package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The names that an example assumes are parameters here.
const exampleFrame = `package example%d

import (
	"crypto/tls"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/equic-bench/equic-bench/equic"
	"github.com/equic-bench/equic-bench/equic/quicguard"
)

var _ = equic.Attach
var _ = quicguard.Wrap

func example(listener *quic.Listener, server, http3Server *http3.Server, tlsConfig *tls.Config) (err error) {
	%s
	return err
}
`

// The examples of the documents are built as if they were packages of the
// module, without a file in the repository (-overlay).
func TestTheGoExamplesOfTheDocumentsCompile(t *testing.T) {
	replace := map[string]string{}
	var packages []string
	dir := t.TempDir()
	texts := documents(t) // also changes to the root
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for path, text := range texts {
		all, _ := blocks(text)
		for _, b := range all {
			if b.language != "go" {
				continue
			}
			n := len(packages)
			file := filepath.Join(dir, fmt.Sprintf("example%d.go", n))
			source := fmt.Sprintf("//line %s:1\n"+exampleFrame, path, n, strings.TrimSpace(b.text))
			if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
				t.Fatal(err)
			}
			replace[filepath.Join(root, "docs", fmt.Sprintf("example%d", n), "example.go")] = file
			packages = append(packages, fmt.Sprintf("./docs/example%d", n))
		}
	}
	if len(packages) < 2 {
		t.Fatalf("%d examples found", len(packages))
	}
	overlay := filepath.Join(dir, "overlay.json")
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(overlay, list, 0o600); err != nil {
		t.Fatal(err)
	}
	build := exec.CommandContext(t.Context(), "go",
		append([]string{"build", "-o", os.DevNull, "-overlay", overlay}, packages...)...)
	if out, err := build.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestTheLinksBetweenTheDocumentsLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
	seen := 0
	for path, text := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			seen++
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), m[1])); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
	if seen < 5 {
		t.Errorf("%d links found", seen)
	}
}
