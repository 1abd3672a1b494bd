package main

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/equic-bench/equic-bench/report/claims"
	"github.com/equic-bench/equic-bench/scenarios"
)

// documents returns the texts that users read, by their paths from the root of the
// repository, which becomes the working directory.
func documents(t *testing.T) map[string]string {
	t.Helper()
	t.Chdir(filepath.Join("..", ".."))
	paths, err := filepath.Glob("docs/*.md")
	parts, failed := filepath.Glob("docs/method/*.md")
	if err != nil || failed != nil || len(paths) < 5 || len(parts) < 3 {
		t.Fatalf("documents %v and %v, %v", paths, parts, errors.Join(err, failed))
	}
	all := map[string]string{}
	for _, path := range slices.Concat(paths, parts, []string{"README.md", "CONTRIBUTING.md", "equic/README.md", referenceNotes}) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all[path] = string(text)
	}
	return all
}

// block is a code block of a document: fenced, with its language, or indented.
type block struct{ language, text string }

var indented = regexp.MustCompile(`(?m)^(?:    .*\n)+`)

// blocks returns the code blocks of a document, in order, and the rest of the document
// without them.
func blocks(text string) (all []block, rest string) {
	at := map[int]block{}
	mask := []byte(text) // as long as the text, with the blocks blanked out
	take := func(language string, m []int) {
		at[m[0]] = block{language, text[m[len(m)-2]:m[len(m)-1]]}
		for i := m[0]; i < m[1]; i++ {
			if mask[i] != '\n' {
				mask[i] = '.'
			}
		}
	}
	for _, m := range regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$").FindAllStringSubmatchIndex(text, -1) {
		take(text[m[2]:m[3]], m)
	}
	for _, m := range indented.FindAllIndex(mask, -1) {
		take("indented", m)
	}
	for _, start := range slices.Sorted(maps.Keys(at)) {
		all = append(all, at[start])
	}
	return all, string(mask)
}

// programs matches the first words that make a line of an indented block a command;
// such blocks also contain output of programs, and protocols.
var programs = regexp.MustCompile(`^(?:[A-Z_]+=\S+ )*(?:\w+=\$\()?(make|go|git|docker|bpftool|nsenter|tar|sha256sum|(?:bin/)?equic-\w+) `)

// commands returns the commands of a block, without prompts and comments.
func commands(b block) []string {
	var all []string
	for line := range strings.Lines(strings.ReplaceAll(b.text, "\\\n", "")) {
		line = strings.TrimSpace(line)
		switch b.language {
		case "console":
			prompted, ok := strings.CutPrefix(line, "$ ")
			if line = prompted; !ok {
				continue
			}
		case "indented":
			if !programs.MatchString(line + " ") {
				continue
			}
		case "sh":
		default:
			continue
		}
		command, _, _ := strings.Cut(line, "  #")
		if command = strings.TrimSpace(command); command != "" && !strings.HasPrefix(command, "#") {
			all = append(all, command)
		}
	}
	return all
}

// elsewhere returns the commands that no test of the documents executes, with the place
// that does, or the reason. A command ends at a space or at the end of the line.
func elsewhere() map[string]string {
	const (
		trials = "whole trials: trials_test.go and .ci/run"
		engine = "an engine: compose_test.go reads the file with docker-compose"
		own    = "servers_test.go"
		root   = "a running server of xdp-block, and root"
	)
	return map[string]string{
		"make": "targets are looked up in the Makefile; .ci/run makes build, generate, " +
			"lint and test",
		"bin/equic-bench run":                   trials,
		"equic-bench run":                       trials,
		"bin/equic-bench report":                "a run: trials_test.go, and report's own tests on synthetic ones",
		"equic-bench report":                    "a run: trials_test.go, and report's own tests on synthetic ones",
		"docker swarm init":                     "a swarm: faults_swarm_test.go makes one",
		"docker node update":                    "a swarm: faults_swarm_test.go makes one",
		"docker save":                           "a swarm: faults_swarm_test.go makes one",
		"docker load":                           "a swarm: faults_swarm_test.go makes one",
		"bin/equic-bench verify":                "the reference run: reference_test.go",
		"bin/equic-bench clean":                 "it removes things: faults_docker_test.go and clean_test.go",
		"docker compose -f compose.yaml":        engine,
		"pid=$(docker inspect":                  root,
		"nsenter -t $pid -n bpftool net":        root,
		"bpftool map dump name clients":         root,
		"bpftool map update pinned DIR/clients": "equic/control/manual_test.go and cmd/equic-gateway/pins_test.go",
		"bpftool map dump pinned DIR/clients":   "cmd/equic-gateway/pins_test.go",
		"equic-gateway --interface":             "cmd/equic-gateway's tests",
		"bin/equic-server":                      own,
		"bin/equic-client":                      own,
		"kill %1":                               "the shell's own",
		"go test":                               "tests run themselves",
		"git clone":                             "the network",
		"sha256sum -c":                          "a run or a release: results' tests, .ci/release-check",
		"tar -xzf":                              "a release: .ci/release-check",
		"zstd -dc":                              "not ours: results/pack_test.go reads packed records",
	}
}

func TestEveryCommandInTheDocumentsIsExecutedSomewhere(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join("..", "..", "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	seen, executed := 0, 0
	for path, text := range documents(t) {
		if path == "docs/architecture.md" {
			continue // its synopsis has its own test
		}
		all, _ := blocks(text)
		for _, b := range all {
			for _, command := range commands(b) {
				seen++
				checkMake(t, path, command, string(makefile))
				if execute(t, path, command) {
					executed++
				} else if !known(command) {
					t.Errorf("%s: `%s` is executed by no test: say in elsewhere() where it is, or why not", path, command)
				}
			}
		}
	}
	if seen < 15 || executed < 5 {
		t.Errorf("%d commands found, %d executed: the documents are not read as they are written", seen, executed)
	}
}

func known(command string) bool {
	for prefix := range elsewhere() {
		if strings.HasPrefix(command+" ", prefix+" ") || strings.HasPrefix(command, prefix+"=") {
			return true
		}
	}
	return false
}

func checkMake(t *testing.T, path, command, makefile string) {
	t.Helper()
	words := strings.Fields(command)
	if words[0] == "make" && len(words) > 1 && !strings.Contains(makefile, "\n"+words[1]+":") {
		t.Errorf("%s: `%s`: the Makefile has no such target", path, command)
	}
}

// execute runs a command of ours that is cheap and changes nothing, and reports whether
// it did. For other commands it only checks the arguments.
func execute(t *testing.T, path, command string) bool {
	t.Helper()
	args := ourArguments(command)
	if args == nil {
		return false
	}
	checkArguments(t, path, command, args)
	cheap := []string{"validate", "schema", "compose", "version", "completion", "doctor", "help"}
	if len(args) == 0 || !slices.Contains(cheap, args[0]) && !slices.Contains(args, "--dry-run") {
		return false
	}
	var out, log bytes.Buffer
	code := run(t.Context(), nil, args, &out, &log)
	machine := args[0] == "doctor" && code == exitMachine // depends on this machine
	if code != exitFine && !machine || out.Len() == 0 {
		t.Errorf("%s: `%s`: exit code %d\n%s%s", path, command, code, &out, &log)
	}
	return true
}

// ourArguments returns the arguments of an equic-bench command, without redirection and
// with a scenario in place of its placeholder; nil for other programs.
func ourArguments(command string) []string {
	command, _, _ = strings.Cut(command, " >")
	command, _, _ = strings.Cut(command, " |")
	words := strings.Fields(command)
	if strings.TrimPrefix(words[0], "bin/") != "equic-bench" {
		return nil
	}
	for i, w := range words {
		if w == "SCENARIO" || w == "FILE" {
			words[i] = "scenarios/quick.yaml"
		}
	}
	return words[1:]
}

// checkArguments fails unless the command line accepts the arguments.
func checkArguments(t *testing.T, path, command string, args []string) {
	t.Helper()
	root := rootCommand(nil)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd(args...)
	c, rest, err := root.Find(args)
	if err == nil {
		err = c.ParseFlags(rest)
	}
	if err == nil && c.Args != nil {
		err = c.Args(c, c.Flags().Args())
	}
	if err != nil {
		t.Errorf("%s: `%s`: %v", path, command, err)
	}
}

func TestEveryCommandThatTheProseMentionsExists(t *testing.T) {
	span := regexp.MustCompile("`((?:bin/)?(?:equic-bench|make) [^`]+)`")
	makefile, err := os.ReadFile(filepath.Join("..", "..", "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for path, text := range documents(t) {
		_, prose := blocks(text)
		for _, m := range span.FindAllStringSubmatch(prose, -1) {
			seen++
			checkMake(t, path, m[1], string(makefile))
			if args := ourArguments(m[1]); args != nil {
				checkArguments(t, path, m[1], args)
			}
		}
	}
	if seen < 10 {
		t.Errorf("%d commands found", seen)
	}
}

func TestTheSynopsisNamesCommandsAndFlagsThatExist(t *testing.T) {
	text := documents(t)["docs/architecture.md"]
	flags := map[string]bool{}
	names := map[string]bool{"completion": true}
	for _, c := range rootCommand(nil).Commands() {
		names[c.Name()] = true
		for word := range strings.FieldsSeq(c.LocalFlags().FlagUsages()) {
			flags[strings.TrimSuffix(word, ",")] = true
		}
	}
	all, _ := blocks(text)
	seen := 0
	for _, b := range all {
		for _, m := range regexp.MustCompile(`(?m)^    equic-bench (\w+)|(--[a-z-]+)`).FindAllStringSubmatch(b.text, -1) {
			seen++
			switch name, flag := m[1], m[2]; {
			case name != "" && !names[name]:
				t.Errorf("there is no command %s", name)
			case flag != "" && !flags[flag]:
				t.Errorf("no command has the flag %s", flag)
			}
		}
	}
	if seen < 10 {
		t.Errorf("%d commands and flags found", seen)
	}
}

func TestTheScenariosAndClaimsInTheDocumentsAreValid(t *testing.T) {
	seen := 0
	for path, text := range documents(t) {
		all, _ := blocks(text)
		for _, b := range all {
			if b.language == "yaml" {
				seen++
				_, err := scenarios.Parse(path, []byte(b.text))
				if strings.HasPrefix(b.text, "paper: ") {
					_, err = claims.Parse(path, []byte(b.text))
				}
				if err != nil {
					t.Error(err)
				}
			}
		}
	}
	if seen < 3 {
		t.Errorf("%d scenarios and files of claims found", seen)
	}
}
