package equic

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// pinned are the maps that other programs may read and write, by file name.
func pinned(objs *gatewayObjects) map[string]*ebpf.Map {
	return map[string]*ebpf.Map{"clients": objs.Clients, "applications": objs.Applications}
}

// pin makes the maps visible in a folder of a BPF file system, in the place of
// those that a killed process left there.
func pin(objs *gatewayObjects, dir string) error {
	if dir == "" {
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the folder of the pins: %w", err)
	}
	// Before anything is removed: elsewhere it would be the user's own.
	var at unix.Statfs_t
	if err := unix.Statfs(dir, &at); err != nil {
		return fmt.Errorf("pin maps to %s: %w", dir, err)
	}
	if at.Type != unix.BPF_FS_MAGIC {
		return fmt.Errorf("pin maps to %s: that is no BPF file system", dir)
	}
	for name, m := range pinned(objs) {
		path := filepath.Join(dir, name)
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove the pin of an earlier process: %w", err)
		}
		if err := m.Pin(path); err != nil {
			return fmt.Errorf("pin map %s to %s: %w", name, path, err)
		}
	}
	return nil
}

// unpin removes the pins, and the folder if nothing else is in it.
func unpin(objs *gatewayObjects, dir string) error {
	if dir == "" {
		return nil
	}
	var err error
	for name, m := range pinned(objs) {
		// Another gateway with the same folder has put its own in the place.
		if path := filepath.Join(dir, name); isPin(path, m) {
			err = errors.Join(err, os.Remove(path))
		}
	}
	_ = os.Remove(dir) // fails where others use it too
	return err
}

// isPin says whether a path is the pin of a map.
func isPin(path string, m *ebpf.Map) bool {
	there, err := ebpf.LoadPinnedMap(path, nil)
	if err != nil {
		return false
	}
	defer there.Close()
	a, errA := there.Info()
	b, errB := m.Info()
	if errA != nil || errB != nil {
		return false
	}
	idA, okA := a.ID()
	idB, okB := b.ID()
	return okA && okB && idA == idB
}
