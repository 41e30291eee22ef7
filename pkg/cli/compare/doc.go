// Package compare says what a fleet would change in the cluster.
//
// Only what the fleet sets is compared: KubeVirt, CDI and the API server fill
// in much more, and none of it is a difference. What an earlier version of the
// fleet set and this one does not is a difference too, as Helm takes it away.
// Of the lists that KubeVirt fills in, items are compared by their place.
package compare
