package netns

import (
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
// number of the process follows, and something random: nobody else can have made it.
const filesPrefix = "equic-bench-files-"

// makeFilesDir makes the folder for the files of nodes, unless there is one. Everybody
// may read in it, since a server may drop its privileges.
func (r *Runtime) makeFilesDir() error {
	if r.files != "" {
		return nil
	}
	dir, err := os.MkdirTemp("", fmt.Sprintf("%s%d-*", filesPrefix, os.Getpid()))
	if err != nil {
		return fmt.Errorf("make a folder for the files of nodes: %w", err)
	}
	r.files = dir
	return os.Chmod(dir, 0o755) //nolint:gosec // the same
}

// putFiles writes the files of a node.
func (r *Runtime) putFiles(files []orchestrate.File) error {
	for _, f := range files {
		path := filepath.Join(r.files, f.Name)
		err := errors.Join(
			os.MkdirAll(filepath.Dir(path), 0o755),
			os.Chmod(filepath.Dir(path), 0o755), //nolint:gosec // whatever the umask is
			os.WriteFile(path, f.Data, 0o644),   //nolint:gosec // a key for one run
			os.Chmod(path, 0o644),               //nolint:gosec // whatever the umask is
		)
		if err != nil {
			return fmt.Errorf("write the files of a node: %w", err)
		}
	}
	return nil
}

// removeFiles empties the folder of the nodes' files: also of what a server has left there.
func (r *Runtime) removeFiles() error {
	if r.files == "" {
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
