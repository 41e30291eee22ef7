// Package cluster runs a real Kubernetes and KubeVirt control plane on one machine, as plain processes built from Go modules:
// etcd, kube-apiserver, kube-controller-manager, virt-api, virt-controller, the CSI sidecars and the snapshot controller.
//
// Nothing in it needs root, containers or an image registry. What a machine without nodes cannot have is stood in for by the
// sub-packages node (kubelet and virt-handler), csidriver (a file-backed storage driver) and cdi (the importer), which are
// strict where the real thing is strict.
//
// Build compiles the programs once into a cache; Start starts a cluster and returns when every part has answered; Stop leaves
// no process behind, and neither does the death of the process that called Start.
package cluster
