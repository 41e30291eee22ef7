// Package cdi stands in for the Containerized Data Importer of a test cluster, whose controllers cannot be
// built from a Go module.
//
// It serves the same API: DataVolumes become PersistentVolumeClaims through the same phases, conditions and
// annotations, with populators where a CSIDriver object exists and the older way where none does. Imports
// really download, clones really snapshot, and the data stands byte for byte in the volume of the file-backed
// CSI driver. There are no importer Pods: what one would report comes from a goroutine.
package cdi

//go:generate go run sigs.k8s.io/controller-tools/cmd/controller-gen@v0.23.0 crd:maxDescLen=0 paths=kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1 output:crd:dir=crds
