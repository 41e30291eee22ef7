// Package csidriver is a CSI driver whose volumes are folders with a sparse disk.img.
//
// It serves the Identity and Controller services on a unix socket behind the real csi-provisioner and
// csi-snapshotter, so that every volume, snapshot and clone of a test cluster is a file that can be
// compared byte for byte. Snapshots and clones are true copies: a shared block would hide an overwrite.
// Faults slow, refuse or lose calls on command, because a driver that never fails proves nothing.
package csidriver
