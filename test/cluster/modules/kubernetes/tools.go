//go:build tools

// Package kubernetes pins the API server, the controller manager, kubectl and etcd for the test cluster.
// Its imports are programs, so it is never compiled: it is here for `go mod tidy`.
package kubernetes

import (
	_ "go.etcd.io/etcd/server/v3"
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kube-controller-manager"
	_ "k8s.io/kubernetes/cmd/kubectl"
)
