package equic

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf"
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
	for name, m := range pinned(objs) {
		path := filepath.Join(dir, name)
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove the pin of an earlier process: %w", err)
		}
		if err := m.Pin(path); err != nil {
			return fmt.Errorf("pin map %s to %s (is that a BPF file system?): %w", name, path, err)
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
	for _, m := range pinned(objs) {
		err = errors.Join(err, m.Unpin())
	}
	_ = os.Remove(dir) // fails where others use it too
	return err
}
