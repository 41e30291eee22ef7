// Package preflight checks, before anything is made, whether a cluster has what
// a fleet needs. It reads and changes nothing: of Secrets it asks whether they
// exist, never for their content.
//
// Collect reads off the rendered objects what they need, Gather asks the
// cluster, and Decide is a pure function of the two.
package preflight
