// Package storage says which disks of a virtual machine a snapshot would hold,
// and why not the others.
//
// KubeVirt leaves a disk whose StorageClass has no VolumeSnapshotClass out of a
// snapshot without a word, and lets a snapshot of a claim that is not there
// wait until its deadline. This package follows KubeVirt's own rule, step by
// step, over a snapshot of facts, so that admission can say so beforehand and
// by name:
//
//	disks := storage.Disks(vm, facts)
//	judgement := storage.Judge(storage.UseOnlineClone, disks)
//
// It reads nothing itself: facts come in through the Facts interface, which is
// small enough to be answered from informer caches, and the same facts always
// give the same answer. Whether Pods hold the claims of a stopped machine,
// which makes KubeVirt wait too, changes by the second and is not looked at.
package storage
