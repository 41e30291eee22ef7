// Package stockhelm runs stock helm, as users do, on the charts of this
// repository: against a cluster, and without one.
package stockhelm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// Helm is a stock helm program that talks to one cluster.
type Helm struct {
	// Path of the program.
	Path string
	// Kubeconfig reaches the cluster.
	Kubeconfig string
	// Home is a folder for helm's own files, so that nothing of the machine's helm takes part.
	Home string
}

// Release is what to install, and where.
type Release struct {
	Namespace string
	Name      string
	// Chart is a folder; the repository's vm-fleet where it is empty.
	Chart string
	// Values is a values file; none where it is empty.
	Values string
	// Set are further values, as --set takes them.
	Set []string
}

// Install installs a release. It waits for nothing.
func (h Helm) Install(ctx context.Context, r Release) (string, error) {
	return h.Run(ctx, r.arguments("install")...)
}

// Upgrade changes a release. It waits for nothing.
func (h Helm) Upgrade(ctx context.Context, r Release) (string, error) {
	return h.Run(ctx, r.arguments("upgrade")...)
}

// Template renders a release without a cluster.
func (h Helm) Template(ctx context.Context, r Release) (string, error) {
	return h.Run(ctx, r.arguments("template", "--kube-version", kubeVersion)...)
}

// Uninstall removes a release. It waits until helm has deleted what it deletes, not until that is gone.
func (h Helm) Uninstall(ctx context.Context, r Release) (string, error) {
	return h.Run(ctx, "uninstall", r.Name, "--namespace", r.Namespace)
}

func (r Release) arguments(command string, more ...string) []string {
	chart := r.Chart
	if chart == "" {
		chart = Chart("vm-fleet")
	}
	arguments := append([]string{command, r.Name, chart, "--namespace", r.Namespace}, more...)
	if r.Values != "" {
		arguments = append(arguments, "--values", r.Values)
	}
	for _, value := range r.Set {
		arguments = append(arguments, "--set", value)
	}
	return arguments
}

// Run runs helm and gives what it prints.
func (h Helm) Run(ctx context.Context, arguments ...string) (string, error) {
	cmd := exec.CommandContext(ctx, h.Path, arguments...)
	cmd.Env = append(os.Environ(), "HELM_CACHE_HOME="+h.Home, "HELM_CONFIG_HOME="+h.Home, "HELM_DATA_HOME="+h.Home, "KUBECONFIG="+h.Kubeconfig)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if _, refused := errors.AsType[*exec.ExitError](err); refused {
		return "", fmt.Errorf("helm %s: %w\n%s", strings.Join(arguments, " "), err, stderr.String())
	}
	if err != nil {
		return "", fmt.Errorf("running helm: %w", err)
	}
	return stdout.String(), nil
}
