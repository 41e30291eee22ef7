//go:build tools

// Package kubevirt pins the KubeVirt programs that the test cluster runs.
// Its imports are programs, so it is never compiled: it is here for `go mod tidy`.
package kubevirt

import (
	_ "kubevirt.io/kubevirt/cmd/virt-api"
	_ "kubevirt.io/kubevirt/cmd/virt-controller"
	_ "kubevirt.io/kubevirt/cmd/virt-exportserver"
	_ "kubevirt.io/kubevirt/cmd/virtctl"
)
