package fleet

import (
	"fmt"
	"io/fs"
	"strings"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"

	"wukong.io/wukong/charts"
)

// loadChart loads vm-fleet with vm-library inside from the embedded files.
func loadChart(fsys fs.FS) (*chart.Chart, error) {
	fleet, err := loadDir(fsys, "vm-fleet")
	if err != nil {
		return nil, err
	}
	library, err := loadDir(fsys, "vm-library")
	if err != nil {
		return nil, err
	}
	fleet.AddDependency(library)
	return fleet, nil
}

// loadDir loads one chart from a folder of an embedded file system.
func loadDir(fsys fs.FS, dir string) (*chart.Chart, error) {
	var files []*loader.BufferedFile
	err := fs.WalkDir(fsys, dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := fs.ReadFile(fsys, path)
		if err != nil {
			return err
		}
		files = append(files, &loader.BufferedFile{Name: strings.TrimPrefix(path, dir+"/"), Data: data})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading chart %q: %w", dir, err)
	}
	loaded, err := loader.LoadFiles(files)
	if err != nil {
		return nil, fmt.Errorf("loading chart %q: %w", dir, err)
	}
	return loaded, nil
}

// Chart gives vm-fleet with its library inside, a copy of its own for every
// call, as Helm's actions change the chart they are given.
func Chart() (*chart.Chart, error) {
	return loadChart(charts.FS)
}
