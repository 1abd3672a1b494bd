package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestASecondRunIsRefusedWhileTheFirstMeasures(t *testing.T) {
	awaitMachine(t)
	release, err := lockMachine(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, err = lockMachine(t.Context())
	if !errors.Is(err, errBusy) || !strings.Contains(err.Error(), fmt.Sprintf("process %d", os.Getpid())) {
		t.Errorf("error %v, want one that names this process", err)
	}
	if code := exitCode(err); code != exitMachine {
		t.Errorf("exit code %d, want %d", code, exitMachine)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	again, err := lockMachine(t.Context())
	if err != nil {
		t.Fatalf("after its end: %v", err)
	}
	if err := again(); err != nil {
		t.Fatal(err)
	}
}
