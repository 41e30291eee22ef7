// Package charts embeds Wukong's charts, so that the engine renders the very
// files stock Helm does.
package charts

import "embed"

// FS holds vm-library and vm-fleet. The symbolic link by which vm-fleet
// depends on vm-library is left out by the embedding; the engine adds the
// library itself.
//
//go:embed all:vm-library vm-fleet/Chart.yaml vm-fleet/values.yaml vm-fleet/values.schema.json vm-fleet/templates
var FS embed.FS //nolint:gochecknoglobals // an embedded file system is a constant
