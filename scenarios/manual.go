package scenarios

import (
	"bytes"
	_ "embed" // the manual's frame and example
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/template"

	"go.yaml.in/yaml/v3"
)

//go:embed manual.md.tmpl
var manualText string

// everyKey is the example of the manual; its order is the manual's.
//
//go:embed every-key.yaml
var everyKey []byte

// shortest is a scenario of little more than the keys that have no default.
const shortest = `name: shortest
clients:
  sequential: {count: 4, requests: 1000, rate: 10/s}
  parallel: {count: 4, requests: 1000, rate: 100/s, delay: 30s}
`

// several is a scenario with several loads and a matrix.
const several = `name: several
loads:
  mixed:
    sequential: {count: 4, requests: 1000, pace: 100ms}
    parallel: {count: 4, duration: 10s, rate: 2x, delay: 30s}
  parallel:
    parallel: {count: 4, requests: 1000, rate: 2x}
matrix:
  server.key: [rsa-4096, ecdsa-p256]
`

// searching is a scenario with a search.
const searching = `name: searching
variants: [userspace-block, xdp-block-new]
search: {from: 0.25x, to: 8x, factor: 1.25x, keep: 99%, lost: 0, p99: 3x}
clients:
  sequential: {count: 10, duration: 30s, pace: 200ms}
  parallel: {count: 4, duration: 15s, delay: 15s, max_in_flight: 2000}
`

// shared is a scenario with an honest client behind an attacker's address.
const shared = `name: shared-address
variants: [xdp-block, xdp-block-new]
clients:
  sequential: {count: 4, duration: 30s, pace: 100ms}
  parallel: {kind: hold, hold: 5s, count: 4, duration: 10s, rate: 2x, delay: 10s}
  neighbour: {count: 1, duration: 30s, pace: 500ms}
`

// foreign is a scenario with a foreign server, which is not one of our programs.
const foreign = `name: my-server
server:
  command: [my-server, --listen, "{address}:{port}", --cert, "{certificate}", --key, "{key}", "{root}"]
  ready: listening
  path: /index.html
  body: 16KiB
  key: rsa-4096
clients:
  sequential: {count: 4, duration: 20s, pace: 100ms}
  parallel: {count: 4, duration: 10s, rate: up to 2x, delay: 10s}
`

// compared is a scenario with two servers, one of them in a container.
const compared = `name: compared
variants: [no-block, gateway]
server:
  body: 16KiB
servers:
  ours: {key: ecdsa-p256}
  theirs:
    command: [their-server, "{address}", "{port}", "{certificate}", "{key}", "{root}"]
    protocol: hq-interop
    limits: {rate: 30/s, burst: 60, deny: [172.31.99.15/32]}
  in-a-container:
    image: registry.example/quic-server:1.2
    command: [/server, --port, "{port}", --cert, "{certificate}", --key, "{key}", --root, "{root}"]
clients:
  sequential: {count: 4, duration: 20s, pace: 100ms}
  parallel: {count: 4, duration: 10s, rate: up to 2x, delay: 10s}
`

// together is a scenario with two groups of attackers.
const together = `name: together
clients:
  sequential: {count: 4, duration: 30s, pace: 100ms}
  parallel:
    - {count: 4, duration: 10s, rate: 1x, delay: 10s}
    - {kind: half-open, count: 2, duration: 10s, rate: 1x, delay: 10s}
`

// manualGroup is one table: the keys of one mapping.
type manualGroup struct {
	Path, What string
	Keys       []manualKey
}

// manualKey is one line of a table.
type manualKey struct{ Name, Takes, Default, Example, What string }

// Manual returns docs/scenario.md: every key with its unit, range, default and an
// example. Like Schema, it is made from the readers that Parse uses.
func Manual() ([]byte, error) {
	var example yaml.Node
	if err := yaml.Unmarshal(everyKey, &example); err != nil {
		return nil, fmt.Errorf("read the manual's example: %w", err)
	}
	frame, err := template.New("manual").Parse(manualText)
	if err != nil {
		return nil, fmt.Errorf("write the manual: %w", err)
	}
	var out bytes.Buffer
	err = frame.Execute(&out, struct {
		Shortest, Several, Searching, Shared, Together, Foreign, Compared, Every string
		Groups                                                                   []manualGroup
		Room                                                                     int
	}{
		shortest, several, searching, shared, together, foreign, compared, string(everyKey),
		manualGroups("", new(decoder).scenario(defaults()), example.Content[0]),
		roomFor(24),
	})
	if err != nil {
		return nil, fmt.Errorf("write the manual: %w", err)
	}
	return out.Bytes(), nil
}

// manualGroups returns the tables of a mapping and of the mappings inside it. The keys
// are in the order of the example; keys that are not in it follow.
func manualGroups(path string, r reader, example *yaml.Node) []manualGroup {
	group := manualGroup{Path: path, What: r.what}
	var inner []manualGroup
	for _, name := range ordered(r.keys, example) {
		key, at := r.keys[name], child(example, name)
		if key.keys != nil {
			inner = append(inner, manualGroups(join(path, name), key, at)...)
		}
		group.Keys = append(group.Keys, manualKey{
			Name: name, Takes: takesOf(join(path, name), key), Default: defaultOf(key, slices.Contains(r.required, name)),
			Example: exampleOf(at), What: key.what,
		})
	}
	return append([]manualGroup{group}, inner...)
}

// ordered returns the keys of a mapping in the order of the example, then the others.
func ordered(known fields, example *yaml.Node) []string {
	var names []string
	if example != nil {
		for i := 0; i < len(example.Content); i += 2 {
			names = append(names, example.Content[i].Value)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// child returns the value of a key in a mapping, or nil.
func child(mapping *yaml.Node, name string) *yaml.Node {
	if mapping == nil || mapping.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == name {
			return mapping.Content[i+1]
		}
	}
	return nil
}

func takesOf(path string, r reader) string {
	if r.keys == nil {
		return r.takes
	}
	anchor := strings.ReplaceAll(path, ".", "") // as GitHub derives it from the heading
	return fmt.Sprintf("[keys](#%s)", anchor)
}

func defaultOf(r reader, required bool) string {
	if required {
		return "required"
	}
	var value any
	if json.Unmarshal(r.schema.Default, &value) != nil {
		return ""
	}
	return code(strings.NewReplacer(`"`, "", ",", ", ").Replace(string(r.schema.Default)))
}

// exampleOf returns a value of the example; a mapping has its own table.
func exampleOf(n *yaml.Node) string {
	switch {
	case n == nil || n.Kind == yaml.MappingNode:
		return ""
	case n.Kind == yaml.ScalarNode:
		return code(n.Value)
	}
	var items []string
	for _, item := range n.Content {
		items = append(items, item.Value)
	}
	return code("[" + strings.Join(items, ", ") + "]")
}

func code(text string) string { return "`" + text + "`" }
