//go:build tools

// Package provisioner pins the CSI provisioner that the test cluster runs.
// Its import is a program, so it is never compiled: it is here for `go mod tidy`.
package provisioner

import _ "github.com/kubernetes-csi/external-provisioner/v5/cmd/csi-provisioner"
