package stockhelm

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
)

// chartVersion is the line of a Chart.yaml that says the chart's version.
var chartVersion = regexp.MustCompile(`(?m)^version: .*$`)

// Chart is the folder of one of the repository's charts.
func Chart(name string) string {
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		return filepath.Join("charts", name) // a build without paths runs in the repository
	}
	return filepath.Join(filepath.Dir(file), "..", "..", "charts", name)
}

// CopyChart copies a chart into a folder as another version of it, and gives the copy's folder.
func CopyChart(name, dir, version string) (string, error) {
	chart := filepath.Join(dir, name)
	if err := os.CopyFS(chart, os.DirFS(Chart(name))); err != nil {
		return "", fmt.Errorf("copying chart %q: %w", name, err)
	}
	// The link to the library points nowhere from here.
	library := filepath.Join(chart, "charts", "vm-library")
	if err := errors.Join(os.RemoveAll(library), os.CopyFS(library, os.DirFS(Chart("vm-library")))); err != nil {
		return "", fmt.Errorf("copying the library of chart %q: %w", name, err)
	}
	file := filepath.Join(chart, "Chart.yaml")
	content, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("reading chart %q: %w", name, err)
	}
	return chart, os.WriteFile(file, chartVersion.ReplaceAll(content, []byte("version: "+version)), 0o600)
}
