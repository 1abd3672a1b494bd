package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"text/template"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/equic-bench/equic-bench/host"
	"github.com/equic-bench/equic-bench/orchestrate"
	"github.com/equic-bench/equic-bench/results"
	"github.com/equic-bench/equic-bench/scenarios"
)

func composeCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:     "compose SCENARIO",
		Short:   "Print a Compose file with the scenario's nodes, for use by hand",
		Example: "  equic-bench compose scenarios/paper.yaml > compose.yaml",
		Args:    arguments(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			s, err := scenarios.Load(args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return composeJSON(c.OutOrStdout(), s)
			}
			return compose(c.OutOrStdout(), s)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print the file as JSON, which Compose reads as well")
	return c
}

// composeJSON writes the Compose file of a scenario as JSON.
func composeJSON(w io.Writer, s *scenarios.Scenario) error {
	var text bytes.Buffer
	if err := compose(&text, s); err != nil {
		return err
	}
	var file map[string]any
	if err := yaml.Unmarshal(text.Bytes(), &file); err != nil {
		return fmt.Errorf("read the Compose file of %s: %w", s.Name, err)
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(file)
}

//go:embed compose.yaml.tmpl
var composeTemplate string

// compose writes the Compose file of a scenario.
func compose(w io.Writer, s *scenarios.Scenario) error {
	functions := template.FuncMap{"cpus": host.FormatCPUs, "size": scenarios.Size}
	t, err := template.New("compose.yaml").Funcs(functions).Parse(composeTemplate)
	if err != nil {
		return fmt.Errorf("read the Compose template: %w", err)
	}
	s = s.Cells()[0]
	if s.Neighbour.Count > 0 || len(s.Background) > 0 || s.Server.Foreign() {
		return &scenarios.Error{Problems: []scenarios.Problem{{
			File: s.Path, What: "a Compose file has our server, no neighbours, and one group of attackers",
			Remedy: "use `equic-bench run`, or another scenario",
		}}}
	}
	if s.Network.Family.Has6() || s.Parallel.Addresses > 1 {
		return &scenarios.Error{Problems: []scenarios.Problem{{
			File: s.Path, What: "a Compose file has IPv4 only, and one address for each client",
			Remedy: "use `equic-bench run --runtime netns`, or network.family: ipv4 without addresses",
		}}}
	}
	if s.Server.Retry != "" {
		return &scenarios.Error{Problems: []scenarios.Problem{{
			File: s.Path, What: "a Compose file has no server.retry: its variant comes from the environment",
			Remedy: "use `equic-bench run`, or a scenario without it",
		}}}
	}
	nodes := orchestrate.NodeSpecs(s, composeVariant, "/")
	if s.Parallel.Strength > 0 { // the capacity is not measured here
		for _, n := range nodes {
			if i := slices.Index(n.Command, "--rate"); n.Role == results.RoleParallel && i >= 0 {
				n.Command[i+1] = composeRate
			}
		}
	}
	if err := t.Execute(w, composeFile{s, nodes[0], nodes[1:]}); err != nil {
		return fmt.Errorf("write the Compose file of %s: %w", s.Name, err)
	}
	return nil
}

// composeVariant takes the variant from the environment.
const composeVariant = "${EQUIC_VARIANT:-xdp-block}"

// composeRate takes the rate of an attack from the environment, if the scenario gives
// it as a multiple of the server's capacity. The default, with four attackers, is twice
// the rate that the server with RSA-4096 serves on one CPU of the project's development
// machine.
const composeRate = "${EQUIC_ATTACK_RATE:-70}"

// composeFile is the data for the template.
type composeFile struct {
	*scenarios.Scenario
	ServerNode orchestrate.NodeSpec
	Clients    []orchestrate.NodeSpec
}
