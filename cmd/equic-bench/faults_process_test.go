package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// process is one process of this machine, as far as it lets us look.
type process struct {
	pid, parent int
	environment []string
	space       string // its network namespace
}

// variable is the value of an environment variable, or empty.
func (p *process) variable(name string) string {
	for _, v := range p.environment {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			return value
		}
	}
	return ""
}

// processes lists those that run, without zombies.
func processes() []process {
	var all []process
	entries, _ := filepath.Glob("/proc/[0-9]*") // the pattern is fine
	for _, dir := range entries {
		stat, err := os.ReadFile(filepath.Join(dir, "stat"))
		if err != nil {
			continue // it has just ended
		}
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if string(fields[0]) == "Z" {
			continue
		}
		p := process{}
		p.pid, _ = strconv.Atoi(filepath.Base(dir))
		p.parent, _ = strconv.Atoi(string(fields[1]))
		environ, _ := os.ReadFile(filepath.Join(dir, "environ")) // empty as well for one that has ended
		p.environment = strings.Split(string(environ), "\x00")
		p.space, _ = os.Readlink(filepath.Join(dir, "ns", "net"))
		all = append(all, p)
	}
	return all
}

// program says whether a probe's child is past its exec.
func program(pid int) bool {
	path, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	return err == nil && filepath.Base(path) != "equic-probe"
}
