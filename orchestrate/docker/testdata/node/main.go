// Command node stands in for the nodes' binaries in tests: it reports its surroundings,
// then does what its argument specifies.
package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	if err := json.NewEncoder(os.Stdout).Encode(surroundings()); err != nil {
		os.Exit(1)
	}
	fmt.Fprintln(os.Stderr, "this is the log")
	switch os.Args[1] {
	case "end":
		os.Exit(3)
	case "wait":
		<-stop
		fmt.Println("stopped")
	}
}

func surroundings() map[string]string {
	found := map[string]string{"epoch": os.Getenv("EQUIC_EPOCH")}
	if link, err := net.InterfaceByName("eth0"); err == nil {
		if addresses, err := link.Addrs(); err == nil && len(addresses) > 0 {
			found["address"] = addresses[0].String()
		}
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return found
	}
	for line := range strings.Lines(string(status)) {
		if name, value, ok := strings.Cut(line, ":"); ok {
			found[name] = strings.TrimSpace(value)
		}
	}
	if limits, err := os.ReadFile("/proc/self/limits"); err == nil {
		for line := range strings.Lines(string(limits)) {
			if value, ok := strings.CutPrefix(line, "Max open files"); ok {
				found["open files"] = strings.Join(strings.Fields(value), " ")
			}
		}
	}
	if err := os.WriteFile("/file", nil, 0o600); err != nil {
		found["write"] = err.Error()
	}
	return found
}
