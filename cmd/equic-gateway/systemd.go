package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// notifyTimeout bounds the sending of one message to the service manager.
const notifyTimeout = time.Second

// manager reports the state of the process to the service manager, by the protocol of
// sd_notify(3). Without a service manager it does nothing.
type manager struct {
	address string // of its socket; empty: there is none
	log     *slog.Logger
}

func newManager(log *slog.Logger) *manager {
	return &manager{address: os.Getenv("NOTIFY_SOCKET"), log: log}
}

func (m *manager) ready(status string) { m.send("READY=1", "STATUS="+status) }

func (m *manager) status(status string) { m.send("STATUS=" + status) }

func (m *manager) stopping() { m.send("STOPPING=1", "STATUS=ending") }

// reloading reports that a reload begins; ready reports its end.
func (m *manager) reloading() {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		m.log.Error("read the monotonic clock", "error", err)
		return
	}
	m.send("RELOADING=1", fmt.Sprintf("MONOTONIC_USEC=%d", t.Nano()/1000), "STATUS=reading the lists again")
}

// send sends assignments in one datagram. An error is only logged: the protection does
// not depend on the service manager.
func (m *manager) send(assignments ...string) {
	if m.address == "" {
		return
	}
	lines := make([]string, len(assignments))
	for i, a := range assignments {
		lines[i] = strings.ReplaceAll(a, "\n", "; ") // a line ends an assignment
	}
	if err := sendDatagram(m.address, strings.Join(lines, "\n")); err != nil {
		m.log.Error("notify the service manager", "error", err)
	}
}

// sendDatagram sends a text to a Unix socket. An address that begins with @ has no file.
func sendDatagram(address, text string) (err error) {
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if err := conn.SetWriteDeadline(time.Now().Add(notifyTimeout)); err != nil {
		return err
	}
	_, err = conn.Write([]byte(text))
	return err
}
