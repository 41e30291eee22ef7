package badinput_test

import (
	"errors"
	"io/fs"
	"regexp"
	"strings"
	"testing"
	"text/template/parse"

	"wukong.io/wukong/charts"
	"wukong.io/wukong/pkg/fleet"
)

// sentence is the least length of a text in a template that is a message, and
// not a field's name or a unit.
const sentence = 20

// TestEveryMessageHasACase fails when the templates get a message that no file
// of testdata draws out of them.
func TestEveryMessageHasACase(t *testing.T) {
	renderer, err := fleet.New()
	if err != nil {
		t.Fatal(err)
	}
	messages := messagesOf(t)
	if len(messages) < 60 {
		t.Fatalf("found %d messages in the templates, too few", len(messages))
	}
	for _, bad := range loadFleets(t) {
		values, err := fleet.ParseValues(bad.content)
		if err != nil {
			continue
		}
		err = renderer.Validate(t.Context(), fleet.Fleet{Namespace: "prod", Name: bad.release, Values: values})
		var list fleet.ErrorList
		if !errors.As(err, &list) {
			continue
		}
		for _, e := range list {
			for message, pattern := range messages {
				if pattern.MatchString(e.Message) {
					delete(messages, message)
				}
			}
		}
	}
	for message := range messages {
		t.Errorf("no file of testdata draws out %q", message)
	}
}

// messagesOf finds the messages that the templates give to wukong.error, and a
// pattern for what each becomes.
func messagesOf(t *testing.T) map[string]*regexp.Regexp {
	t.Helper()
	messages := map[string]*regexp.Regexp{}
	err := fs.WalkDir(charts.FS, "vm-library", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".tpl") {
			return err
		}
		content, err := fs.ReadFile(charts.FS, path)
		if err != nil {
			return err
		}
		tree := parse.New(path)
		tree.Mode = parse.SkipFuncCheck
		trees := map[string]*parse.Tree{}
		if _, err := tree.Parse(string(content), "", "", trees); err != nil {
			return err
		}
		for _, tree := range trees {
			for _, call := range callsOfError(tree.Root) {
				for _, text := range sentences(call) {
					messages[text] = patternOf(text)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return messages
}

// callsOfError finds what is included as wukong.error: the list with the path
// and the message.
func callsOfError(node parse.Node) []parse.Node {
	var calls []parse.Node
	visit(node, func(n parse.Node) {
		command, ok := n.(*parse.CommandNode)
		if !ok || len(command.Args) != 3 || command.Args[0].String() != "include" || command.Args[1].String() != `"wukong.error"` {
			return
		}
		calls = append(calls, command.Args[2])
	})
	return calls
}

// sentences gives the texts in a call that are messages.
func sentences(node parse.Node) []string {
	var found []string
	visit(node, func(n parse.Node) {
		if text, ok := n.(*parse.StringNode); ok && len(text.Text) >= sentence && strings.Contains(text.Text, " ") {
			found = append(found, text.Text)
		}
	})
	return found
}

// visit calls a function for every node of a template.
func visit(node parse.Node, do func(parse.Node)) {
	do(node)
	switch n := node.(type) {
	case *parse.ListNode:
		if n == nil {
			return
		}
		for _, inner := range n.Nodes {
			visit(inner, do)
		}
	case *parse.ActionNode:
		visit(n.Pipe, do)
	case *parse.IfNode:
		visitBranch(&n.BranchNode, do)
	case *parse.RangeNode:
		visitBranch(&n.BranchNode, do)
	case *parse.WithNode:
		visitBranch(&n.BranchNode, do)
	case *parse.PipeNode:
		for _, command := range n.Cmds {
			visit(command, do)
		}
	case *parse.CommandNode:
		for _, argument := range n.Args {
			visit(argument, do)
		}
	}
}

func visitBranch(branch *parse.BranchNode, do func(parse.Node)) {
	visit(branch.Pipe, do)
	visit(branch.List, do)
	if branch.ElseList != nil {
		visit(branch.ElseList, do)
	}
}

//nolint:gochecknoglobals // compiled once
var verb = regexp.MustCompile(`%[a-z]`)

// patternOf gives a pattern for what a format becomes.
func patternOf(format string) *regexp.Regexp {
	parts := verb.Split(format, -1)
	for i, part := range parts {
		parts[i] = regexp.QuoteMeta(part)
	}
	return regexp.MustCompile("^" + strings.Join(parts, "(?s:.*)") + "$")
}
