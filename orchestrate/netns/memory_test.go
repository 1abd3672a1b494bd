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

	"github.com/equic-bench/equic-bench/internal/testkit"
)

func TestCleanWaitsForTheDyingAndLeavesTheLiving(t *testing.T) {
	testkit.NeedRoot(t)
	version, _ := memoryControl()
	if version == "" {
		t.Skip("this machine has no control group for memory")
	}
	root := map[string]string{"v1": legacy, "v2": unified}[version]
	for sleep, stays := range map[string]bool{"0.3": false, "300": true} {
		name := fmt.Sprintf("%stest-%d-%s", groupPrefix, os.Getpid(), sleep)
		group, _, err := newMemoryGroup(version, name, 64<<20)
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
		removed, err := Groups{}.Clean(t.Context())
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
			if err := removeWhenEmpty(t.Context(), group); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestAMemoryGroupOfVersion2IsMadeWholeOrNotAtAll(t *testing.T) {
	// Files stand in for the kernel's. A folder, or a missing file, stands in for one
	// that cannot be written.
	for name, test := range map[string]struct {
		files, folders       []string
		limited, swap, fails bool // swap: swap is limited, too
	}{
		"the kernel has all": {files: []string{"cgroup.subtree_control"}, limited: true, swap: true},
		"it does not account swap": {
			files:   []string{"cgroup.subtree_control"},
			folders: []string{"g/memory.swap.max"}, limited: true,
		},
		"the controller is kept from the group": {fails: true},
		"there is no limit to set": {
			files:   []string{"cgroup.subtree_control"},
			folders: []string{"g/memory.max"}, fails: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for _, f := range test.files {
				if err := os.WriteFile(filepath.Join(root, f), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			for _, f := range test.folders {
				if err := os.MkdirAll(filepath.Join(root, f), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			_, swap, err := newGroupV2(root, "g", 4096)
			if (err != nil) != test.fails || swap != test.swap {
				t.Fatalf("error %v, swap limited: %v; want an error: %v, %v", err, swap, test.fails, test.swap)
			}
			_ = os.Chmod(filepath.Join(root, "g", "memory.max"), 0o600) // the kernel's has its own mode; it may not be there
			if limit, _ := os.ReadFile(filepath.Join(root, "g", "memory.max")); (string(limit) == "4096") != test.limited {
				t.Errorf("memory.max is %q", limit)
			}
		})
	}
}

func TestLookingForMemoryControlLeavesNothing(t *testing.T) {
	testkit.NeedRoot(t)
	memoryControl()
	if left := groups(t, "probe-"+fmt.Sprint(os.Getpid())); len(left) > 0 {
		t.Errorf("control groups are left: %v", left)
	}
}
