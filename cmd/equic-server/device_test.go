package main

import (
	"strings"
	"testing"
)

func TestAnInterfaceIsNamedOrFoundByItsAddress(t *testing.T) {
	for name, want := range map[string]string{"eth7": "eth7", "127.0.0.1": "lo"} {
		if got, err := device(name); got != want || err != nil {
			t.Errorf("device(%s) = %q, %v; want %q", name, got, err, want)
		}
	}
	if _, err := device("192.0.2.99"); err == nil || !strings.Contains(err.Error(), "no interface has this address") {
		t.Errorf("an address of no interface: %v", err)
	}
}
