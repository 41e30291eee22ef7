package v1alpha1

// Labels that Wukong sets on what it makes. They identify; nothing secret or
// variable stands in them, and none stands in a machine's spec.template where
// a change would ask for a restart.
const (
	// LabelFleet is the name of the fleet: the Helm release or Wukong object.
	LabelFleet = "wukong.io/fleet"
	// LabelPool is the key of the pool in the fleet.
	LabelPool = "wukong.io/pool"
	// LabelOrdinal is the machine's ordinal in its pool.
	LabelOrdinal = "wukong.io/ordinal"
	// LabelVM is the name of the virtual machine an object belongs to. It is
	// also on the machine's Pod, so that Services can select one machine.
	LabelVM = "wukong.io/vm"
	// LabelDisk is the key of the disk in the machine's template.
	LabelDisk = "wukong.io/disk"
	// LabelImage is the key of the golden image in the fleet.
	LabelImage = "wukong.io/image"
	// LabelManaged opts a virtual machine in to Wukong's admission.
	LabelManaged = "wukong.io/managed"
)
