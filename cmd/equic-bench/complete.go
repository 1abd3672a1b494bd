package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/equic-bench/equic-bench/record"
)

// completions gives commands what a shell can complete: scenario files, runs, and the
// values of some flags.
func completions(root *cobra.Command) {
	for _, c := range root.Commands() {
		switch c.Name() {
		case "run", "validate", "compose", "doctor":
			c.ValidArgsFunction = completeScenarios
		case "report", "verify", "pack", "compare":
			c.ValidArgsFunction = completeRuns
		}
		for name, complete := range map[string]cobra.CompletionFunc{
			"resume": completeRuns, "variants": completeVariants,
			"runtime": cobra.FixedCompletions(runtimeNames(), cobra.ShellCompDirectiveNoFileComp),
		} {
			if c.Flags().Lookup(name) != nil {
				_ = c.RegisterFlagCompletionFunc(name, complete) // the flag exists, and has none yet
			}
		}
	}
}

func completeScenarios(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return []string{"yaml"}, cobra.ShellCompDirectiveFilterFileExt
}

// completeRuns completes the runs in the default folder. If none of them matches, it completes folders.
func completeRuns(_ *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
	runs, err := listRuns(defaultResults)
	if err != nil {
		return nil, cobra.ShellCompDirectiveFilterDirs
	}
	var names []string
	for _, r := range runs {
		if strings.HasPrefix(r.Run, word) {
			names = append(names, r.Run)
		}
	}
	if len(names) == 0 {
		return nil, cobra.ShellCompDirectiveFilterDirs
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeVariants completes the last name of a list.
func completeVariants(_ *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
	before := word[:strings.LastIndex(word, ",")+1]
	var names []string
	for _, v := range record.VariantNames() {
		names = append(names, before+v)
	}
	return names, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}
