package netns

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/equic-bench/equic-bench/internal/testkit"
)

func TestCleanKillsWhatADeadRunLeftAndLeavesTheLiving(t *testing.T) {
	testkit.NeedRoot(t)
	version, _ := memoryControl()
	if version == "" {
		t.Skip("this machine has no control group for memory")
	}
	for name, held := range map[string]bool{"dead": false, "in-progress": true} {
		group, _, err := newMemoryGroup(version, fmt.Sprintf("%stest-%d-%s", groupPrefix, os.Getpid(), name), 64<<20)
		testkit.Must(t, err)
		if held {
			hold, err := hold(group.path())
			testkit.Must(t, err)
			defer hold.Close()
		}
		left := exec.CommandContext(t.Context(), "sleep", "300")
		testkit.Must(t, left.Start())
		ended := make(chan struct{})
		go func() {
			_ = left.Wait() // it is killed
			close(ended)
		}()
		testkit.Must(t, group.add(left.Process.Pid))
		leftover := "control group " + group.path()
		names, err := Groups{}.Leftovers(t.Context())
		testkit.Must(t, err)
		removed, err := Groups{}.Clean(t.Context())
		testkit.Must(t, err)
		if slices.Contains(names, leftover) == held || slices.Contains(removed, leftover) == held {
			t.Errorf("%s: leftovers are %q, removed are %q", name, names, removed)
		}
		if _, err := os.Stat(group.path()); errors.Is(err, fs.ErrNotExist) == held {
			t.Errorf("%s: the group: %v", name, err)
		}
		if held {
			if err := left.Process.Signal(syscall.Signal(0)); err != nil {
				t.Errorf("%s: its process: %v", name, err)
			}
			testkit.Must(t, left.Process.Kill())
		}
		<-ended
		if held {
			testkit.Must(t, removeWhenEmpty(t.Context(), group))
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
