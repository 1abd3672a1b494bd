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
// number of the process follows.
const filesPrefix = "equic-bench-files-"

// filesDir returns the folder with the files of this process's nodes.
func filesDir() string { return filepath.Join(os.TempDir(), filesPrefix+strconv.Itoa(os.Getpid())) }

// putFiles writes the files of a node. Everybody may read them, since a server may drop
// its privileges.
func putFiles(files []orchestrate.File) error {
	for _, f := range files {
		path := filepath.Join(filesDir(), f.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("write the files of a node: %w", err)
		}
		if err := os.WriteFile(path, f.Data, 0o644); err != nil { //nolint:gosec // a key for one run
			return fmt.Errorf("write the files of a node: %w", err)
		}
	}
	return nil
}

// deadFiles returns the folders of processes that have ended.
func deadFiles() (paths []string) {
	all, err := filepath.Glob(filepath.Join(os.TempDir(), filesPrefix+"*"))
	if err != nil {
		return nil // the pattern is valid
	}
	for _, path := range all {
		pid, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(path), filesPrefix))
		if err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			paths = append(paths, path)
		}
	}
	return paths
}
