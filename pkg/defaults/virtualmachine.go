package defaults

import "maps"

// Facts are what defaults need to know of the cluster.
type Facts struct {
	// EvictionStrategy is the cluster's own default, from the KubeVirt object;
	// where there is one it is left to KubeVirt.
	EvictionStrategy string
	// ClaimProperties gives the access modes and the volume mode that CDI's
	// StorageProfile recommends for a StorageClass; the default one for "".
	ClaimProperties func(storageClass string) (accessModes []string, volumeMode string, ok bool)
}

// VirtualMachine fills in what a machine leaves open. It changes the machine,
// which is decoded JSON; before is the machine as it was, nil on creation.
func VirtualMachine(vm, before map[string]any, facts Facts) {
	metadata := child(vm, "metadata")
	namespace, _ := metadata["namespace"].(string)
	name, _ := metadata["name"].(string)
	if name == "" {
		return // generateName: identity needs the name, and there is none yet
	}
	spec := child(vm, "spec")
	oldSpec := child(before, "spec")
	setRunStrategy(spec, oldSpec)
	setClaimProperties(spec, facts)

	guest := child(child(spec, "template"), "spec")
	oldGuest := child(child(oldSpec, "template"), "spec")
	if guest == nil {
		return
	}
	domain, oldDomain := child(guest, "domain"), child(oldGuest, "domain")
	if domain == nil {
		return
	}
	setFirmware(domain, oldDomain, namespace, name)
	prefers := spec["preference"] != nil
	setInterfaces(domain, oldDomain, namespace, name, prefers)
	if !prefers {
		setDiskBuses(domain)
	}
	setEvictionStrategy(guest, oldGuest, facts, spec)
}

// setRunStrategy runs a machine that does not say otherwise, as the fleet
// chart does; KubeVirt refuses a machine that does not say.
func setRunStrategy(spec, old map[string]any) {
	if spec == nil || spec["running"] != nil || spec["runStrategy"] != nil {
		return
	}
	spec["runStrategy"] = "Always"
	for _, key := range []string{"running", "runStrategy"} {
		if value := old[key]; value != nil {
			delete(spec, "runStrategy")
			spec[key] = value
			return
		}
	}
}

// setFirmware gives a machine an identity that follows from its name, where
// KubeVirt would give it a random one that GitOps sees as drift.
func setFirmware(domain, old map[string]any, namespace, name string) {
	firmware := ensure(domain, "firmware")
	oldFirmware := child(old, "firmware")
	setDefault(firmware, "uuid", oldFirmware["uuid"], firmwareUUID(namespace, name))
	setDefault(firmware, "serial", oldFirmware["serial"], firmwareSerial(namespace, name))
}

// setInterfaces gives interfaces a MAC address that follows from the machine's
// name, so that it survives restarts, and the virtio model unless a preference
// chooses.
func setInterfaces(domain, old map[string]any, namespace, name string, prefers bool) {
	kept := map[string]any{}
	for _, iface := range list(child(old, "devices"), "interfaces") {
		if key, ok := iface["name"].(string); ok {
			kept[key] = iface["macAddress"]
		}
	}
	for _, iface := range list(child(domain, "devices"), "interfaces") {
		key, ok := iface["name"].(string)
		if !ok {
			continue
		}
		setDefault(iface, "macAddress", kept[key], macAddress(namespace, name, key))
		if !prefers && iface["sriov"] == nil {
			setDefault(iface, "model", nil, "virtio")
		}
	}
}

// setDiskBuses puts disks on the bus that suits them; KubeVirt's own default
// is sata, which is slow and of which a machine has few.
func setDiskBuses(domain map[string]any) {
	for _, disk := range list(child(domain, "devices"), "disks") {
		for device, bus := range map[string]string{"disk": "virtio", "cdrom": "sata", "lun": "scsi"} {
			if target, ok := disk[device].(map[string]any); ok {
				setDefault(target, "bus", nil, bus)
			}
		}
	}
}

// setEvictionStrategy moves a machine when its node is drained, if it can be
// moved. The cluster's own default, and a preference, come first.
func setEvictionStrategy(guest, old map[string]any, facts Facts, spec map[string]any) {
	if facts.EvictionStrategy != "" || spec["preference"] != nil || spec["instancetype"] != nil {
		return
	}
	setDefault(guest, "evictionStrategy", old["evictionStrategy"], "LiveMigrateIfPossible")
}

// setClaimProperties completes dataVolumeTemplates of the form pvc, which CDI
// leaves as they are, with what the StorageProfile recommends.
func setClaimProperties(spec map[string]any, facts Facts) {
	if facts.ClaimProperties == nil {
		return
	}
	for _, template := range list(spec, "dataVolumeTemplates") {
		claim := child(child(template, "spec"), "pvc")
		if claim == nil {
			continue
		}
		class, _ := claim["storageClassName"].(string)
		accessModes, volumeMode, ok := facts.ClaimProperties(class)
		if !ok || claim["accessModes"] != nil {
			continue
		}
		modes := make([]any, len(accessModes))
		for i, mode := range accessModes {
			modes[i] = mode
		}
		claim["accessModes"] = modes
		setDefault(claim, "volumeMode", nil, volumeMode)
	}
}

// setDefault sets a key that is missing: to what the machine has, or else to
// the default.
func setDefault(object map[string]any, key string, before, value any) {
	if current := object[key]; current != nil && current != "" {
		return
	}
	if before != nil && before != "" {
		value = before
	}
	if value != "" {
		object[key] = value
	}
}

// child gives a map in a map; nil if there is none.
func child(object map[string]any, key string) map[string]any {
	inner, _ := object[key].(map[string]any)
	return inner
}

// ensure gives a map in a map, made if there is none.
func ensure(object map[string]any, key string) map[string]any {
	if inner := child(object, key); inner != nil {
		return inner
	}
	inner := map[string]any{}
	object[key] = inner
	return inner
}

// list gives the maps in a list; what is no map is passed over.
func list(object map[string]any, key string) []map[string]any {
	items, _ := object[key].([]any)
	found := make([]map[string]any, 0, len(items))
	for _, item := range items {
		if inner, ok := item.(map[string]any); ok {
			found = append(found, inner)
		}
	}
	return found
}

// Managed says whether a machine opts in to defaults: by the label
// wukong.io/managed, or by any of Wukong's annotations.
func Managed(vm map[string]any) bool {
	metadata := child(vm, "metadata")
	if child(metadata, "labels")["wukong.io/managed"] != nil {
		return true
	}
	for key := range maps.Keys(child(metadata, "annotations")) {
		if len(key) > len("wukong.io/") && key[:len("wukong.io/")] == "wukong.io/" {
			return true
		}
	}
	return false
}
