package cli_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/utils/clock"

	"wukong.io/wukong/pkg/cli"
)

var update = flag.Bool("update", false, "write what the commands print into testdata/golden")

// outcome is all that a command leaves behind.
type outcome struct {
	stdout, stderr string
	code           int
}

// run calls the program as a shell would.
func run(t *testing.T, program, stdin string, args ...string) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	streams := genericiooptions.IOStreams{In: strings.NewReader(stdin), Out: &stdout, ErrOut: &stderr}
	command := cli.New(streams, cli.Options{Program: program, Clock: clock.RealClock{}, Getenv: func(string) string { return "" }})
	command.SetArgs(args)
	err := command.ExecuteContext(t.Context())
	if err != nil && err.Error() != "" {
		fmt.Fprintln(&stderr, "Error:", err)
	}
	return outcome{stdout: stdout.String(), stderr: stderr.String(), code: cli.ExitCode(err)}
}

// golden compares with a file, or writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("reading golden (write it with go test -update): %v", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", path, diff)
	}
}

const fleets = "testdata/fleets/"

func TestOfflineCommandsPrint(t *testing.T) {
	cases := map[string]struct {
		args []string
		code int
	}{
		"templates.txt":       {args: []string{"templates"}},
		"templates-names.txt": {args: []string{"templates", "-o", "name"}},
		"plan.txt":            {args: []string{"plan", "shop", "-n", "prod", "-f", fleets + "shop.yaml"}},
		"plan.yaml":           {args: []string{"plan", "shop", "-n", "prod", "-f", fleets + "shop.yaml", "-o", "yaml"}},
		"plan.json":           {args: []string{"plan", "shop", "-n", "prod", "-f", fleets + "shop.yaml", "-o", "json"}},
		"plan-names.txt":      {args: []string{"plan", "shop", "-n", "prod", "-f", fleets + "shop.yaml", "-o", "name"}},
		"render-window.yaml":  {args: []string{"render", "shop", "-n", "prod", "-f", fleets + "shop.yaml", "--pool", "web", "--ordinals", "1"}},
		"render-window.json":  {args: []string{"render", "shop", "-n", "prod", "-f", fleets + "shop.yaml", "--pool", "store", "-o", "json"}},
		"render-names.txt":    {args: []string{"render", "shop", "-n", "prod", "-f", fleets + "shop.yaml", "-o", "name"}},
		"render-merged.txt":   {args: []string{"render", "shop", "-n", "prod", "-f", fleets + "shop.yaml", "-f", fleets + "more.yaml", "--set", "pools.store.replicas=0", "-o", "table"}},
		"render-object.yaml":  {args: []string{"render", "-f", fleets + "object.yaml"}},
		"validate.json":       {args: []string{"validate", "shop", "-n", "prod", "-f", fleets + "shop.yaml", "-o", "json"}},
		"validate-broken.txt": {args: []string{"validate", "shop", "-n", "prod", "-f", fleets + "broken.yaml"}, code: 1},
		"validate-broken.json": {
			args: []string{"validate", "-n", "prod", "-f", fleets + "broken.yaml", "-o", "json"}, code: 1,
		},
		"validate-broken-names.txt": {
			args: []string{"validate", "-n", "prod", "-f", fleets + "broken.yaml", "-o", "name"}, code: 1,
		},
		"help.txt":        {args: []string{"--help"}},
		"help-render.txt": {args: []string{"render", "--help"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := run(t, "wukong", "", tc.args...)
			if got.code != tc.code {
				t.Errorf("exit code %d, want %d; stderr:\n%s", got.code, tc.code, got.stderr)
			}
			golden(t, name, hideSize(got.stdout))
		})
	}
}

// hideSize hides the size of the release, which every edit of a template
// changes, and its bar.
func hideSize(text string) string {
	text = regexp.MustCompile(`\[[#-]+\] \d+ KiB of (\d+) KiB \([0-9.]+ %\)`).ReplaceAllString(text, "[###---] N KiB of $1 KiB (N %)")
	return regexp.MustCompile(`("?bytes"?): \d+`).ReplaceAllString(text, "$1: N")
}

func TestErrorsSayWhatToDo(t *testing.T) {
	cases := map[string]struct {
		args []string
		code int
		says []string
	}{
		"a misspelt command": {
			args: []string{"instal"}, code: 2, says: []string{`"instal"`, "did you mean install"},
		},
		"a misspelt flag": {
			args: []string{"plan", "--vales", "x"}, code: 2, says: []string{"unknown flag: --vales", "did you mean --values?", "plan --help"},
		},
		"a format that is not there": {
			args: []string{"plan", "-o", "xml"}, code: 2, says: []string{`"xml"`, "table, yaml, json, name"},
		},
		"no file": {
			args: []string{"plan", "shop"}, code: 2, says: []string{"no fleet file", "-f FILE", "wukong init"},
		},
		"no name": {
			args: []string{"render", "-f", fleets + "shop.yaml"}, code: 2, says: []string{"no name", "wukong render NAME"},
		},
		"two names": {
			args: []string{"render", "a", "b", "-f", fleets + "shop.yaml"}, code: 2, says: []string{"2 arguments (a b)"},
		},
		"a file that is not there": {
			args: []string{"plan", "-f", "nowhere.yaml"}, code: 1, says: []string{"nowhere.yaml", "no such file"},
		},
		"an invalid fleet": {
			args: []string{"render", "shop", "-f", fleets + "broken.yaml"}, code: 1, says: []string{"colour", "pools.web.replicas"},
		},
		"ordinals without a pool": {
			args: []string{"render", "shop", "-f", fleets + "shop.yaml", "--ordinals", "1"}, code: 2, says: []string{"--pool"},
		},
		"ordinals the wrong way round": {
			args: []string{"render", "shop", "-f", fleets + "shop.yaml", "--pool", "web", "--ordinals", "2-1"}, code: 2, says: []string{`"2-1"`, "0-9"},
		},
		"ordinals beyond the pool": {
			args: []string{"render", "shop", "-f", fleets + "shop.yaml", "--pool", "web", "--ordinals", "1-9"}, code: 1, says: []string{"pools.web", "0 to 2"},
		},
		"a value that cannot be set": {
			args: []string{"plan", "-f", fleets + "shop.yaml", "--set", "pools.web"}, code: 2, says: []string{`--set "pools.web"`},
		},
		"a template that is not there": {
			args: []string{"init", "clasroom"}, code: 2, says: []string{`"clasroom"`, `did you mean "classroom"?`, "db-cluster"},
		},
		"a timeout of nothing": {
			args: []string{"install", "shop", "-f", fleets + "shop.yaml", "--timeout", "0s"}, code: 2, says: []string{"--timeout", "30m"},
		},
		"a fleet too large for Helm": {
			args: []string{"install", "shop", "-n", "prod", "-f", fleets + "huge.yaml"}, code: 3,
			says: []string{"would not fit a Helm release", "1024 KiB", "expand: server", `"node"`, "Nothing was made"},
		},
		"no cluster": {
			args: []string{"status", "-n", "prod", "--kubeconfig", "testdata/fleets/empty-kubeconfig"}, code: 1, says: []string{"no cluster", "--kubeconfig"},
		},
		"a difference command that cannot read its file": {
			args: []string{"diff", "shop", "-f", "nowhere.yaml"}, code: 2, says: []string{"nowhere.yaml"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := run(t, "wukong", "", tc.args...)
			if got.code != tc.code {
				t.Errorf("exit code %d, want %d", got.code, tc.code)
			}
			if got.stdout != "" {
				t.Errorf("stdout is for data, found %q", got.stdout)
			}
			for _, text := range tc.says {
				if !strings.Contains(got.stderr, text) {
					t.Errorf("stderr does not say %q:\n%s", text, got.stderr)
				}
			}
		})
	}
}

func TestHugeFleetWarnsInPlan(t *testing.T) {
	got := run(t, "wukong", "", "plan", "shop", "-n", "prod", "-f", fleets+"huge.yaml")
	if got.code != 0 || !strings.Contains(got.stderr, "expand: server") {
		t.Errorf("want a warning and exit code 0, found code %d and:\n%s", got.code, got.stderr)
	}
}

func TestStdinIsAFleetFile(t *testing.T) {
	text, err := os.ReadFile(fleets + "object.yaml")
	if err != nil {
		t.Fatal(err)
	}
	fromFile := run(t, "wukong", "", "render", "-f", fleets+"object.yaml")
	fromStdin := run(t, "wukong", string(text), "render", "-f", "-")
	if diff := cmp.Diff(fromFile, fromStdin, cmp.AllowUnexported(outcome{})); diff != "" {
		t.Errorf("stdin differs from file (-file +stdin):\n%s", diff)
	}
}

func TestCommandLineBeatsTheObjectsName(t *testing.T) {
	got := run(t, "wukong", "", "render", "other", "-n", "elsewhere", "-f", fleets+"object.yaml", "-o", "json")
	if !strings.Contains(got.stdout, `"name": "other-node-0"`) || !strings.Contains(got.stdout, `"namespace": "elsewhere"`) {
		t.Errorf("want name other and namespace elsewhere, found:\n%s", got.stdout)
	}
}

func TestNamespaceOfTheKubeconfigIsTheDefault(t *testing.T) {
	kubeconfig := filepath.Join(t.TempDir(), "config")
	text := `{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c, user: u, namespace: mine}}],
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}], users: [{name: u}]}`
	if err := os.WriteFile(kubeconfig, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got := run(t, "wukong", "", "--kubeconfig", kubeconfig, "validate", "shop", "-f", fleets+"shop.yaml", "-o", "json")
	if !strings.Contains(got.stdout, `"namespace": "mine"`) {
		t.Errorf("want namespace mine, found:\n%s%s", got.stdout, got.stderr)
	}
}

func TestRefusedFiles(t *testing.T) {
	cases := map[string]struct {
		text string
		says []string
	}{
		"an object of another kind": {
			text: "apiVersion: v1\nkind: Pod\n", says: []string{`kind "Pod"`, "wukong.io/v1alpha1", `"Wukong"`},
		},
		"a fleet beside the object's spec": {
			text: "apiVersion: wukong.io/v1alpha1\nkind: Wukong\npools: {}\n", says: []string{"pools: unknown key", "under spec"},
		},
		"an object without a spec": {
			text: "apiVersion: wukong.io/v1alpha1\nkind: Wukong\n", says: []string{"spec: found nothing"},
		},
		"two documents": {
			text: "pools: {}\n---\npools: {}\n", says: []string{"2 YAML documents"},
		},
		"a list":              {text: "- a\n", says: []string{"want a map"}},
		"a key that is twice": {text: "pools: {}\npools: {}\n", says: []string{"pools"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := run(t, "wukong", tc.text, "plan", "shop", "-f", "-")
			if got.code == 0 || got.stdout != "" {
				t.Errorf("want an error and no output, found code %d and %q", got.code, got.stdout)
			}
			for _, text := range tc.says {
				if !strings.Contains(got.stderr, text) {
					t.Errorf("stderr does not say %q:\n%s", text, got.stderr)
				}
			}
		})
	}
}

func TestInitWritesOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "fleet.yaml")
	if got := run(t, "wukong", "", "init", "classroom", "-o", file); got.code != 0 || got.stdout != "" {
		t.Fatalf("want a file and no output, found %+v", got)
	}
	want := run(t, "wukong", "", "init", "classroom").stdout
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(content)); diff != "" {
		t.Errorf("file differs from stdout:\n%s", diff)
	}
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := run(t, "wukong", "", "init", "classroom", "-o", file); got.code != 1 || !strings.Contains(got.stderr, "--force") {
		t.Errorf("want a refusal that names --force, found %+v", got)
	}
	if content, err = os.ReadFile(file); err != nil || string(content) != "mine" {
		t.Errorf("the file was touched: %q, %v", content, err)
	}
	if got := run(t, "wukong", "", "init", "classroom", "-o", file, "--force"); got.code != 0 {
		t.Errorf("want --force to overwrite, found %+v", got)
	}
}

func TestPluginSpeaksOfKubectl(t *testing.T) {
	for _, program := range []string{"/usr/local/bin/kubectl-wukong", "kubectl-wukong.exe"} {
		help := run(t, program, "", "render", "--help").stdout
		if !strings.Contains(help, "kubectl wukong render NAME") || strings.Contains(help, "\n  wukong render") {
			t.Errorf("as %s the help does not say kubectl wukong:\n%s", program, help)
		}
		mistake := run(t, program, "", "render", "-f", fleets+"shop.yaml").stderr
		if !strings.Contains(mistake, "kubectl wukong render NAME") {
			t.Errorf("as %s the error does not say kubectl wukong: %s", program, mistake)
		}
	}
}

func TestCompletion(t *testing.T) {
	got := run(t, "wukong", "", "__complete", "init", "class")
	if !strings.Contains(got.stdout, "classroom") {
		t.Errorf("want classroom offered, found:\n%s", got.stdout)
	}
	got = run(t, "wukong", "", "__complete", "plan", "-o", "")
	if !strings.Contains(got.stdout, "table\nyaml\njson\nname\n") {
		t.Errorf("want the formats offered, found:\n%s", got.stdout)
	}
	if help := run(t, "kubectl-wukong", "", "completion", "--help").stdout; !strings.Contains(help, "kubectl_complete-wukong") {
		t.Errorf("want kubectl's completion explained, found:\n%s", help)
	}
}

func TestExitCode(t *testing.T) {
	if got := cli.ExitCode(nil); got != 0 {
		t.Errorf("no error: found %d, want 0", got)
	}
	if got := cli.ExitCode(fmt.Errorf("around: %w", &cli.ExitError{Code: 4, Cause: errors.New("x")})); got != 4 {
		t.Errorf("wrapped: found %d, want 4", got)
	}
	if got := cli.ExitCode(errors.New("x")); got != 1 {
		t.Errorf("any error: found %d, want 1", got)
	}
}
