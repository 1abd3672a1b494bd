package orchestrate

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/equic-bench/equic-bench/results"
	"github.com/equic-bench/equic-bench/scenarios"
	"github.com/equic-bench/equic-bench/server/certificate"
)

// serverFiles are the files that foreign servers read: their certificate, its key, and
// the content that they serve.
type serverFiles struct{ dir string }

// makeServerFiles makes the files of all cells; it returns nil if every server is ours.
func makeServerFiles(s *scenarios.Scenario, certificates map[string]*tls.Certificate) (_ *serverFiles, err error) {
	var f *serverFiles
	for _, c := range s.Cells() {
		if !c.Server.Foreign() {
			continue
		}
		if f == nil {
			dir, err := os.MkdirTemp("", "equic-bench-server-")
			if err != nil {
				return nil, fmt.Errorf("make the files of the server: %w", err)
			}
			f = &serverFiles{dir}
		}
		if err := f.add(c, certificates[c.Server.Key]); err != nil {
			return nil, errors.Join(fmt.Errorf("make the files of the server: %w", err), f.remove())
		}
	}
	return f, nil
}

func (f *serverFiles) add(c *scenarios.Scenario, pair *tls.Certificate) error {
	chain, key, err := certificate.PEM(pair)
	if err != nil {
		return err
	}
	root := f.root(c)
	if err := os.MkdirAll(root, 0o755); err != nil { // a server may drop its privileges
		return err
	}
	return errors.Join(
		os.Chmod(f.dir, 0o755), //nolint:gosec // the same
		os.WriteFile(f.certificate(c), chain, 0o644),
		os.WriteFile(f.key(c), key, 0o644), //nolint:gosec // a key for one run
		os.WriteFile(filepath.Join(root, "index.html"), bytes.Repeat([]byte{'x'}, int(c.Server.Body)), 0o644),
	)
}

func (f *serverFiles) certificate(c *scenarios.Scenario) string {
	return filepath.Join(f.dir, c.Server.Key+".pem")
}

func (f *serverFiles) key(c *scenarios.Scenario) string {
	return filepath.Join(f.dir, c.Server.Key+"-key.pem")
}

func (f *serverFiles) root(c *scenarios.Scenario) string {
	return filepath.Join(f.dir, "root-"+strconv.FormatInt(c.Server.Body, 10))
}

func (f *serverFiles) remove() error {
	if f == nil {
		return nil
	}
	return os.RemoveAll(f.dir)
}

// foreign returns the node of a foreign server. Its environment is the one in which its
// program is looked up, and which many programs expect.
func (b specBuilder) foreign(flags []string) NodeSpec {
	s := b.scenario
	if s.Server.Ready != "" {
		flags = append(flags, "--ready-line", s.Server.Ready)
	} else {
		flags = append(flags, "--ready-address", serverPort(s))
	}
	words := []string{
		scenarios.PlaceAddress, s.Network.ListenAddress().String(), scenarios.PlacePort, strconv.Itoa(s.Network.Port),
	}
	if b.files != nil {
		words = append(words, scenarios.PlaceCertificate, b.files.certificate(s), scenarios.PlaceKey, b.files.key(s),
			scenarios.PlaceRoot, b.files.root(s))
	}
	command, replaced := b.probe(flags...), strings.NewReplacer(words...)
	for _, word := range s.Server.Command {
		command = append(command, replaced.Replace(word))
	}
	return NodeSpec{
		Name: results.RoleServer, Role: results.RoleServer, Address: s.Network.ServerAddress(), CPUs: s.Server.CPUs,
		MemoryBytes: s.Server.Memory, Kernel: s.Trial.Syscalls, Command: command,
		Env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")},
	}
}
