package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// CloneJob makes new machines from a machine or from a snapshot of one.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:categories=wukong
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Machines",type=integer,JSONPath=`.status.readyMachines`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type CloneJob struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// spec says what to clone. It cannot be changed.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="is immutable: create another job"
	Spec CloneJobSpec `json:"spec"`
	// status is how far the clone has got.
	// +optional
	Status CloneJobStatus `json:"status,omitzero"`
}

// CloneJobList is a list of CloneJob objects.
//
// +kubebuilder:object:root=true
type CloneJobList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []CloneJob `json:"items"`
}

// CloneSource is what machines are cloned from. Exactly one of virtualMachine
// and snapshot is set.
//
// +kubebuilder:validation:XValidation:rule="has(self.virtualMachine) != has(self.snapshot)",message="exactly one of virtualMachine and snapshot must be set"
type CloneSource struct {
	// virtualMachine is the machine to clone.
	// +optional
	VirtualMachine *NamespacedName `json:"virtualMachine,omitempty"`
	// snapshot is a VirtualMachineSnapshot to clone.
	// +optional
	Snapshot *NamespacedName `json:"snapshot,omitempty"`
	// mode is Online, where the machine keeps running, or Offline, where it
	// must be stopped. A snapshot has its own state already.
	// +optional
	// +default="Offline"
	Mode CloneMode `json:"mode,omitempty"`
	// identity says what is new about the clones.
	// +optional
	Identity *CloneIdentity `json:"identity,omitempty"`
	// runStrategy of the clones; Halted if unset.
	// +optional
	RunStrategy RunStrategy `json:"runStrategy,omitempty"`
}

// CloneMode says whether the source keeps running.
//
// +kubebuilder:validation:Enum=Offline;Online
type CloneMode string

// Whether the source keeps running.
const (
	// CloneOffline needs a stopped source.
	CloneOffline CloneMode = "Offline"
	// CloneOnline freezes, snapshots and thaws a running source.
	CloneOnline CloneMode = "Online"
)

// CloneIdentity says what is new about a clone. MAC addresses, firmware UUID
// and serial always are.
type CloneIdentity struct {
	// guest says whether machine-id and SSH host keys are made anew.
	// +optional
	// +default="Keep"
	// +kubebuilder:validation:Enum=Keep;Regenerate
	Guest string `json:"guest,omitempty"`
	// cloudInit says whether the clones run cloud-init's first boot again, and
	// whose Secret they read: Copy gives each its own, Share the source's.
	// +optional
	// +default="Copy"
	// +kubebuilder:validation:Enum=Copy;Share
	CloudInit string `json:"cloudInit,omitempty"`
}

// CloneJobSpec says what to clone.
type CloneJobSpec struct {
	// source is what is cloned.
	// +required
	Source CloneSource `json:"source"`
	// targets are the new machines.
	// +required
	Targets CloneTargets `json:"targets"`
	// retentionPolicy says whether the clones go with the job.
	// +optional
	// +kubebuilder:default=Retain
	RetentionPolicy RetentionType `json:"retentionPolicy,omitempty"`
	JobLimits       `json:",inline"`
}

// CloneTargets are the new machines: one by name, or several numbered ones.
//
// +kubebuilder:validation:ExactlyOneOf=name;namePrefix
type CloneTargets struct {
	// namespace of the clones; the job's if unset.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Namespace string `json:"namespace,omitempty"`
	// name of the one clone.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`
	// namePrefix of several clones, which are named <namePrefix>-<ordinal>.
	// +optional
	// +kubebuilder:validation:MaxLength=58
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	NamePrefix string `json:"namePrefix,omitempty"`
	// count of the clones, with namePrefix.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	Count *int32 `json:"count,omitempty"`
	// start is the first ordinal, with namePrefix.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9999
	Start *int32 `json:"start,omitempty"`
	// labels are added to the clones.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	Labels map[string]string `json:"labels,omitempty"`
}

// CloneJobStatus is how far a clone has got.
type CloneJobStatus struct {
	// phase names the step.
	// +optional
	// +kubebuilder:validation:Enum=Pending;Snapshotting;Restoring;Customizing;Starting;Succeeded;Failed
	Phase     string `json:"phase,omitempty"`
	JobStatus `json:",inline"`
	// readyMachines is how many clones are done.
	// +optional
	ReadyMachines int32 `json:"readyMachines,omitempty"`
}
