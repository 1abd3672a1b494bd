package netns

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

func TestCleanWaitsForTheDyingAndLeavesTheLiving(t *testing.T) {
	requireRoot(t)
	version := memoryControl()
	if version == "" {
		t.Skip("this machine has no control group for memory")
	}
	root := map[string]string{"v1": legacy, "v2": unified}[version]
	for sleep, stays := range map[string]bool{"0.3": false, "300": true} {
		name := fmt.Sprintf("%stest-%d-%s", groupPrefix, os.Getpid(), sleep)
		group, err := newMemoryGroup(version, name, 64<<20)
		if err != nil {
			t.Fatal(err)
		}
		command := exec.CommandContext(t.Context(), "sleep", sleep)
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() {
			_ = command.Wait() // it is killed, or ends
			close(ended)
		}()
		if err := group.add(command.Process.Pid); err != nil {
			t.Fatal(err)
		}
		removed, err := Clean()
		if err != nil {
			t.Error(err)
		}
		if named := slices.Contains(removed, "control group "+filepath.Join(root, name)); named == stays {
			t.Errorf("a group whose process sleeps for %s s: removed are %q", sleep, removed)
		}
		if _, err := os.Stat(filepath.Join(root, name)); errors.Is(err, fs.ErrNotExist) == stays {
			t.Errorf("a group whose process sleeps for %s s: %v", sleep, err)
		}
		_ = command.Process.Kill() // it may have ended
		<-ended
		if stays {
			if err := emptied(t.Context(), group); err != nil {
				t.Error(err)
			}
		}
	}
}
