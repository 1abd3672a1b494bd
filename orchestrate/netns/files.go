package netns

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/equic-bench/equic-bench/orchestrate"
)

// filesPrefix begins the name of the folder with the files of a process's nodes. The
// number of the process follows, and a random text.
const filesPrefix = "equic-bench-files-"

// newFilesDir returns the name of a folder for the files of nodes. It is made with the
// first of them: most runs have none.
func newFilesDir() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("%s%d-%s", filesPrefix, os.Getpid(), rand.Text()))
}

// putFiles writes the files of a node. Everybody may read them, whatever the umask is,
// since a server may drop its privileges.
func (r *Runtime) putFiles(files []orchestrate.File) (err error) {
	if len(files) == 0 {
		return nil
	}
	if !r.hasFiles {
		err = openDir(r.files)
		r.hasFiles = err == nil
	}
	for _, f := range files {
		path := filepath.Join(r.files, f.Name)
		if dir := filepath.Dir(path); dir != r.files && err == nil {
			err = openDir(dir)
		}
		if err == nil {
			err = os.WriteFile(path, f.Data, 0o644) //nolint:gosec // a key for one run
		}
		if err == nil {
			err = os.Chmod(path, 0o644) //nolint:gosec // the same
		}
	}
	if err != nil {
		return fmt.Errorf("write the files of a node: %w", err)
	}
	return nil
}

// openDir makes a folder, which must not exist, and lets everybody read in it.
func openDir(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	return os.Chmod(dir, 0o755) //nolint:gosec // it has nothing that is secret for longer than a run
}

// removeFiles empties the folder of the nodes' files: also of what a server has left there.
func (r *Runtime) removeFiles() error {
	if !r.hasFiles {
		return nil
	}
	entries, err := os.ReadDir(r.files)
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(r.files, e.Name())))
	}
	return err
}

// deadFiles returns the folders of processes that have ended.
func deadFiles() (paths []string) {
	all, err := filepath.Glob(filepath.Join(os.TempDir(), filesPrefix+"*"))
	if err != nil {
		return nil // the name of the folder is no pattern
	}
	for _, path := range all {
		number, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(path), filesPrefix), "-")
		pid, err := strconv.Atoi(number)
		if err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			paths = append(paths, path)
		}
	}
	return paths
}
