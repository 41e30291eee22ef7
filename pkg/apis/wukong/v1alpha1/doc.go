// Package v1alpha1 is the wukong.io/v1alpha1 API: fleets of virtual machines
// and the jobs that import, export, clone, snapshot and roll back their disks.
//
// WukongSpec is the only definition of a fleet. The custom resource
// definitions, the values schema of charts/vm-fleet and the reference pages
// are generated from the types in this package.
//
// +kubebuilder:object:generate=true
// +groupName=wukong.io
package v1alpha1
