package claims

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/report/analysis"
)

// File contains the claims of one paper (docs/extending.md, The claims of a paper).
type File struct {
	Paper  string       `yaml:"paper"`
	Claims []definition `yaml:"claims"`

	text []byte
}

// definition is a claim as the paper makes it. It is judged once for each pair of a
// variant in With and one in Against.
type definition struct {
	ID         string           `yaml:"id"`
	Place      string           `yaml:"place"`
	Published  string           `yaml:"published"`
	English    string           `yaml:"english"`
	Experiment string           `yaml:"experiment"`
	Metric     string           `yaml:"metric"`
	Otherwise  string           `yaml:"otherwise"` // the metric to judge if the change of Metric has no size
	With       names            `yaml:"with"`
	Against    names            `yaml:"against"`
	Direction  analysis.Verdict `yaml:"direction"`
	Value      *analysis.Number `yaml:"value"`
	Unit       string           `yaml:"unit"`
	Tolerance  analysis.Number  `yaml:"tolerance"`
	Needs      []string         `yaml:"needs"`
	Instrument string           `yaml:"instrument"` // the metric that measures in the paper's way
	Note       string           `yaml:"note"`
}

// names is one name or a list of them.
type names []string

func (n *names) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		*n = names{node.Value}
		return nil
	}
	return node.Decode((*[]string)(n))
}

// The experiments of the paper, by their loads.
const (
	mixed    = "mixed"
	parallel = "parallel"
)

// embedded contains the files of claims that are part of the program.
//
//go:embed *.yaml
var embedded embed.FS

// EQUIC returns the claims of the paper eQUIC Gateway.
func EQUIC() *File {
	f, err := Load("equic")
	if err != nil {
		panic(err) // it is part of the program, and a test parses it
	}
	return f
}

// Load reads claims: an embedded file by its name, equic or anchors, otherwise the file
// at the path.
func Load(path string) (*File, error) {
	if text, err := embedded.ReadFile(path + ".yaml"); err == nil {
		return Parse(path+".yaml", text)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read claims: %w", err)
	}
	return Parse(path, text)
}

// Text returns the file as it was read.
func (f *File) Text() []byte { return f.text }

// Parse reads claims strictly. The error has a line for each fault, with file and line.
func Parse(name string, text []byte) (*File, error) {
	f := &File{text: text}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(f); err != nil {
		return nil, addFileName(name, err)
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: there is more than one document", name)
	}
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		return nil, addFileName(name, err)
	}
	return f, f.check(name, linesOf(&root))
}

// addFileName adds the name of the file before each line number of a yaml error.
func addFileName(name string, err error) error {
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%s:1: the file is empty", name)
	}
	faults := []string{strings.TrimPrefix(err.Error(), "yaml: ")}
	if of := new(yaml.TypeError); errors.As(err, &of) {
		faults = of.Errors
	}
	numbered := regexp.MustCompile(`^line (\d+): `)
	typed := regexp.MustCompile(`field (\S+) not found in type \S+`)
	for i, fault := range faults {
		if !numbered.MatchString(fault) {
			fault = "line 1: " + fault
		}
		fault = numbered.ReplaceAllLiteralString(fault, name+":"+numbered.FindStringSubmatch(fault)[1]+": ")
		faults[i] = typed.ReplaceAllString(fault, "key $1 is unknown")
	}
	return errors.New(strings.Join(faults, "\n"))
}

// linesOf returns the line of each claim.
func linesOf(root *yaml.Node) []int {
	var lines []int
	top := root.Content[0]
	for i := 0; i+1 < len(top.Content); i += 2 {
		if top.Content[i].Value == "claims" {
			for _, claim := range top.Content[i+1].Content {
				lines = append(lines, claim.Line)
			}
		}
	}
	return lines
}

func (f *File) check(name string, lines []int) error {
	var faults []error
	wrong := func(line int, format string, args ...any) {
		faults = append(faults, fmt.Errorf("%s:%d: "+format, append([]any{name, line}, args...)...))
	}
	if f.Paper == "" {
		wrong(1, "key paper is missing")
	}
	if len(f.Claims) == 0 {
		wrong(1, "there are no claims")
	}
	seen := map[string]bool{}
	for i := range f.Claims {
		d := &f.Claims[i]
		for _, fault := range d.faults() {
			wrong(lines[i], "claim %q: %s", d.ID, fault)
		}
		if seen[d.ID] {
			wrong(lines[i], "claim %q is there twice", d.ID)
		}
		seen[d.ID] = true
	}
	return errors.Join(faults...)
}

// faults returns the faults of a claim, each as a clause.
func (d *definition) faults() []string {
	var all []string
	wrong := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	texts := [][2]string{
		{"id", d.ID}, {"place", d.Place}, {"published", d.Published}, {"english", d.English}, {"note", d.Note},
	}
	for _, text := range texts {
		if text[1] == "" {
			wrong("key %s is missing", text[0])
		}
	}
	if d.Experiment != mixed && d.Experiment != parallel {
		wrong("experiment is %q, use %s or %s", d.Experiment, mixed, parallel)
	}
	if d.Direction != analysis.More && d.Direction != analysis.Less {
		wrong("direction is %q, use %s or %s", d.Direction, analysis.More, analysis.Less)
	}
	if len(d.With) == 0 || len(d.Against) == 0 {
		wrong("with and against need a variant each")
	}
	for _, variant := range slices.Concat(d.With, d.Against) {
		if _, err := record.ParseVariant(variant); err != nil {
			wrong("%v", err)
		}
	}
	for _, need := range d.Needs {
		if premises[need] == nil {
			wrong("needs: %q is unknown, use %s", need, strings.Join(premiseNames(), ", "))
		}
	}
	return append(all, d.wrongMetrics()...)
}

// wrongMetrics returns the faults of the metrics of a claim and its value.
func (d *definition) wrongMetrics() []string {
	var all []string
	for _, id := range []string{d.Metric, d.Otherwise, d.Instrument} {
		if analysis.FindMetric(id) == nil && (id != "" || d.Metric == "") {
			return append(all, fmt.Sprintf("metric %q is unknown (docs/extending.md)", id))
		}
	}
	if own := analysis.FindMetric(d.Metric).Unit; d.Unit != analysis.PercentChange && d.Unit != own {
		all = append(all, fmt.Sprintf("unit is %q, use %q or, for the figure itself, %q",
			d.Unit, analysis.PercentChange, own))
	}
	if d.Value == nil {
		return all
	}
	if d.Unit == analysis.PercentChange && (*d.Value > 0) != (d.Direction == analysis.More) {
		all = append(all, fmt.Sprintf("a change of %s is not in the direction %q", d.Value.Percent(), d.Direction))
	}
	return all
}
