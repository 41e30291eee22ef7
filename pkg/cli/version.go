package cli

import (
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"wukong.io/wukong/pkg/cli/output"
	"wukong.io/wukong/pkg/fleet"
)

func newVersionCommand(env *environment) *cobra.Command {
	format := output.NewFlag(output.Standard()...)
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Show the version of the program, its chart and the libraries that matter",
		Example: env.examples(`
  # For a person
  wukong version

  # For a bug report
  wukong version -o yaml`),
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			result, err := newVersions()
			if err != nil {
				return err
			}
			return format.Write(env.Out, result)
		},
	}
	format.AddTo(cmd)
	return cmd
}

// versions are those of the program and what it is made of.
type versions struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Chart    string `json:"chart"`
	Helm     string `json:"helm"`
	KubeVirt string `json:"kubevirtAPI"`
	CDI      string `json:"cdiAPI"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func newVersions() (versions, error) {
	chart, err := fleet.Chart()
	if err != nil {
		return versions{}, err
	}
	v := versions{
		Version:  "unknown",
		Chart:    chart.Metadata.Name + " " + chart.Metadata.Version,
		Go:       runtime.Version(),
		Platform: runtime.GOOS + "/" + runtime.GOARCH,
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v, nil
	}
	v.Version = info.Main.Version
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			v.Commit = setting.Value
		}
	}
	v.Helm = moduleVersion(info, "helm.sh/helm/v3")
	v.KubeVirt = moduleVersion(info, "kubevirt.io/api")
	v.CDI = moduleVersion(info, "kubevirt.io/containerized-data-importer-api")
	return v, nil
}

func moduleVersion(info *debug.BuildInfo, path string) string {
	for _, module := range info.Deps {
		if module.Path == path {
			return module.Version
		}
	}
	return "unknown"
}

// WriteTable implements output.Writer.
func (v versions) WriteTable(out io.Writer) error {
	grid := output.NewGrid("PART", "VERSION")
	grid.Add("wukong", v.Version)
	if v.Commit != "" {
		grid.Add("commit", v.Commit)
	}
	grid.Add("chart", v.Chart)
	grid.Add("Helm SDK", v.Helm)
	grid.Add("KubeVirt API", v.KubeVirt)
	grid.Add("CDI API", v.CDI)
	grid.Add("Go", v.Go+" "+v.Platform)
	return grid.Write(out)
}

// Data implements output.Writer.
func (v versions) Data() any { return v }

// Names implements output.Writer.
func (v versions) Names() []string { return []string{"wukong/" + v.Version} }
