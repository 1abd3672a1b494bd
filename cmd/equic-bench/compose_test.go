package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/scenarios"
)

func composed(t *testing.T, name string) []byte {
	t.Helper()
	t.Chdir("../..") // the file names its scenario relative to the root
	s, err := scenarios.Load("scenarios/" + name + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := compose(&text, s); err != nil {
		t.Fatal(err)
	}
	return text.Bytes()
}

func TestTheComposeFileIsThatOfThePaperScenario(t *testing.T) {
	got := composed(t, "paper")
	want, err := os.ReadFile("compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("compose.yaml is out of date: make generate (-file +scenario):\n%s", diff)
	}
}

// service holds the fields of a Compose service that a test reads.
type service struct {
	Image    string
	CPUSet   string   `yaml:"cpuset"`
	MemLimit int64    `yaml:"mem_limit"`
	ReadOnly bool     `yaml:"read_only"`
	CapDrop  []string `yaml:"cap_drop"`
	CapAdd   []string `yaml:"cap_add"`
	Security []string `yaml:"security_opt"`
	Networks map[string]struct {
		Address string `yaml:"ipv4_address"`
	}
}

func TestEveryServiceIsConfined(t *testing.T) {
	var file struct{ Services map[string]service }
	if err := yaml.Unmarshal(composed(t, "paper"), &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Services) != 9 {
		t.Errorf("%d services, want 9", len(file.Services))
	}
	addresses := map[string]string{}
	for name, s := range file.Services {
		if other, taken := addresses[s.Networks["nodes"].Address]; taken {
			t.Errorf("%s and %s have the same address", name, other)
		}
		addresses[s.Networks["nodes"].Address] = name
		want := service{
			Image: "equic-bench/node:local", CPUSet: "${EQUIC_CLIENT_CPUS:-1}", ReadOnly: true, Networks: s.Networks,
			CapDrop: []string{"ALL"}, Security: []string{"no-new-privileges:true"},
		}
		if name == "server" {
			want.CPUSet, want.MemLimit, want.CapAdd = "${EQUIC_SERVER_CPUS:-0}", 2<<30, []string{"SYS_ADMIN", "NET_ADMIN"}
		}
		if diff := cmp.Diff(want, s); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestDockerComposeReadsTheFile(t *testing.T) {
	command := composeTool(t.Context())
	if command == nil {
		testkit.Lack(t, "neither docker-compose nor docker compose is installed")
	}
	t.Chdir("../..")
	out, err := exec.CommandContext(t.Context(), command[0],
		append(command[1:], "-f", "compose.yaml", "config", "-q")...).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("%v: %v\n%s", command, err, out)
	}
}

// composeTool returns the command of the installed Compose, or nil.
func composeTool(ctx context.Context) []string {
	for _, command := range [][]string{{"docker-compose"}, {"docker", "compose"}} {
		if exec.CommandContext(ctx, command[0], append(command[1:], "version")...).Run() == nil {
			return command
		}
	}
	return nil
}

func TestAComposeFileHasNoRetry(t *testing.T) {
	s, err := scenarios.LoadWith("../../scenarios/quick.yaml", []string{"server.retry=always"})
	testkit.Must(t, err)
	var wrong *scenarios.Error
	if err := compose(io.Discard, s); !errors.As(err, &wrong) {
		t.Errorf("error %v", err)
	}
}
