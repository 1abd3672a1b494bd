package scenarios

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/equic-bench/equic-bench/record"
)

// scalar returns the text of a single value. Anything else is reported, with what was
// expected there.
func (d *decoder) scalar(n *yaml.Node, path, expected string) (string, bool) {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" || n.Value == "" {
		d.wrong(n, path, "has no single value", "write "+expected)
		return "", false
	}
	return n.Value, true
}

func (d *decoder) text(to *string) reader {
	return reader{schema: textSchema(*to), takes: "text", read: func(n *yaml.Node, path string) {
		if v, ok := d.scalar(n, path, "some text"); ok {
			*to = v
		}
	}}
}

// words reads a list of texts, in order.
func (d *decoder) words(to *[]string) reader {
	item := reader{schema: textSchema("")}
	list := listSchema(item)
	list.UniqueItems = false
	return reader{schema: list, takes: "list of words", read: func(n *yaml.Node, path string) {
		if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
			d.wrong(n, path, "is not a list of words", "write the program and its arguments in brackets, such as [server, -p, \"{port}\"]")
			return
		}
		*to = nil
		for _, c := range n.Content {
			if word, ok := d.scalar(c, path, "a word"); ok {
				*to = append(*to, word)
			}
		}
	}}
}

var validName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,39}$`)

// name reads a value that becomes a part of file names.
func (d *decoder) name(to *string) reader {
	const remedy = "use at most 40 lower-case letters, digits and hyphens, such as paper"
	const takes = "name of at most 40 lower-case letters, digits and hyphens"
	return reader{schema: patternSchema(validName.String(), *to), takes: takes, read: func(n *yaml.Node, path string) {
		v, ok := d.scalar(n, path, "a name")
		if !ok {
			return
		}
		if !validName.MatchString(v) {
			d.wrong(n, path, fmt.Sprintf("%q cannot name a run directory", v), remedy)
			return
		}
		*to = v
	}}
}

func (d *decoder) choice(to *string, known ...string) reader {
	takes := strings.Join(known, ", ")
	return reader{schema: choiceSchema(*to, known), takes: takes, read: func(n *yaml.Node, path string) {
		v, ok := d.scalar(n, path, "one of "+takes)
		if !ok {
			return
		}
		if !slices.Contains(known, v) {
			d.wrong(n, path, fmt.Sprintf("%q is unknown", v), nearest(v, slices.Clone(known)))
			return
		}
		*to = v
	}}
}

func (d *decoder) boolean(to *bool) reader {
	return reader{schema: booleanSchema(*to), takes: "true, false", read: func(n *yaml.Node, path string) {
		v, ok := d.scalar(n, path, "true or false")
		if !ok {
			return
		}
		if v != "true" && v != "false" || n.Tag != "!!bool" {
			d.wrong(n, path, fmt.Sprintf("%q is not true or false", v), "write true or false, without quotes")
			return
		}
		*to = v == "true"
	}}
}

func (d *decoder) integer(to *int, low, high int) reader {
	expected := fmt.Sprintf("a whole number from %d to %d", low, high)
	takes := fmt.Sprintf("whole number, %d to %d", low, high)
	return reader{schema: integerSchema(*to, low, high), takes: takes, read: func(n *yaml.Node, path string) {
		v, ok := d.scalar(n, path, expected)
		if !ok {
			return
		}
		number, err := strconv.Atoi(strings.ReplaceAll(v, "_", ""))
		switch {
		case err != nil:
			d.wrong(n, path, fmt.Sprintf("%q is not a whole number", v), "write "+expected)
			return
		case n.Tag != "!!int":
			d.wrong(n, path, fmt.Sprintf("%q is text", v), "write it without quotes")
			return
		}
		if number < low || number > high {
			d.wrong(n, path, v+" is out of range", "write "+expected)
			return
		}
		*to = number
	}}
}

func (d *decoder) duration(to *time.Duration, low, high time.Duration) reader {
	expected := fmt.Sprintf("a time from %s to %s with its unit, such as 500ms, 30s or 2m", brief(low), brief(high))
	takes := fmt.Sprintf("time, %s to %s", brief(low), brief(high))
	return reader{schema: durationSchema(*to), takes: takes, read: func(n *yaml.Node, path string) {
		v, ok := d.scalar(n, path, expected)
		if !ok {
			return
		}
		t, err := time.ParseDuration(v)
		if err != nil || n.Tag == "!!int" {
			d.wrong(n, path, fmt.Sprintf("%q is not a time with a unit", v), "write "+expected)
			return
		}
		if t < low || t > high {
			d.wrong(n, path, v+" is out of range", "write "+expected)
			return
		}
		*to = t
	}}
}

// brief returns a duration without its zero parts: 10m, not 10m0s.
func brief(t time.Duration) string {
	text := t.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// size reads a number of bytes in binary units.
func (d *decoder) size(to *int64, low, high int64) reader {
	expected := fmt.Sprintf("a whole number from %s to %s with its unit: B, KiB, MiB or GiB", Size(low), Size(high))
	takes := fmt.Sprintf("size, %s to %s", Size(low), Size(high))
	return reader{schema: sizeSchema(*to), takes: takes, read: func(n *yaml.Node, path string) {
		v, ok := d.scalar(n, path, expected)
		if !ok {
			return
		}
		bytes, err := ParseSize(v)
		if err != nil {
			d.wrong(n, path, fmt.Sprintf("%q is not a size with a unit", v), "write "+expected)
			return
		}
		if bytes < low || bytes > high {
			d.wrong(n, path, v+" is out of range", "write "+expected)
			return
		}
		*to = bytes
	}}
}

// units are the units of sizes, the largest first.
var units = []struct {
	name  string
	shift uint
}{{"GiB", 30}, {"MiB", 20}, {"KiB", 10}, {"B", 0}}

// ParseSize reads a number of bytes in binary units: "512B", "256KiB", "1GiB".
func ParseSize(text string) (int64, error) {
	for _, unit := range units {
		digits, ok := strings.CutSuffix(text, unit.name)
		if !ok {
			continue
		}
		number, err := strconv.ParseUint(digits, 10, 63-int(unit.shift))
		if err != nil {
			break
		}
		return int64(number) << unit.shift, nil
	}
	return 0, fmt.Errorf("parse size %q: not a whole number of B, KiB, MiB or GiB", text)
}

// Size formats a number of bytes as ParseSize reads it, in the largest unit that keeps
// it whole.
func Size(bytes int64) string {
	for _, unit := range units {
		if bytes != 0 && bytes%(1<<unit.shift) == 0 {
			return strconv.FormatInt(bytes>>unit.shift, 10) + unit.name
		}
	}
	return "0B"
}

// mostClients is the largest group: a bridge of the kernel has 1023 ports (BR_PORT_BITS).
const mostClients = 1000

// The highest rates: of requests, and of a flood's datagrams.
const (
	mostRate      = 10_000
	mostFloodRate = 10_000_000
)

// rate reads a number of requests per second.
func (d *decoder) rate(to *float64, most int) reader {
	expected := fmt.Sprintf("requests per second above 0 and up to %d, such as 10/s", most)
	return reader{schema: rateSchema(), takes: fmt.Sprintf("rate, 0.001/s to %d/s", most), read: func(n *yaml.Node, path string) {
		v, ok := d.scalar(n, path, expected)
		if !ok {
			return
		}
		digits, unit := strings.CutSuffix(v, "/s")
		rate, err := strconv.ParseFloat(digits, 64)
		if !unit || err != nil || math.IsNaN(rate) {
			d.wrong(n, path, fmt.Sprintf("%q is not a rate", v), "write "+expected)
			return
		}
		if rate < 0.001 || rate > float64(most) {
			d.wrong(n, path, v+" is out of range", "write "+expected)
			return
		}
		*to = rate
	}}
}

// strength reads a rate, or a multiple of the server's capacity.
func (d *decoder) strength(c *Clients) reader {
	absolute := d.rate(&c.Rate, mostFloodRate)
	schema := patternSchema(`^(((up|[0-9]*\.?[0-9]+x) to )?[0-9]*\.?[0-9]+x|[0-9]*\.?[0-9]+/s|max)$`, "")
	schema.Examples = []any{"2x", "up to 2x", "120/s", "max"}
	const expected = "a rate such as 120/s, or a multiple from 0.1x to 100x, with \"up to\" or without"
	return reader{
		schema: schema, takes: absolute.takes + "; or multiple, 0.1x to 100x, or up to that; or max",
		read: func(n *yaml.Node, path string) {
			if n.Kind == yaml.ScalarNode && n.Value == "max" {
				c.Max = true
				return
			}
			multiple, upTo := strings.CutPrefix(n.Value, "up to ")
			digits, ok := strings.CutSuffix(multiple, "x")
			if n.Kind != yaml.ScalarNode || !ok {
				absolute.read(n, path)
				return
			}
			m, err := strconv.ParseFloat(digits, 64)
			if err != nil || !(m >= 0.1 && m <= 100) {
				d.wrong(n, path, fmt.Sprintf("%q is not a strength", n.Value), "write "+expected)
				return
			}
			c.Strength, c.UpTo = m, upTo
		},
	}
}

func (d *decoder) cpus(to *[]int) reader {
	cpu := -1 // no default for the numbers in the list
	number := d.integer(&cpu, 0, 4095)
	item := reader{schema: number.schema, takes: number.takes, read: func(n *yaml.Node, path string) {
		cpu = -1
		if number.read(n, path); cpu >= 0 {
			*to = append(*to, cpu)
		}
	}}
	list := d.list(func() { *to = nil }, item)
	return reader{
		schema: autoSchema(list.schema), takes: Auto + ", or " + list.takes,
		read: func(n *yaml.Node, path string) {
			switch {
			case n.Kind == yaml.ScalarNode && n.Value == Auto:
				*to = nil
			case n.Kind == yaml.ScalarNode:
				d.wrong(n, path, fmt.Sprintf("%q is neither auto nor a list", n.Value),
					"write auto, or the CPUs in brackets, such as [0, 1]")
			default:
				list.read(n, path)
			}
		},
	}
}

// Auto replaces a list of CPUs: the run chooses them.
const Auto = "auto"

// mostHalfOpen is the largest number of server.retry.
const mostHalfOpen = 1_000_000

// retry reads when the server answers with a Retry.
func (d *decoder) retry(to *string) reader {
	handshakes := -1 // no default
	number := d.integer(&handshakes, 1, mostHalfOpen)
	return reader{
		schema: orWord(RetryAlways, number.schema), takes: RetryAlways + ", or " + number.takes,
		read: func(n *yaml.Node, path string) {
			switch {
			case n.Kind == yaml.ScalarNode && n.Value == RetryAlways:
				*to = RetryAlways
			case n.Kind == yaml.ScalarNode && n.Tag == "!!str":
				d.wrong(n, path, fmt.Sprintf("%q is neither always nor a number", n.Value),
					"write always, or a number of handshakes such as 128, without quotes")
			default:
				handshakes = -1
				if number.read(n, path); handshakes > 0 {
					*to = strconv.Itoa(handshakes)
				}
			}
		},
	}
}

func (d *decoder) variants(to *[]record.Variant) reader {
	var name string
	known := d.choice(&name, record.VariantNames()...)
	before := *to
	item := reader{schema: known.schema, takes: known.takes, read: func(n *yaml.Node, path string) {
		name = ""
		if known.read(n, path); name != "" {
			*to = append(*to, record.Variant(name))
		}
	}}
	return withDefault(d.list(func() { *to = nil }, item), before)
}

// ParseVariants checks names of variants: at least one, each known, and no duplicates.
func ParseVariants(names []string) ([]record.Variant, error) {
	var variants []record.Variant
	for _, name := range names {
		if !slices.Contains(record.VariantNames(), name) {
			return nil, fmt.Errorf("variant %q is unknown; %s", name, nearest(name, record.VariantNames()))
		}
		if slices.Contains(variants, record.Variant(name)) {
			return nil, fmt.Errorf("variant %s is given twice; keep one of them", name)
		}
		variants = append(variants, record.Variant(name))
	}
	if len(variants) == 0 {
		return nil, fmt.Errorf("no variant is given; use some of %s", strings.Join(record.VariantNames(), ", "))
	}
	return variants, nil
}
