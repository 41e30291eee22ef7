package v1alpha1

import "k8s.io/apimachinery/pkg/api/resource"

// Disk is a disk of a machine.
type Disk struct {
	// size of the disk. It is required for empty disks and imports; a clone
	// takes the size of what it is cloned from if unset.
	// +optional
	Size *resource.Quantity `json:"size,omitempty"`
	// source is what the disk holds at first.
	// +optional
	Source *DiskSource `json:"source,omitempty"`
	// storageClassName is the disk's StorageClass; the cluster's default if
	// unset.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	StorageClassName *string `json:"storageClassName,omitempty"`
	// accessModes of the disk; what CDI's StorageProfile says if unset. A
	// machine that is to migrate live needs ReadWriteMany.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=4
	AccessModes []AccessMode `json:"accessModes,omitempty"`
	// volumeMode of the disk; what CDI's StorageProfile says if unset.
	// +optional
	VolumeMode VolumeMode `json:"volumeMode,omitempty"`
	// device is how the guest sees the disk.
	// +optional
	// +default="disk"
	// +kubebuilder:validation:Enum=disk;cdrom;lun
	Device string `json:"device,omitempty"`
	// bus the disk is on; what the preference says if unset, else virtio.
	// +optional
	// +kubebuilder:validation:Enum=virtio;scsi;sata;usb
	Bus string `json:"bus,omitempty"`
	// bootOrder of the disk among disks and networks, from 1.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=64
	BootOrder *int32 `json:"bootOrder,omitempty"`
	// serial the guest sees. It may hold tokens.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9_.+@-]+$`
	Serial string `json:"serial,omitempty"`
	// cache mode of the disk.
	// +optional
	// +kubebuilder:validation:Enum=none;writethrough;writeback
	Cache string `json:"cache,omitempty"`
	// io mode of the disk.
	// +optional
	// +kubebuilder:validation:Enum=native;threads
	IO string `json:"io,omitempty"`
	// readOnly keeps the guest from writing.
	// +optional
	ReadOnly *bool `json:"readOnly,omitempty"`
	// shareable lets several machines write the disk.
	// +optional
	Shareable *bool `json:"shareable,omitempty"`
	// hotpluggable lets the disk be taken out while the machine runs.
	// +optional
	Hotpluggable *bool `json:"hotpluggable,omitempty"`
}

// DiskSource is what a disk holds at first. Exactly one member is set.
//
// +kubebuilder:validation:ExactlyOneOf=image;import;pvc;clone;empty
type DiskSource struct {
	// image is the key of one of the fleet's images.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Image string `json:"image,omitempty"`
	// import brings the disk in for this machine alone.
	// +optional
	Import *ImportSource `json:"import,omitempty"`
	// pvc uses an existing PersistentVolumeClaim as it is.
	// +optional
	PVC *ClaimSource `json:"pvc,omitempty"`
	// clone copies an existing disk.
	// +optional
	Clone *DiskCloneSource `json:"clone,omitempty"`
	// empty makes a blank disk.
	// +optional
	Empty *EmptySource `json:"empty,omitempty"`
}

// ClaimSource is an existing PersistentVolumeClaim in the fleet's namespace.
type ClaimSource struct {
	// claimName is the claim. It may hold tokens: data-@@ordinal@@ is another
	// claim for every machine.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9@]([-a-z0-9.@]*[a-z0-9@])?$`
	ClaimName string `json:"claimName"`
}

// EmptySource makes a blank disk.
type EmptySource struct{}

// DiskCloneSource is a disk to copy. Exactly one member is set.
//
// +kubebuilder:validation:ExactlyOneOf=pvc;snapshot;virtualMachine
type DiskCloneSource struct {
	// pvc is a PersistentVolumeClaim. The copy waits while a machine uses it.
	// Its name may hold tokens.
	// +optional
	PVC *NamespacedName `json:"pvc,omitempty"`
	// snapshot is a VolumeSnapshot. Its name may hold tokens.
	// +optional
	Snapshot *NamespacedName `json:"snapshot,omitempty"`
	// virtualMachine is a disk of a machine made by a fleet.
	// +optional
	VirtualMachine *VirtualMachineDisk `json:"virtualMachine,omitempty"`
}

// VirtualMachineDisk is a disk of a machine made by a fleet, whose claim is
// named <machine>-<disk>. For another machine's disk name the claim by pvc.
type VirtualMachineDisk struct {
	// namespace of the machine; the fleet's if unset.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Namespace string `json:"namespace,omitempty"`
	// name of the machine. It may hold tokens.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9@]([-a-z0-9.@]*[a-z0-9@])?$`
	Name string `json:"name"`
	// disk is the disk's key in the machine's template.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Disk string `json:"disk"`
}
