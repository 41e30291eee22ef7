package v1alpha1

import (
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// JobLimits are the bounds every job has.
type JobLimits struct {
	// deadlineSeconds is how long the job may take before it fails, in seconds.
	// +optional
	// +default=21600
	// +kubebuilder:default=21600
	// +kubebuilder:validation:Minimum=60
	// +kubebuilder:validation:Maximum=2592000
	DeadlineSeconds *int64 `json:"deadlineSeconds,omitempty"`
	// ttlSecondsAfterFinished deletes the job that long after its end, in
	// seconds; it is kept if unset.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=31536000
	TTLSecondsAfterFinished *int64 `json:"ttlSecondsAfterFinished,omitempty"`
}

// JobStatus is what every job reports.
type JobStatus struct {
	// conditions of the job: Ready, and Stalled while it cannot go on.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// observedGeneration is the generation of the spec the status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// progress of the data on its way.
	// +optional
	Progress *Progress `json:"progress,omitempty"`
	// startTime is when the work began.
	// +optional
	StartTime *metav1.Time `json:"startTime,omitempty"`
	// completionTime is when the job ended, well or badly.
	// +optional
	CompletionTime *metav1.Time `json:"completionTime,omitempty"`
}

// Progress is how far data has got.
type Progress struct {
	// percent is 100 only after verification.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	Percent int32 `json:"percent,omitempty"`
	// bytesDone is how many bytes have been dealt with.
	// +optional
	BytesDone int64 `json:"bytesDone,omitempty"`
	// bytesTotal is how many there are, if known.
	// +optional
	BytesTotal *int64 `json:"bytesTotal,omitempty"`
	// bytesPerSecond is the current rate.
	// +optional
	BytesPerSecond int64 `json:"bytesPerSecond,omitempty"`
	// lastProgressTime is when the last byte moved.
	// +optional
	LastProgressTime *metav1.Time `json:"lastProgressTime,omitempty"`
	// attempts is how often the work was begun.
	// +optional
	Attempts int32 `json:"attempts,omitempty"`
	// nextRetryTime is when it is tried again.
	// +optional
	NextRetryTime *metav1.Time `json:"nextRetryTime,omitempty"`
}

// ImportJob brings a disk in and verifies it.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:categories=wukong
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Progress",type=integer,JSONPath=`.status.progress.percent`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type ImportJob struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// spec says what to import. It cannot be changed.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="is immutable: create another job"
	Spec ImportJobSpec `json:"spec"`
	// status is how far the import has got.
	// +optional
	Status ImportJobStatus `json:"status,omitzero"`
}

// ImportJobList is a list of ImportJob objects.
//
// +kubebuilder:object:root=true
type ImportJobList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ImportJob `json:"items"`
}

// ImportJobSpec says what to import.
type ImportJobSpec struct {
	// source is where the disk comes from.
	// +required
	Source ImportSource `json:"source"`
	// target is what the import makes.
	// +required
	Target ImportTarget `json:"target"`
	// rawSHA256 is the sha256 of the disk's raw content, which is verified.
	// +optional
	// +kubebuilder:validation:Pattern=`^[0-9a-f]{64}$`
	RawSHA256 string `json:"rawSHA256,omitempty"`
	// onFailure says whether a half-done import is deleted or kept.
	// +optional
	// +kubebuilder:default=Delete
	// +kubebuilder:validation:Enum=Delete;Keep
	OnFailure string `json:"onFailure,omitempty"`
	JobLimits `json:",inline"`
}

// ImportTarget is what an import makes.
type ImportTarget struct {
	// name of the PersistentVolumeClaim, and of the DataSource with
	// goldenImage.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name"`
	// size of the disk.
	// +required
	Size resource.Quantity `json:"size"`
	// storageClassName of the disk; the cluster's default if unset.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	StorageClassName *string `json:"storageClassName,omitempty"`
	// accessModes of the disk; what CDI's StorageProfile says if unset.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=4
	AccessModes []AccessMode `json:"accessModes,omitempty"`
	// volumeMode of the disk; what CDI's StorageProfile says if unset.
	// +optional
	VolumeMode VolumeMode `json:"volumeMode,omitempty"`
	// goldenImage also makes a snapshot and a DataSource, for fleets.
	// +optional
	GoldenImage *bool `json:"goldenImage,omitempty"`
}

// ImportJobStatus is how far an import has got.
type ImportJobStatus struct {
	// phase names the step.
	// +optional
	// +kubebuilder:validation:Enum=Pending;Importing;Verifying;Succeeded;Failed
	Phase     string `json:"phase,omitempty"`
	JobStatus `json:",inline"`
	// rawSHA256 is the sha256 that was verified.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	RawSHA256 string `json:"rawSHA256,omitempty"`
}

// RollbackJob takes a machine back to a snapshot.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:categories=wukong
// +kubebuilder:printcolumn:name="Machine",type=string,JSONPath=`.spec.virtualMachine`
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type RollbackJob struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// spec says what to roll back. It cannot be changed.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="is immutable: create another job"
	Spec RollbackJobSpec `json:"spec"`
	// status is how far the rollback has got.
	// +optional
	Status RollbackJobStatus `json:"status,omitzero"`
}

// RollbackJobList is a list of RollbackJob objects.
//
// +kubebuilder:object:root=true
type RollbackJobList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []RollbackJob `json:"items"`
}

// RollbackJobSpec says what to roll back.
type RollbackJobSpec struct {
	// virtualMachine is the machine, in the job's namespace.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	VirtualMachine string `json:"virtualMachine"`
	// snapshot is the VirtualMachineSnapshot to go back to.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Snapshot string `json:"snapshot"`
	// start says whether the machine runs afterwards: as before, or not.
	// +optional
	// +kubebuilder:default=AsBefore
	// +kubebuilder:validation:Enum=AsBefore;Never
	Start     string `json:"start,omitempty"`
	JobLimits `json:",inline"`
}

// RollbackJobStatus is how far a rollback has got.
type RollbackJobStatus struct {
	// phase names the step.
	// +optional
	// +kubebuilder:validation:Enum=Pending;SafetySnapshot;Stopping;Restoring;Starting;Succeeded;Reverting;Failed
	Phase     string `json:"phase,omitempty"`
	JobStatus `json:",inline"`
	// safetySnapshot is the VirtualMachineSnapshot taken first.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	SafetySnapshot string `json:"safetySnapshot,omitempty"`
}
