package equic

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/equic-bench/equic-bench/internal/testkit"
)

// childVariable makes the test binary a helper process. The process attaches, prints
// that, and waits for a signal. The value selects how it handles signals.
const childVariable = "EQUIC_TEST_CHILD"

const (
	childHandles = "handles signals" // closes the gateway on SIGINT and SIGTERM
	childIgnores = "has no handler"  // terminated by them
)

// childMain runs the helper process. Its first line is the mode, or the error.
func childMain(behaviour string) int {
	ctx := context.Background()
	if behaviour == childHandles {
		var stop context.CancelFunc
		ctx, stop = signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
		defer stop()
	}
	g, err := Attach(Options{Interfaces: []string{serverIface}, Ports: onePort})
	if err != nil {
		fmt.Println("error:", strings.ReplaceAll(err.Error(), "\n", " "))
		return 1
	}
	fmt.Println(g.Mode())
	if behaviour == childIgnores {
		_, _ = io.Copy(io.Discard, os.Stdin) // until the parent closes it, or forever
		return 1
	}
	<-ctx.Done()
	if err := g.Close(); err != nil {
		fmt.Println("error:", err)
		return 1
	}
	return 0
}

func TestTheProgramLeavesTheInterfaceWithItsProcess(t *testing.T) {
	tests := []struct {
		name      string
		behaviour string
		signal    syscall.Signal
		killed    bool
	}{
		{"SIGINT, handled", childHandles, syscall.SIGINT, false},
		{"SIGTERM, handled", childHandles, syscall.SIGTERM, false},
		{"SIGINT, not handled", childIgnores, syscall.SIGINT, true},
		{"SIGTERM, not handled", childIgnores, syscall.SIGTERM, true},
		{"SIGKILL", childHandles, syscall.SIGKILL, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			newPair(t)
			child, line := startChild(t, test.behaviour, nil)
			if line != string(Native) || attachedMode(t) != Native {
				t.Fatalf("the child said %q, and the kernel %q", line, attachedMode(t))
			}
			testkit.Must(t, child.Process.Signal(test.signal))
			_ = child.Wait() // checked by its state
			status := child.ProcessState.Sys().(syscall.WaitStatus)
			if status.Signaled() != test.killed || (!test.killed && status.ExitStatus() != 0) {
				t.Errorf("the child ended with %s", child.ProcessState)
			}
			testkit.Await(t, "nothing is attached", func() bool { return attachedMode(t) == "" })
		})
	}
}

func TestAttachNeedsTwoCapabilitiesAndNamesTheMissing(t *testing.T) {
	tests := []struct {
		name         string
		capabilities []uintptr
		want         string
	}{
		{"CAP_BPF and CAP_NET_ADMIN are enough", []uintptr{unix.CAP_BPF, unix.CAP_NET_ADMIN}, "native"},
		{"CAP_SYS_ADMIN serves for CAP_BPF", []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_NET_ADMIN}, "native"},
		{"without CAP_NET_ADMIN", []uintptr{unix.CAP_BPF}, "missing CAP_NET_ADMIN:"},
		{"without CAP_BPF", []uintptr{unix.CAP_NET_ADMIN}, "missing CAP_BPF (or CAP_SYS_ADMIN):"},
		{"with none", nil, "missing CAP_BPF (or CAP_SYS_ADMIN) and CAP_NET_ADMIN:"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			newPair(t)
			_, line := startChild(t, childHandles, &syscall.SysProcAttr{
				Credential:  &syscall.Credential{Uid: 65534, Gid: 65534},
				AmbientCaps: test.capabilities,
			})
			if !strings.Contains(line, test.want) || strings.Contains(line, "MEMLOCK") {
				t.Errorf("the child said %q, want %q", line, test.want)
			}
		})
	}
}

// startChild starts a helper process in the test's namespace, and returns the first
// line that it prints. The process ends with the test at the latest.
func startChild(t *testing.T, behaviour string, attr *syscall.SysProcAttr) (*exec.Cmd, string) {
	t.Helper()
	// Not os.Args[0]: another user may not have access to its folder.
	child := exec.CommandContext(t.Context(), "/proc/self/exe")
	child.Env = append(os.Environ(), childVariable+"="+behaviour)
	child.SysProcAttr = attr
	child.Stderr = os.Stderr
	_, err := child.StdinPipe() // open as long as the child lives
	testkit.Must(t, err)
	out, err := child.StdoutPipe()
	testkit.Must(t, err)
	testkit.Must(t, child.Start())
	t.Cleanup(func() {
		if child.ProcessState == nil {
			_ = child.Process.Kill()
			_ = child.Wait()
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	testkit.Must(t, err)
	return child, strings.TrimSpace(line)
}
