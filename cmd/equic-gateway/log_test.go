package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/equic-bench/equic-bench/equic"
	"github.com/equic-bench/equic-bench/internal/testkit"
)

func TestTheManualExplainsEveryLineOfTheLog(t *testing.T) {
	manual, err := os.ReadFile(manualFile)
	testkit.Must(t, err)
	messages := append(logMessages(t, "."), logMessages(t, "../../equic/control")...)
	for _, message := range messages {
		if !strings.Contains(string(manual), "`"+message+"`") {
			t.Errorf("the manual does not have %q", message)
		}
	}
	if len(messages) < 10 {
		t.Errorf("%d messages found", len(messages))
	}
}

// logMessages returns the messages that the code of a folder logs.
func logMessages(t *testing.T, folder string) (messages []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	testkit.Must(t, err)
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		testkit.Must(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			if message, ok := logMessage(n); ok {
				messages = append(messages, message)
			}
			return true
		})
	}
	return messages
}

// logMessage returns the message of a call such as log.Info("message").
func logMessage(n ast.Node) (string, bool) {
	call, ok := n.(*ast.CallExpr)
	if !ok || len(call.Args) == 0 {
		return "", false
	}
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || !slices.Contains([]string{"Debug", "Info", "Warn", "Error"}, method.Sel.Name) {
		return "", false
	}
	literal, ok := call.Args[0].(*ast.BasicLit)
	if !ok || literal.Kind != token.STRING {
		return "", false
	}
	message, err := strconv.Unquote(literal.Value)
	return message, err == nil
}

func TestTheManualExplainsEveryReason(t *testing.T) {
	manual, err := os.ReadFile(manualFile)
	testkit.Must(t, err)
	for _, reason := range equic.Reasons() {
		if !strings.Contains(string(manual), "\n| `"+reason+"` | ") {
			t.Errorf("the manual does not explain %s", reason)
		}
	}
}
