//go:build tools

// Package snapshotter pins the snapshot controller and the CSI snapshotter that the test cluster runs.
// Its imports are programs, so it is never compiled: it is here for `go mod tidy`.
package snapshotter

import (
	_ "github.com/kubernetes-csi/external-snapshotter/v8/cmd/csi-snapshotter"
	_ "github.com/kubernetes-csi/external-snapshotter/v8/cmd/snapshot-controller"
)
