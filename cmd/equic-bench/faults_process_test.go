package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// process is one process of this machine, with the details that are readable.
type process struct {
	pid, parent int
	environment []string
	space       string // its network namespace
}

// variable returns the value of an environment variable, or "".
func (p *process) variable(name string) string {
	for _, v := range p.environment {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			return value
		}
	}
	return ""
}

// processes lists the running processes, without zombies.
func processes() []process {
	var all []process
	entries, _ := filepath.Glob("/proc/[0-9]*") // the pattern is valid
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
		environ, _ := os.ReadFile(filepath.Join(dir, "environ")) // also empty for one that has ended
		p.environment = strings.Split(string(environ), "\x00")
		p.space, _ = os.Readlink(filepath.Join(dir, "ns", "net"))
		all = append(all, p)
	}
	return all
}

// program reports whether a probe's child has called exec.
func program(pid int) bool {
	path, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	return err == nil && filepath.Base(path) != "equic-probe"
}
