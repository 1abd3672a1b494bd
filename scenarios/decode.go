package scenarios

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
	"go.yaml.in/yaml/v3"
)

// decoder reads the YAML nodes of one file and collects the problems.
type decoder struct {
	file     string
	problems []Problem
	keys     map[string]position // where each key is, by its path: "server.quota"
	load     string              // of the current cell; "" if the file has no loads
	searches bool                // the file has a search, which finds the rate of attacks
}

// position is a place in the file, from 1. Column zero means the whole line, line zero
// the whole file.
type position struct{ line, column int }

func positionOf(n *yaml.Node) position { return position{n.Line, n.Column} }

// reader reads one value into a fixed destination. The path is that of the value's key.
// The schema gives the same rules to editors, and the words to people
// (docs/scenario.md).
type reader struct {
	read   func(n *yaml.Node, path string)
	schema *jsonschema.Schema

	takes    string // which values it accepts, such as "time, 1s to 10m"
	what     string // what the key is for, as a sentence
	keys     fields // the keys of a mapping
	required []string
}

// fields are the keys that a mapping may have.
type fields map[string]reader

func (d *decoder) problem(at position, what, remedy string) {
	d.problems = append(d.problems, Problem{File: d.file, Line: at.line, Column: at.column, What: what, Remedy: remedy})
}

// withReason adds the reason for a restriction to the problems with a value.
func (d *decoder) withReason(r reader, why string) reader {
	read := r.read
	r.read = func(n *yaml.Node, path string) {
		before := len(d.problems)
		read(n, path)
		for i := range d.problems[before:] {
			d.problems[before+i].Remedy += ": " + why
		}
	}
	return r
}

// wrong reports a value that its key does not accept.
func (d *decoder) wrong(n *yaml.Node, path, what, remedy string) {
	d.problem(positionOf(n), path+": "+what, remedy)
}

// err returns all problems, in the order of the lines, or nil.
func (d *decoder) err() error {
	if len(d.problems) == 0 {
		return nil
	}
	return &Error{Problems: sortProblems(d.problems)}
}

// key returns the position of the first of these keys that the file has. If it has none of them, it returns
// the first line.
func (d *decoder) key(paths ...string) position {
	for _, path := range paths {
		if at, ok := d.keys[d.path(path)]; ok {
			return at
		}
	}
	return position{line: 1}
}

// read follows an alias to its target, and reads it.
func (d *decoder) read(n *yaml.Node, path string, r reader) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	r.read(n, path)
}

// mapping reads keys and their values. Missing required keys are reported.
func (d *decoder) mapping(known fields, required ...string) reader {
	schema := mappingSchema(known, required)
	return reader{schema: schema, keys: known, required: required, read: func(n *yaml.Node, path string) {
		if n.Kind != yaml.MappingNode {
			d.wrong(n, or(path, "the file"), "is not a list of keys", "write `key: value` lines under it")
			return
		}
		seen := map[string]int{}
		for i := 0; i < len(n.Content); i += 2 {
			d.entry(n.Content[i], n.Content[i+1], path, known, seen)
		}
		for _, key := range required {
			if seen[key] == 0 {
				d.wrong(n, d.path(join(path, key)), "is missing", "add it")
			}
		}
	}}
}

// some checks that a mapping has at least and at most a given number of some keys.
func (d *decoder) some(r reader, least, most int, keys ...string) reader {
	read := r.read
	r.read = func(n *yaml.Node, path string) {
		read(n, path)
		var given []*yaml.Node
		for i := 0; i+1 < len(n.Content) && n.Kind == yaml.MappingNode; i += 2 {
			if slices.Contains(keys, n.Content[i].Value) {
				given = append(given, n.Content[i])
			}
		}
		switch {
		case n.Kind != yaml.MappingNode:
		case len(given) < least:
			d.wrong(n, join(path, keys[0]), "is missing", "add it, or "+strings.Join(keys[1:], ", "))
		case len(given) > most:
			d.problem(positionOf(given[most]), path+": has both "+strings.Join(keys, " and "), "keep one of them")
		}
	}
	return r
}

// removedKeys are keys of earlier versions, each with what to do instead.
var removedKeys = map[string]string{
	"trial.unmeasured": "use trial.alternate, which measures the cost of measuring within a trial",
}

// entry reads one key of a mapping and its value.
func (d *decoder) entry(key, value *yaml.Node, path string, known fields, seen map[string]int) {
	full := join(path, key.Value)
	r, ok := known[key.Value]
	if path == "clients" && d.load != "" && (!ok || isGroup(key.Value)) {
		full = join("loads."+d.load, key.Value)
	}
	switch {
	case removedKeys[full] != "":
		d.problem(positionOf(key), full+" was removed", removedKeys[full])
		return
	case key.Kind != yaml.ScalarNode || !ok:
		d.problem(positionOf(key), fmt.Sprintf("unknown key %q", full), nearest(key.Value, slices.Collect(maps.Keys(known))))
		return
	case seen[key.Value] != 0:
		d.problem(positionOf(key), fmt.Sprintf("%s is given again, after line %d", full, seen[key.Value]), "keep one of them")
		return
	}
	seen[key.Value] = key.Line
	d.keys[full] = positionOf(key)
	d.read(value, full, r)
}

// list reads each item of a list; none may be given twice.
func (d *decoder) list(begin func(), item reader) reader {
	takes := "list, each once: " + item.takes
	return reader{schema: listSchema(item), takes: takes, read: func(n *yaml.Node, path string) {
		if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
			d.wrong(n, path, "is not a list", "write the items in brackets, such as [a, b]")
			return
		}
		begin()
		seen := map[string]bool{}
		for _, c := range n.Content {
			if c.Kind == yaml.ScalarNode && seen[c.Value] {
				d.wrong(c, path, fmt.Sprintf("%s is given twice", c.Value), "keep one of them")
				continue
			}
			seen[c.Value] = true
			d.read(c, path, item)
		}
	}}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
