// Package badinput_test holds fleet files with mistakes, and what must be said
// about them: by pkg/fleet, and by stock helm on the chart.
package badinput_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"wukong.io/wukong/pkg/fleet"
)

// badFleet is a file of testdata. It begins with a comment:
//
//	# want: <path of the value>: <part of the message>
//	# release: <name of the fleet>
//	# only: fleet
//
// A part may list several words with | between them, of which one must appear.
// A path of * stands for a mistake that has none, such as broken YAML. Every
// want must be met by one mistake, and every mistake must be wanted. A file
// without wants is good, and shows that the ones beside it differ from a good
// one by their mistake alone. With "only" the rule is one that stock helm
// cannot know.
type badFleet struct {
	name    string
	release string
	only    string
	wants   []want
	content []byte
}

type want struct {
	path  string
	words []string
}

// mistake is what one of the programs said.
type mistake struct {
	path    string
	message string
}

func (m mistake) String() string {
	return m.path + ": " + m.message
}

func loadFleets(t *testing.T) []badFleet {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	fleets := make([]badFleet, 0, len(files))
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		bad, err := parseFleet(strings.TrimSuffix(filepath.Base(file), ".yaml"), content)
		if err != nil {
			t.Fatal(err)
		}
		fleets = append(fleets, bad)
	}
	return fleets
}

func parseFleet(name string, content []byte) (badFleet, error) {
	bad := badFleet{name: name, release: "shop", content: content}
	for line := range bytes.Lines(content) {
		header, ok := strings.CutPrefix(strings.TrimSpace(string(line)), "# ")
		if !ok {
			break
		}
		key, value, _ := strings.Cut(header, ": ")
		switch key {
		case "want":
			path, words, ok := strings.Cut(value, ": ")
			if !ok {
				return badFleet{}, fmt.Errorf("%s: a want must be <path>: <part of the message>, found %q", name, value)
			}
			bad.wants = append(bad.wants, want{path: path, words: strings.Split(words, "|")})
		case "release":
			bad.release = value
		case "only":
			bad.only = value
		default:
			return badFleet{}, fmt.Errorf("%s: found the header %q, must be want, release or only", name, key)
		}
	}
	return bad, nil
}

func (b badFleet) good() bool {
	return strings.HasPrefix(b.name, "valid-")
}

// check compares what was said with what must be said.
func (b badFleet) check(t *testing.T, said []mistake) {
	t.Helper()
	if len(said) == 0 {
		t.Fatalf("the fleet was accepted, want %v", b.wants)
	}
	for _, w := range b.wants {
		if !anyMatches(said, w) {
			t.Errorf("want %s with one of %q, but it said:\n%s", w.path, w.words, lines(said))
		}
	}
	for _, m := range said {
		if !b.wanted(m) {
			t.Errorf("unwanted: %s", m)
		}
	}
}

func (b badFleet) wanted(m mistake) bool {
	for _, w := range b.wants {
		if w.path == "*" || near(m, w.path) {
			return true
		}
	}
	return false
}

func anyMatches(said []mistake, w want) bool {
	for _, m := range said {
		if (w.path == "*" || near(m, w.path)) && containsAny(m.String(), w.words) {
			return true
		}
	}
	return false
}

func containsAny(text string, words []string) bool {
	for _, word := range words {
		if strings.Contains(strings.ToLower(text), strings.ToLower(word)) {
			return true
		}
	}
	return false
}

// near says whether a mistake is about the value at a path: it names the path,
// a value inside it, or the map around it together with the key.
func near(m mistake, path string) bool {
	got, want := plainPath(m.path), plainPath(path)
	if got == want || strings.HasPrefix(got, want+".") {
		return true
	}
	parent, key := "", want
	if i := strings.LastIndexByte(want, '.'); i >= 0 {
		parent, key = want[:i], want[i+1:]
	}
	return got == parent && strings.Contains(m.message, key)
}

//nolint:gochecknoglobals // compiled once
var separators = regexp.MustCompile(`[./\[\]"]+`)

// plainPath writes a dotted path and a JSON pointer in the same way.
func plainPath(path string) string {
	path = strings.TrimSuffix(path, " (a key)")
	path = strings.ReplaceAll(strings.ReplaceAll(path, "~1", "/"), "~0", "~")
	return strings.Trim(separators.ReplaceAllString(path, "."), ".")
}

func lines(said []mistake) string {
	var b strings.Builder
	for _, m := range said {
		fmt.Fprintf(&b, "  %s\n", m)
	}
	return b.String()
}

// fromList turns an ErrorList into mistakes.
func fromList(list fleet.ErrorList) []mistake {
	said := make([]mistake, len(list))
	for i, e := range list {
		said[i] = mistake{path: e.Path, message: e.Message}
	}
	return said
}

//nolint:gochecknoglobals // compiled once
var schemaLine = regexp.MustCompile(`^- at '([^']*)': (.*)$`)

// fromHelm reads the mistakes out of what helm prints: those of the schema
// have a JSON pointer, those of the templates a path. What is no list is one
// mistake without a path.
func fromHelm(stderr string) []mistake {
	var said []mistake
	for line := range strings.Lines(stderr) {
		line = strings.TrimSpace(line)
		if match := schemaLine.FindStringSubmatch(line); match != nil {
			if match[2] == "validation failed" { // a heading over deeper ones
				continue
			}
			said = append(said, mistake{path: match[1], message: match[2]})
			continue
		}
		item, ok := strings.CutPrefix(line, "- ")
		if !ok {
			continue
		}
		path, message, ok := strings.Cut(item, ": ")
		if !ok {
			path, message = "", item
		}
		said = append(said, mistake{path: path, message: message})
	}
	if len(said) == 0 {
		return []mistake{{message: strings.TrimSpace(stderr)}}
	}
	return said
}
