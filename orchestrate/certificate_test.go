package orchestrate

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/equic-bench/equic-bench/results"
	"github.com/equic-bench/equic-bench/server/certificate"
)

// presented returns the fingerprint of the certificate that a server is given; a client
// must not be given one.
func presented(t *testing.T, s Spec) string {
	t.Helper()
	var fingerprint string
	for _, n := range s.Nodes {
		c, err := certificate.FromEnvironment(func(name string) string { return variable(n, name) })
		if err != nil || (c != nil) != (n.Role == results.RoleServer) {
			t.Fatalf("%s has the certificate %v, error %v", n.Name, c, err)
		}
		if c != nil {
			fingerprint = certificate.SHA256(c)
		}
	}
	return fingerprint
}

func variable(n NodeSpec, name string) string {
	for _, v := range n.Env {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			return value
		}
	}
	return ""
}

func TestTheServersOfARunPresentOneCertificate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := testScenario(), testOptions(t)
		s.Server.Key = "ecdsa-p256"
		o.Resume = interruptedRun(t, s, o)
		first := checkSealed(t, o.Resume).Manifest.Certificates

		var given []string
		var key string
		rt := newFake(s)
		rt.open = func(_ context.Context, spec Spec) error {
			given = append(given, presented(t, spec))
			key = variable(spec.Nodes[0], certificate.EnvKey)
			return nil
		}
		if _, err := Run(t.Context(), s, rt, o); err != nil {
			t.Fatal(err)
		}
		all := checkSealed(t, o.Resume).Manifest.Certificates
		if len(first) != 1 || len(all) != 2 || all[0] != first[0] || all[1] == all[0] || all[0].Key != "ecdsa-p256" {
			t.Fatalf("the manifest has %v, and before it was resumed %v; want one more", all, first)
		}
		if want := []string{all[1].SHA256, all[1].SHA256}; !slices.Equal(given, want) {
			t.Errorf("the servers of the two other trials were given %q, want %q", given, want)
		}
		if dir := os.DirFS(o.Resume); hasKey(t, dir, key) {
			t.Error("the run directory has the private key")
		}
	})
}

// hasKey reports whether any file contains the first line of a key's text.
func hasKey(t *testing.T, dir fs.FS, key string) (found bool) {
	t.Helper()
	line := []byte(strings.Split(key, "\n")[1])
	err := fs.WalkDir(dir, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(dir, path)
		found = found || bytes.Contains(text, line)
		return err
	})
	if err != nil || len(line) < 60 {
		t.Fatalf("look for %q: %v", line, err)
	}
	return found
}
