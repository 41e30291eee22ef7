package preflight

import (
	"golang.org/x/mod/semver"
)

// KubeVirt's feature gates a fleet may need.
const (
	gateSnapshot = "Snapshot"
	gateExport   = "VMExport"
)

// gateOf gives the feature gate of KubeVirt without which a kind does nothing.
func gateOf(kind string) string {
	switch kind {
	case "VirtualMachineSnapshot", "CloneJob", "SnapshotPolicy":
		return gateSnapshot
	case "ExportJob":
		return gateExport
	default:
		return ""
	}
}

// onByDefault is the version of KubeVirt from which both gates are on unless
// they are turned off.
const onByDefault = "v1.9.0"

// enabledGates reads the gates off the KubeVirt object.
func enabledGates(kubevirt map[string]any) map[string]bool {
	gates := map[string]bool{}
	version, _ := get[string](kubevirt, "status", "observedKubeVirtVersion")
	if semver.IsValid(version) && semver.Compare(version, onByDefault) >= 0 {
		gates[gateSnapshot], gates[gateExport] = true, true
	}
	off, _ := get[[]any](kubevirt, "spec", "configuration", "developerConfiguration", "disabledFeatureGates")
	for _, gate := range off {
		if name, ok := gate.(string); ok {
			gates[name] = false
		}
	}
	on, _ := get[[]any](kubevirt, "spec", "configuration", "developerConfiguration", "featureGates")
	for _, gate := range on {
		if name, ok := gate.(string); ok {
			gates[name] = true
		}
	}
	return gates
}
