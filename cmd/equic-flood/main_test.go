package main

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/equic-bench/equic-bench/record"
)

func TestNoFlagNamesATarget(t *testing.T) {
	for name, test := range map[string]struct {
		target string
		args   []string
		want   string
	}{
		"no target":          {"", nil, record.EnvFloodTarget},
		"a flag":             {"172.31.0.2:4433", []string{"-server", "172.31.0.2:4433"}, "flag provided but not defined: -server"},
		"an argument":        {"172.31.0.2:4433", []string{"172.31.0.2:4433"}, "unexpected argument"},
		"a public address":   {"198.51.100.1:443", []string{"-duration", "1s"}, "a flood is for the nodes of its own trial"},
		"what is no address": {"server:443", []string{"-duration", "1s"}, record.EnvFloodTarget},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(record.EnvFloodTarget, test.target)
			var stdout, stderr bytes.Buffer
			if code := run(context.Background(), test.args, &stdout, &stderr); code == 0 {
				t.Error("exit code 0")
			}
			if !strings.Contains(stderr.String(), test.want) {
				t.Errorf("%q does not say %q", &stderr, test.want)
			}
		})
	}
}
