package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"strings"

	"github.com/equic-bench/equic-bench/equic"
	"github.com/equic-bench/equic-bench/equic/control"
)

// readPrefixes reads a list from a file. Without a file, the list is empty, but not nil.
func readPrefixes(path string) (list []netip.Prefix, err error) {
	if path == "" {
		return []netip.Prefix{}, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return parsePrefixes(path, f)
}

// parsePrefixes parses a list: a prefix or an address in each line, and comments that
// begin with #. An error has the name of the list and the number of the line.
func parsePrefixes(name string, from io.Reader) ([]netip.Prefix, error) {
	list := []netip.Prefix{}
	lines := bufio.NewScanner(from)
	n := 0
	for lines.Scan() {
		n++
		text, _, _ := strings.Cut(lines.Text(), "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		p, err := control.ParsePrefix(text)
		if err == nil {
			p, err = equic.ListedPrefix(p)
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, n, err)
		}
		list = append(list, p)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s:%d: %w", name, n+1, err)
	}
	return list, nil
}

// feed is what a file fills: an equic.List.
type feed interface {
	SetFeed(prefixes []netip.Prefix) error
}

// listFile is a file, and the list that it fills.
type listFile struct {
	path string
	list feed
}

// reloader reads the files of the lists again.
type reloader struct {
	files   []listFile
	log     *slog.Logger
	manager *manager
	state   func() string // of the gateway, for the service manager
}

// startReloader reloads at each signal, until it is stopped.
func startReloader(r *reloader, signals <-chan os.Signal) (stop func()) {
	ended, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-ended:
				return
			case <-signals:
				r.reload()
			}
		}
	}()
	return func() {
		close(ended)
		<-done
	}
}

func (r *reloader) reload() {
	r.manager.reloading()
	err := r.replace()
	status := r.state()
	if err != nil {
		r.log.Error("reload", "error", err)
		status += "; the last reload failed: " + err.Error()
	}
	r.manager.ready(status)
}

// replace replaces the lists. If a file cannot be read, all lists stay as they are.
func (r *reloader) replace() (err error) {
	if len(r.files) == 0 {
		return errors.New("no list comes from a file: give --allow-file or --deny-file")
	}
	lists := make([][]netip.Prefix, len(r.files))
	for i, f := range r.files {
		if lists[i], err = readPrefixes(f.path); err != nil {
			return fmt.Errorf("the lists stay as they were: %w", err)
		}
	}
	for i, f := range r.files {
		if failed := f.list.SetFeed(lists[i]); failed != nil {
			err = errors.Join(err, fmt.Errorf("%s: the list stays as it was: %w", f.path, failed))
			continue
		}
		r.log.Info("list loaded", "file", f.path, "prefixes", len(lists[i]))
	}
	return err
}
