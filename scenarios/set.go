package scenarios

import (
	"bytes"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// LoadWith loads a file with changed values. Each change is "key=value", with the key
// as a path ("clients.parallel.rate=200/s") and the value as in YAML. The scenario's
// Text is the file's with these changes, including comments. Problems with a change are
// an *Error, too, with the line in that text.
func LoadWith(path string, changes []string) (*Scenario, error) {
	s, err := Load(path) // first unchanged: its own errors have its own lines
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

// set returns the text of a scenario with the changes applied.
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

// put changes the value of the key at a path, and adds the key if it is missing. In a
// list of groups, it changes the first.
func put(in *yaml.Node, path []string, value *yaml.Node) {
	if in.Kind == yaml.AliasNode { // the value that it stands for stays as it is elsewhere
		*in = *clone(in.Alias)
		in.Anchor = ""
	}
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
