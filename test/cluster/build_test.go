package cluster

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"k8s.io/utils/clock"
)

// hello is a builder of a module with one program that prints words.
func hello(t *testing.T, words string) builder {
	t.Helper()
	source := t.TempDir()
	for file, content := range map[string]string{
		"go.mod":  "module hello.test\n\ngo 1.26\n",
		"main.go": "package main\n\nimport \"os\"\n\nfunc main() { os.Stdout.WriteString(\"" + words + "\") }\n",
	} {
		if err := os.WriteFile(filepath.Join(source, file), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return builder{
		module: module{name: "hello", programs: []target{{"hello", "."}}, generate: map[string]string{"words.txt": "hello"}},
		source: source, cache: t.TempDir(), log: &safeBuffer{}, clock: clock.RealClock{},
	}
}

// safeBuffer can be written to from several builds.
type safeBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func TestBuildsOnceHoweverManyAsk(t *testing.T) {
	b := hello(t, "hi")
	const askers = 4
	var all sync.WaitGroup
	dirs := make([]string, askers)
	errs := make([]error, askers)
	for i := range askers {
		all.Go(func() { dirs[i], errs[i] = b.ensure(t.Context()) })
	}
	all.Wait()
	for i := range askers {
		if errs[i] != nil || dirs[i] != dirs[0] {
			t.Fatalf("ensure() = %q, %v; want %q", dirs[i], errs[i], dirs[0])
		}
	}
	if said := b.log.(*safeBuffer).String(); strings.Count(said, "building hello\n") != 1 {
		t.Errorf("it was not built exactly once:\n%s", said)
	}
	output, err := exec.CommandContext(t.Context(), filepath.Join(dirs[0], "hello")).Output()
	if err != nil || string(output) != "hi" {
		t.Errorf("the program printed %q, %v; want hi", output, err)
	}
	words, err := os.ReadFile(filepath.Join(dirs[0], "words.txt"))
	if err != nil || string(words) != "hi" {
		t.Errorf("the generated file holds %q, %v; want hi", words, err)
	}
}

func TestBuildsAgainWhenTheSourceChanges(t *testing.T) {
	b := hello(t, "hi")
	first, err := b.module.hash(b.source)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.source, "go.sum"), []byte("x y z\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	second, err := b.module.hash(b.source)
	if err != nil {
		t.Fatal(err)
	}
	if first == second {
		t.Errorf("the hash %q stayed although go.sum changed", first)
	}
}

func TestABrokenBuildLeavesNothing(t *testing.T) {
	b := hello(t, "hi")
	if err := os.WriteFile(filepath.Join(b.source, "main.go"), []byte("package main\n\nfunc main() { undefined() }\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := b.ensure(t.Context()); err == nil || !strings.Contains(err.Error(), "undefined: undefined") {
		t.Errorf("ensure() = %v, want what the compiler says", err)
	}
	left, err := filepath.Glob(filepath.Join(b.cache, "*"))
	if err != nil {
		t.Fatal(err)
	}
	if len(left) != 1 || filepath.Base(left[0]) != "hello.lock" {
		t.Errorf("the cache holds %q, want the lock alone", left)
	}
}

func TestTheVersionsAreThoseOfTheModules(t *testing.T) {
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	for module, requirement := range map[string]string{
		ModuleKubernetes: "k8s.io/kubernetes " + kubernetesVersion + "\n",
		ModuleKubeVirt:   "kubevirt.io/kubevirt " + kubeVirtVersion + "\n",
	} {
		content, err := os.ReadFile(filepath.Join(root, module, "go.mod"))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(content), requirement) {
			t.Errorf("modules/%s/go.mod does not require %q", module, strings.TrimSpace(requirement))
		}
	}
}
