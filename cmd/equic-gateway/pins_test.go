package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"testing"

	"github.com/equic-bench/equic-bench/equic"
	"github.com/equic-bench/equic-bench/internal/testkit"
)

func TestPinnedMapsCanBeReadAndWritten(t *testing.T) {
	client := newPair(t)
	pins := bpfFolder(t)
	p := start(t, "--quota", "3", "--port", "8443=9", "--pin", pins)
	s := p.dial(t)
	p.awaitCount(t, client, equic.PassUnknownClient)

	t.Log("the settings are readable")
	var settings struct {
		Value struct{ Quota, Policy int }
	}
	bpftool(t, &settings, "map", "lookup", "pinned", pins+"/applications", "key", "hex", "02", "00", "00", "00")
	if settings.Value.Quota != 9 || settings.Value.Policy != 1 {
		t.Errorf("application 2 is %+v", settings.Value)
	}

	t.Log("a count that is written takes effect")
	setCount(t, pins, 3)
	p.awaitCount(t, client, equic.DropOverQuota)
	if got := readClient(t, pins); got.Connections != 3 || got.Dropped != 1 {
		t.Errorf("the client is %+v after a drop", got)
	}

	t.Log("a count that is removed does too")
	bpftool(t, nil, append([]string{"map", "delete", "pinned", pins + "/clients"}, clientKey()...)...)
	p.awaitCount(t, client, equic.PassUnknownClient)

	t.Log("a count of the gateway's is readable")
	for range 3 {
		s.want(t, "inc "+clientAddress+" 443", "ok")
	}
	if got := readClient(t, pins); got.Connections != 3 {
		t.Errorf("the client is %+v", got)
	}
	p.awaitCount(t, client, equic.DropOverQuota)
}

// pinnedClient is struct client.
type pinnedClient struct{ Connections, Dropped int }

func readClient(t *testing.T, pins string) pinnedClient {
	t.Helper()
	var got struct{ Value pinnedClient }
	bpftool(t, &got, append([]string{"map", "lookup", "pinned", pins + "/clients"}, clientKey()...)...)
	return got.Value
}

func setCount(t *testing.T, pins string, n byte) {
	t.Helper()
	arguments := append([]string{"map", "update", "pinned", pins + "/clients"}, clientKey()...)
	arguments = append(arguments, "value", "hex", fmt.Sprintf("%02x", n), "00", "00", "00", "00", "00", "00", "00")
	bpftool(t, nil, arguments...)
}

// clientKey is struct key of the client at port 443, as docs/gateway.md has it
// for a little-endian machine.
func clientKey() []string {
	return []string{
		"key", "hex", "00", "00", "00", "00", "00", "00", "00", "00", "00", "00", "ff", "ff",
		"c0", "00", "02", "02", "bb", "01", "00", "00",
	}
}

// bpftool runs bpftool, and reads its JSON. Maps that have types are shown with
// them under "formatted".
func bpftool(t *testing.T, into any, arguments ...string) {
	t.Helper()
	c := exec.CommandContext(t.Context(), "bpftool", append([]string{"--json"}, arguments...)...)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%s: %v: %s%s", c, err, out, stderr.String())
	}
	if into == nil {
		return
	}
	var typed struct{ Formatted json.RawMessage }
	testkit.Must(t, json.Unmarshal(out, &typed))
	testkit.Must(t, json.Unmarshal(typed.Formatted, into))
}
