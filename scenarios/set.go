package scenarios

import (
	"bytes"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// LoadWith is Load of a file in which some keys get other values: each change is
// "key=value", the key as a path ("clients.parallel.rate=200/s"), the value as in
// YAML. The scenario's Text is then the file's with these changes, comments
// included; what is wrong with a change is an *Error, too, with its line there.
func LoadWith(path string, changes []string) (*Scenario, error) {
	s, err := Load(path) // first as it is: its own errors have its own lines
	if err != nil || len(changes) == 0 {
		return s, err
	}
	text, err := set(s.Text, changes)
	if err != nil {
		return nil, err
	}
	if s, err = Parse(path+" with --set", text); err != nil {
		return nil, err
	}
	s.Path = path
	return s, nil
}

// set is the text of a scenario with the changes in it.
func set(text []byte, changes []string) ([]byte, error) {
	var file yaml.Node
	if err := yaml.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("read the scenario: %w", err)
	}
	for _, change := range changes {
		key, value, ok := strings.Cut(change, "=")
		var v yaml.Node
		if err := yaml.Unmarshal([]byte(value), &v); !ok || key == "" || err != nil || len(v.Content) == 0 {
			what := fmt.Sprintf("%q is not a key and its value", change)
			return nil, &Error{[]Problem{{File: "--set", What: what, Remedy: "write both as in clients.parallel.rate=200/s"}}}
		}
		put(file.Content[0], strings.Split(key, "."), v.Content[0])
	}
	var changed bytes.Buffer
	e := yaml.NewEncoder(&changed)
	e.SetIndent(2)
	if err := e.Encode(&file); err != nil {
		return nil, fmt.Errorf("write the scenario: %w", err)
	}
	return changed.Bytes(), e.Close()
}

// put gives the key at a path another value, and makes it where there is none. Of a list
// of groups, the first has the key.
func put(in *yaml.Node, path []string, value *yaml.Node) {
	if in.Kind == yaml.SequenceNode && len(in.Content) > 0 {
		in = in.Content[0]
	}
	if in.Kind != yaml.MappingNode {
		*in = yaml.Node{Kind: yaml.MappingNode}
	}
	for i := 0; i+1 < len(in.Content); i += 2 {
		switch {
		case in.Content[i].Value != path[0]:
		case len(path) > 1:
			put(in.Content[i+1], path[1:], value)
			return
		default:
			in.Content[i+1] = value // without the comment on the old one
			return
		}
	}
	if len(path) > 1 {
		within := new(yaml.Node)
		put(within, path[1:], value)
		value = within
	}
	key := &yaml.Node{Kind: yaml.ScalarNode, Value: path[0], Line: value.Line, Column: value.Column}
	in.Content = append(in.Content, key, value)
}
