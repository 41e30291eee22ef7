package stockhelm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"

	"wukong.io/wukong/test/cluster"
)

// kubeVersion is what helm is told that the cluster is: a build of helm without
// its release flags believes in a very old one.
const kubeVersion = "1.36.0"

// timeout ends a run that hangs.
const timeout = 2 * time.Minute

// Program is a stock helm program, for what needs no cluster.
type Program struct {
	// Name is helm3 or helm4.
	Name string
	// Path of the program.
	Path string
}

// Programs builds stock helm 3 and 4, or takes them from the cache.
func Programs(t testing.TB) []Program {
	t.Helper()
	binaries, err := cluster.Build(t.Context(), testWriter{t}, "helm3", "helm4")
	if err != nil {
		t.Fatal(err)
	}
	return []Program{{Name: "helm3", Path: binaries.Helm3}, {Name: "helm4", Path: binaries.Helm4}}
}

// Rendering is one run of helm template.
type Rendering struct {
	Chart     string
	Namespace string
	Release   string
	// Values is the content of a values file.
	Values []byte
}

// Refusal is a run that helm refused.
type Refusal struct {
	// Stderr is what helm said.
	Stderr string
}

// Error implements error.
func (f *Refusal) Error() string {
	return f.Stderr
}

// Template gives the manifests that helm template prints. A run that helm
// refuses gives a *Refusal.
func (p Program) Template(t testing.TB, run Rendering) ([]byte, error) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "values.yaml")
	if err := os.WriteFile(file, run.Values, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.Path, "template", run.Release, run.Chart, "--namespace", run.Namespace, "--kube-version", kubeVersion, "-f", file)
	// Nothing of the machine's own helm may take part.
	cmd.Env = append(os.Environ(), "HELM_CACHE_HOME="+dir, "HELM_CONFIG_HOME="+dir, "HELM_DATA_HOME="+dir, "KUBECONFIG="+os.DevNull)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if ctx.Err() != nil {
		t.Fatalf("%s did not end in %s", p.Name, timeout)
	}
	if _, ok := errors.AsType[*exec.ExitError](err); ok {
		return nil, &Refusal{Stderr: stderr.String()}
	}
	if err != nil {
		t.Fatal(err)
	}
	return stdout.Bytes(), nil
}

// Objects reads manifests.
func Objects(manifests []byte) ([]unstructured.Unstructured, error) {
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(manifests), 4096)
	var objects []unstructured.Unstructured
	for {
		var object unstructured.Unstructured
		err := decoder.Decode(&object)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading object %d: %w", len(objects), err)
		}
		if len(object.Object) > 0 {
			objects = append(objects, object)
		}
	}
}

// testWriter writes lines to a test's log.
type testWriter struct {
	t testing.TB
}

// Write implements io.Writer.
func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimRight(string(p), "\n"))
	return len(p), nil
}
