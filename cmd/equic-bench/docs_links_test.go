package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestEveryLinkBetweenTheDocumentsHasATarget(t *testing.T) {
	texts := documents(t)
	seen := 0
	for path, text := range texts {
		_, prose := blocks(text)
		for _, m := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(prose, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			seen++
			file, anchor, _ := strings.Cut(m[1], "#")
			target := path
			if file != "" {
				target = filepath.Join(filepath.Dir(path), file)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: %v", path, err)
			} else if anchor != "" && !slices.Contains(anchors(texts[target]), anchor) {
				t.Errorf("%s: %s has no heading for #%s", path, target, anchor)
			}
		}
	}
	if seen < 50 {
		t.Errorf("%d links found", seen)
	}
}

// anchors returns the anchors of the headings of a document, as GitHub makes them.
func anchors(text string) (all []string) {
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		name := regexp.MustCompile(`[^\p{L}\p{N}_ -]`).ReplaceAllString(strings.ToLower(m[1]), "")
		all = append(all, strings.ReplaceAll(name, " ", "-"))
	}
	return all
}

func TestTheIndexOfTheMethodHasEachSection(t *testing.T) {
	texts := documents(t)
	seen := 0
	for path, text := range texts {
		if filepath.Dir(path) != "docs/method" {
			continue
		}
		for _, m := range regexp.MustCompile(`(?m)^## (.*)$`).FindAllStringSubmatch(text, -1) {
			seen++
			file := filepath.Base(path) + "#" + anchors(m[0])[0]
			if link := "[" + m[1] + "](method/" + file + ")"; !strings.Contains(texts["docs/method.md"], link) {
				t.Errorf("docs/method.md does not have %s", link)
			}
		}
	}
	if seen < 20 {
		t.Errorf("%d sections found", seen)
	}
}
