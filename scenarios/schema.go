package scenarios

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
)

// Schema returns the JSON Schema of a scenario file (draft 2020-12), for editors: the
// keys, their units, ranges and defaults. It is made from the readers that Parse uses,
// so the two always agree. Only Parse checks rules over several keys (the attack must
// overlap the load, the subnet must have room).
func Schema() ([]byte, error) {
	schema := new(decoder).scenario(defaults()).schema
	schema.Schema = "https://json-schema.org/draft/2020-12/schema"
	schema.Title = "equic-bench scenario"
	text, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the schema: %w", err)
	}
	return append(text, '\n'), nil
}

// about describes in words what a key is for. If the schema has only a pattern, it also
// describes the accepted values in words.
func (r reader) about(text string) reader {
	r.what, r.schema.Description = text, text
	if r.schema.Pattern != "" {
		r.schema.Description += " Takes a " + r.takes + "."
	}
	return r
}

// withDefault notes the default of a key. A zero value is no default.
func withDefault[T any](r reader, value []T) reader {
	if len(value) > 0 {
		r.schema.Default = asJSON(value)
	}
	return r
}

// asJSON encodes a value of a type that can always be encoded.
func asJSON(v any) json.RawMessage {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings, numbers and lists of them
	}
	return text
}

func mappingSchema(known fields, required []string) *jsonschema.Schema {
	s := &jsonschema.Schema{
		Type:                 "object",
		Properties:           make(map[string]*jsonschema.Schema, len(known)),
		Required:             required,
		AdditionalProperties: &jsonschema.Schema{Not: &jsonschema.Schema{}}, // false
		PropertyOrder:        slices.Sorted(maps.Keys(known)),
	}
	for key, r := range known {
		s.Properties[key] = r.schema
	}
	return s
}

func listSchema(item reader) *jsonschema.Schema {
	least := 1
	return &jsonschema.Schema{Type: "array", Items: item.schema, MinItems: &least, UniqueItems: true}
}

// autoSchema accepts the word Auto, which is the default, or a list.
func autoSchema(list *jsonschema.Schema) *jsonschema.Schema {
	s := orWord(Auto, list)
	s.Default = asJSON(Auto)
	return s
}

// orWord accepts a word, or what another schema accepts.
func orWord(word string, other *jsonschema.Schema) *jsonschema.Schema {
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Enum: []any{word}}, other}}
}

func textSchema(value string) *jsonschema.Schema {
	least := 1
	s := &jsonschema.Schema{Type: "string", MinLength: &least}
	if value != "" {
		s.Default = asJSON(value)
	}
	return s
}

func patternSchema(pattern, value string) *jsonschema.Schema {
	s := textSchema(value)
	s.Pattern = pattern
	return s
}

func choiceSchema(value string, known []string) *jsonschema.Schema {
	s := textSchema(value)
	s.MinLength = nil
	for _, k := range known {
		s.Enum = append(s.Enum, k)
	}
	return s
}

func booleanSchema(value bool) *jsonschema.Schema {
	return &jsonschema.Schema{Type: "boolean", Default: asJSON(value)}
}

func integerSchema(value, low, high int) *jsonschema.Schema {
	least, most := float64(low), float64(high)
	s := &jsonschema.Schema{Type: "integer", Minimum: &least, Maximum: &most}
	if value >= low && value <= high {
		s.Default = asJSON(value)
	}
	return s
}

func durationSchema(value time.Duration) *jsonschema.Schema {
	s := patternSchema(`^([0-9]+(\.[0-9]*)?(ns|us|µs|ms|s|m|h))+$`, "")
	if value > 0 {
		s.Default = asJSON(brief(value))
	}
	return s
}

func sizeSchema(value int64) *jsonschema.Schema {
	s := patternSchema(`^[0-9]+(B|KiB|MiB|GiB)$`, "")
	if value > 0 {
		s.Default = asJSON(Size(value))
	}
	return s
}

func rateSchema() *jsonschema.Schema {
	s := patternSchema(`^[0-9]*\.?[0-9]+/s$`, "")
	s.Examples = []any{"10/s"}
	return s
}
