package fleet_test

import (
	"io/fs"
	"slices"
	"strings"
	"testing"
	"text/template/parse"

	"wukong.io/wukong/charts"
)

// impure are the functions of Helm and Sprig whose result depends on anything
// but their arguments, and those that run a value as a template.
//
//nolint:gochecknoglobals // a constant
var impure = []string{
	"lookup", "tpl", "env", "expandenv", "getHostByName",
	"now", "ago", "date", "dateInZone", "date_in_zone", "dateModify", "date_modify", "htmlDate", "htmlDateInZone", "unixEpoch", "mustDateModify",
	"randAlpha", "randAlphaNum", "randAscii", "randNumeric", "randBytes", "randInt", "shuffle", "uuidv4",
	"genPrivateKey", "genCA", "genCAWithKey", "genSelfSignedCert", "genSelfSignedCertWithKey", "genSignedCert", "genSignedCertWithKey",
	"htpasswd", "bcrypt", "encryptAES", "derivePassword", "buildCustomCert",
}

// unordered are functions whose result has no order: it must be sorted at once.
//
//nolint:gochecknoglobals // a constant
var unordered = []string{"keys", "values"}

// TestChartsAreHermetic is E3 for the templates: it walks what they parse to.
func TestChartsAreHermetic(t *testing.T) {
	files := 0
	err := fs.WalkDir(charts.FS, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.Contains(path, "/templates/") {
			return err
		}
		content, err := fs.ReadFile(charts.FS, path)
		if err != nil {
			return err
		}
		files++
		for name, tree := range parseTemplates(t, path, string(content)) {
			checkTree(t, path+" "+name, tree)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 10 {
		t.Errorf("found %d templates, too few to be the charts", files)
	}
}

func parseTemplates(t *testing.T, path, content string) map[string]*parse.Tree {
	t.Helper()
	tree := parse.New(path)
	tree.Mode = parse.SkipFuncCheck
	trees := map[string]*parse.Tree{}
	if _, err := tree.Parse(content, "", "", trees); err != nil {
		t.Fatal(err)
	}
	return trees
}

// checkTree looks at every pipeline of a template.
func checkTree(t *testing.T, where string, tree *parse.Tree) {
	t.Helper()
	walk(tree.Root, func(node parse.Node, within []string) {
		identifier, ok := node.(*parse.IdentifierNode)
		if !ok {
			return
		}
		if slices.Contains(impure, identifier.Ident) {
			t.Errorf("%s uses %s: the same values must always give the same objects", where, identifier.Ident)
		}
		if slices.Contains(unordered, identifier.Ident) && !slices.Contains(within, "sortAlpha") && !slices.Contains(within, "len") {
			t.Errorf("%s uses %s without sortAlpha: its order is another at every run", where, identifier.Ident)
		}
	})
}

// walk visits a tree; within are the functions of the pipelines around a node.
func walk(root parse.Node, visit func(node parse.Node, within []string)) {
	var into func(node parse.Node, within []string)
	list := func(nodes *parse.ListNode, within []string) {
		if nodes == nil {
			return
		}
		for _, node := range nodes.Nodes {
			into(node, within)
		}
	}
	branch := func(b *parse.BranchNode) {
		into(b.Pipe, nil)
		list(b.List, nil)
		list(b.ElseList, nil)
	}
	into = func(node parse.Node, within []string) {
		visit(node, within)
		switch n := node.(type) {
		case *parse.ListNode:
			list(n, within)
		case *parse.ActionNode:
			into(n.Pipe, within)
		case *parse.IfNode:
			branch(&n.BranchNode)
		case *parse.RangeNode:
			branch(&n.BranchNode)
		case *parse.WithNode:
			branch(&n.BranchNode)
		case *parse.TemplateNode:
			if n.Pipe != nil {
				into(n.Pipe, within)
			}
		case *parse.PipeNode:
			for _, command := range n.Cmds {
				into(command, append(slices.Clip(within), functions(n)...))
			}
		case *parse.CommandNode:
			for _, argument := range n.Args {
				into(argument, within)
			}
		}
	}
	into(root, nil)
}

// functions gives the functions that a pipeline calls.
func functions(pipe *parse.PipeNode) []string {
	var names []string
	for _, command := range pipe.Cmds {
		if identifier, ok := command.Args[0].(*parse.IdentifierNode); ok {
			names = append(names, identifier.Ident)
		}
	}
	return names
}
