// Package world makes what fleets stand on: images on a web server and in a registry, claims with known
// bytes, snapshots and golden machines, on a cluster of test/cluster. It reads the bytes behind a claim
// where the storage driver keeps them, so that a copy can be compared with its source.
package world
