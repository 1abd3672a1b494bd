package scenarios

import (
	"cmp"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/equic-bench/equic-bench/record"
)

// cell is one combination of a load with one value for each key of the matrix. Its
// document repeats the rest of the file.
type cell struct {
	load   string
	point  []string // the matrix's values
	server []string // the values that do not belong to a group of clients
	set    []string // the matrix's values, each as key=value
	root   *yaml.Node
	named  string // the server, if the file has several
	// variants are those of the load; nil if it has all of the scenario's.
	variants *yaml.Node
}

// cells splits a file into its cells. Without loads, servers and matrix there is one.
func (d *decoder) cells(root *yaml.Node) []cell {
	if root.Kind != yaml.MappingNode {
		return []cell{{root: root}}
	}
	root = clone(root)
	loads, servers, matrix := d.takeOne(root, "loads"), d.takeOne(root, "servers"), d.takeOne(root, "matrix")
	all := []cell{{root: root}}
	if loads != nil {
		all = d.withLoads(root, loads)
	}
	if servers != nil {
		all = d.withServers(all, servers)
	}
	if matrix != nil {
		for _, axis := range d.axes(matrix, all) {
			all = axis.times(all)
		}
	}
	d.distinctNames(root, all)
	return all
}

// takeOne takes a mapping that the file may have once, with keys that are all different.
func (d *decoder) takeOne(root *yaml.Node, name string) *yaml.Node {
	value := take(root, name)
	for again := take(root, name); again != nil; again = take(root, name) {
		d.wrong(again, name, "is given twice", "keep one of them")
	}
	if value == nil || value.Kind != yaml.MappingNode {
		return value
	}
	seen := map[string]bool{}
	for i := 0; i < len(value.Content); i += 2 {
		key := value.Content[i]
		if seen[key.Value] {
			d.wrong(key, join(name, key.Value), "is given twice", "keep one of them")
		}
		seen[key.Value] = true
	}
	return value
}

// distinctNames reports cells of one name: "a" with "b-c" is like "a-b" with "c".
func (d *decoder) distinctNames(root *yaml.Node, all []cell) {
	if len(d.problems) > 0 {
		return
	}
	seen := map[string]bool{}
	for i := range all {
		name := all[i].name()
		if seen[name] {
			d.wrong(root, "loads, servers and matrix", fmt.Sprintf("make two cells of the name %q", name),
				"rename a load or a server")
		}
		seen[name] = true
	}
}

// withLoads makes a cell of each named load. The load's groups become the clients,
// together with the keys that both groups share.
func (d *decoder) withLoads(root, loads *yaml.Node) []cell {
	if loads.Kind != yaml.MappingNode || len(loads.Content) == 0 {
		d.wrong(loads, "loads", "is not a list of loads", "write a name, and under it the groups sequential and parallel")
		return nil
	}
	if shared := child(root, "clients"); shared != nil {
		for i := 0; i < len(shared.Content); i += 2 {
			if name := shared.Content[i]; isGroup(name.Value) {
				d.problem(positionOf(name), "clients."+name.Value+": the scenario has loads", "move it into one of them")
			}
		}
		for _, group := range groups {
			take(shared, group)
		}
	}
	var all []cell
	for i := 0; i < len(loads.Content); i += 2 {
		name, load := loads.Content[i], loads.Content[i+1]
		if !validLabel.MatchString(name.Value) {
			d.wrong(name, "loads", fmt.Sprintf("%q cannot name a load", name.Value),
				"use at most 20 lower-case letters, digits and hyphens")
			continue
		}
		if load.Kind == yaml.AliasNode {
			load = load.Alias
		}
		load = clone(load) // other loads may be aliases of it
		variants := take(load, "variants")
		all = append(all, cell{load: name.Value, root: withClients(root, load), variants: variants})
	}
	return all
}

var validLabel = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,19}$`)

// withClients returns a copy of the file in which the clients are the groups of a load.
func withClients(root, load *yaml.Node) *yaml.Node {
	root, load = clone(root), clone(load)
	clients := take(root, "clients")
	if clients != nil && clients.Kind == yaml.MappingNode && load.Kind == yaml.MappingNode {
		load.Content = append(load.Content, clients.Content...)
	}
	key := &yaml.Node{Kind: yaml.ScalarNode, Value: "clients", Line: load.Line, Column: load.Column}
	root.Content = append(root.Content, key, load)
	return root
}

// isGroup reports whether a key of clients names a group.
func isGroup(key string) bool { return slices.Contains(groups, key) }

// groups are the keys of the groups of clients.
var groups = []string{"sequential", "parallel", "neighbour"}

// axis is one key of the matrix and its values.
type axis struct {
	key    string
	values []*yaml.Node
}

// path returns the path of the key in a cell of a load; false if the key belongs to another load.
func (a axis) path(load string) (path []string, is bool) {
	path = strings.Split(a.key, ".")
	if path[0] != "loads" {
		return path, true
	}
	return append([]string{"clients"}, path[2:]...), path[1] == load
}

// isLoadKey reports whether a key of the matrix belongs to a group of clients in one of the loads.
func isLoadKey(key string, cells []cell) bool {
	path := strings.Split(key, ".")
	return len(path) > 3 && isGroup(path[2]) && slices.ContainsFunc(cells, func(c cell) bool { return c.load == path[1] })
}

// axes reads the matrix of a file with these loads.
func (d *decoder) axes(matrix *yaml.Node, loads []cell) []axis {
	if matrix.Kind != yaml.MappingNode || len(matrix.Content) == 0 {
		d.wrong(matrix, "matrix", "is not a list of keys", "write lines such as server.key: [rsa-2048, ecdsa-p256]")
		return nil
	}
	var all []axis
	for i := 0; i < len(matrix.Content); i += 2 {
		key, values := matrix.Content[i], matrix.Content[i+1]
		path := join("matrix", key.Value)
		group, _, _ := strings.Cut(key.Value, ".")
		switch {
		case group == "loads" && !isLoadKey(key.Value, loads):
			d.wrong(key, path, "is no key of a load", "write one such as loads.NAME.parallel.rate")
		case !slices.Contains([]string{"server", "clients", "loads", "trial"}, group):
			d.wrong(key, path, "is the same in all cells of a run", "write a key of server, clients, trial or a load")
		case values.Kind != yaml.SequenceNode || len(values.Content) == 0:
			d.wrong(values, path, "is not a list", "write the values in brackets, such as [a, b]")
		default:
			all = append(all, axis{key.Value, d.distinct(values, path)})
		}
	}
	return all
}

// distinct returns the items of a list of single values, and reports duplicates.
func (d *decoder) distinct(values *yaml.Node, path string) []*yaml.Node {
	seen := map[string]bool{}
	for _, v := range values.Content {
		switch {
		case v.Kind != yaml.ScalarNode || label(v.Value) == "":
			d.wrong(v, path, "has a value that is not a single one", "write words or numbers")
		case seen[label(v.Value)]:
			d.wrong(v, path, fmt.Sprintf("%s is given twice", v.Value), "keep one of them")
		}
		seen[label(v.Value)] = true
	}
	return values.Content
}

// times combines each cell with each value. A key of one load leaves the cells of other
// loads as they are.
func (a axis) times(cells []cell) []cell {
	var all []cell
	for _, c := range cells {
		path, is := a.path(c.load)
		if !is {
			all = append(all, c)
			continue
		}
		for _, v := range a.values {
			with := c
			with.root = clone(c.root)
			put(with.root, path, v)
			with.point = append(slices.Clone(c.point), label(v.Value))
			with.set = append(slices.Clone(c.set), a.key+"="+v.Value)
			if path[0] != "clients" || len(path) < 2 || !isGroup(path[1]) {
				with.server = append(slices.Clone(c.server), label(v.Value))
			}
			all = append(all, with)
		}
	}
	return all
}

// notInLabel matches what a part of a file name cannot contain.
var notInLabel = regexp.MustCompile(`[^a-z0-9.]+`)

// label returns a value as a part of a trial's name.
func label(value string) string {
	return strings.Trim(notInLabel.ReplaceAllString(strings.ToLower(value), "-"), "-")
}

// name returns the cell's part of its trials' names; empty if it is the only cell.
func (c *cell) name() string {
	return strings.Trim(c.load+"-"+strings.Join(c.point, "-"), "-")
}

// path returns a key of clients as the file has it: in a load, the key of the load.
func (d *decoder) path(key string) string {
	if d.load == "" {
		return key
	}
	rest, ok := strings.CutPrefix(key, "clients.")
	if group, _, _ := strings.Cut(rest, "."); ok && isGroup(strings.TrimRight(group, "[]0123456789")) {
		return "loads." + d.load + "." + rest
	}
	return key
}

// take removes a key from a mapping and returns its value; nil if it is not there.
func take(mapping *yaml.Node, name string) *yaml.Node {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == name {
			value := mapping.Content[i+1]
			mapping.Content = slices.Delete(mapping.Content, i, i+2)
			if value.Kind == yaml.AliasNode {
				value = value.Alias
			}
			return value
		}
	}
	return nil
}

// clone returns a deep copy of a node; the targets of aliases are shared.
func clone(n *yaml.Node) *yaml.Node {
	c := *n
	c.Content = make([]*yaml.Node, len(n.Content))
	for i := range n.Content {
		c.Content[i] = clone(n.Content[i])
	}
	return &c
}

// Cells returns the scenario's cells: each combination of a load and values of the
// matrix. Each cell is complete, with the scenario's repetitions and arms, and with the
// variants that its load allows. A cell without variants is left out. Without loads and
// matrix, the scenario itself is the only cell.
func (s *Scenario) Cells() []*Scenario {
	if s.cells == nil {
		return []*Scenario{s}
	}
	var all []*Scenario
	for _, c := range s.cells {
		cell := *c
		cell.Variants, cell.Repetitions, cell.Again = c.allowed(s.Variants), s.Repetitions, s.Again
		if len(cell.Variants) > 0 {
			all = append(all, &cell)
		}
	}
	return all
}

// allowed returns those of the variants that the cell's load and server have.
func (s *Scenario) allowed(variants []record.Variant) []record.Variant {
	if s.only == nil {
		return variants
	}
	return slices.DeleteFunc(slices.Clone(variants), func(v record.Variant) bool { return !slices.Contains(s.only, v) })
}

// readVariants reads the variants of a load, which are some of the scenario's.
func (d *decoder) readVariants(n *yaml.Node, s *Scenario) {
	path := "loads." + s.Load + ".variants"
	s.only = []record.Variant{}
	d.read(n, path, d.variants(&s.only))
	for _, v := range s.only {
		if !slices.Contains(s.Variants, v) {
			d.wrong(n, path, string(v)+" is none of the scenario's", "add it to variants")
		}
	}
}

// nowhere is what is wrong with a variant that no cell has.
const nowhere = "does not exist for any load and server of the file"

// checkUsed refuses variants that the file names and no cell has.
func (d *decoder) checkUsed(cells []*Scenario) {
	if _, given := d.keys["variants"]; len(d.problems) > 0 || !given {
		return
	}
	if v := cells[0].unused(cells); v != "" {
		d.problem(d.key("variants"), "variants: "+string(v)+" "+nowhere, "leave it out")
	}
}

// unused returns a variant of the scenario that none of the cells has; empty if there is
// none.
func (s *Scenario) unused(cells []*Scenario) record.Variant {
	for _, v := range s.Variants {
		has := func(c *Scenario) bool { return slices.Contains(c.allowed(s.Variants), v) }
		if !slices.ContainsFunc(cells, has) {
			return v
		}
	}
	return ""
}

// CellNamed returns the cell of that name, or nil.
func (s *Scenario) CellNamed(name string) *Scenario {
	for _, c := range s.Cells() {
		if c.Cell == name {
			return c
		}
	}
	return nil
}

// SetRates computes the rate of each attack that is given as a multiple of the server's
// capacity. For each ServerPoint, it needs the capacity, in requests per second, and
// the largest multiple that the clients can start. Attacks of up to a multiple share what
// the others leave of that.
func (s *Scenario) SetRates(of func(serverPoint string) (capacity, most float64)) {
	for _, c := range append([]*Scenario{s}, s.cells...) {
		if c.NeedsCapacity() {
			c.setRates(of(c.ServerPoint))
		}
	}
}

func (s *Scenario) setRates(capacity, most float64) {
	attacks := []*Clients{&s.Parallel}
	for i := range s.Background {
		attacks = append(attacks, &s.Background[i])
	}
	flexible := func(p *Clients) bool { return p.UpTo && !p.Kind.Flood() }
	left, asked := most, 0.0
	for _, p := range attacks {
		switch {
		case flexible(p):
			asked += p.Strength
		case !p.Kind.Flood():
			left -= p.Strength
		}
	}
	left = max(0, left)
	for _, p := range attacks {
		if p.Strength == 0 || p.Count == 0 {
			continue
		}
		strength := p.Strength
		if flexible(p) && left < asked {
			strength = math.Round(strength/asked*left*1e6) / 1e6
			p.Reached = strength
		}
		p.Rate = strength * capacity / float64(p.Count)
	}
}

// Alone returns the cell as a scenario of its own.
func (s *Scenario) Alone() *Scenario {
	alone := *s
	alone.cells = nil
	return &alone
}

// sortProblems sorts problems by line and removes duplicates: cells repeat the problems
// of the keys that they share.
func sortProblems(all []Problem) []Problem {
	slices.SortStableFunc(all, func(a, b Problem) int {
		return cmp.Or(a.Line-b.Line, a.Column-b.Column, strings.Compare(a.What, b.What))
	})
	return slices.Compact(all)
}
