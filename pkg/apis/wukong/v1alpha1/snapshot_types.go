package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// SnapshotPolicy takes snapshots of machines on a schedule, and deletes old
// ones.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=snapshotpolicies,singular=snapshotpolicy,categories=wukong
// +kubebuilder:printcolumn:name="Schedule",type=string,JSONPath=`.spec.schedule`
// +kubebuilder:printcolumn:name="Last",type=date,JSONPath=`.status.lastScheduleTime`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type SnapshotPolicy struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// spec says what is snapshotted, and when.
	// +required
	Spec SnapshotPolicySpec `json:"spec"`
	// status is what the policy has done.
	// +optional
	Status SnapshotPolicyStatus `json:"status,omitzero"`
}

// SnapshotPolicyList is a list of SnapshotPolicy objects.
//
// +kubebuilder:object:root=true
type SnapshotPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []SnapshotPolicy `json:"items"`
}

// SnapshotPolicySpec says what is snapshotted, and when.
type SnapshotPolicySpec struct {
	// selector picks machines by label. In a pool it must be unset: the pool
	// is the selector. Machines that carry the annotation
	// wukong.io/snapshot-policy with the policy's name are always included.
	// +optional
	Selector *metav1.LabelSelector `json:"selector,omitempty"`
	// virtualMachines picks machines by name.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=1000
	// +kubebuilder:validation:items:MaxLength=63
	VirtualMachines []string `json:"virtualMachines,omitempty"`
	// schedule is a cron expression of five fields.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Schedule string `json:"schedule"`
	// timeZone of the schedule by its IANA name; UTC if unset.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	TimeZone string `json:"timeZone,omitempty"`
	// suspend stops the schedule, not what is under way.
	// +optional
	Suspend *bool `json:"suspend,omitempty"`
	// startingDeadlineSeconds is how late a run may start, in seconds.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=604800
	StartingDeadlineSeconds *int64 `json:"startingDeadlineSeconds,omitempty"`
	// concurrencyPolicy says whether a run may start while the last one is
	// under way.
	// +optional
	// +default="Forbid"
	// +kubebuilder:validation:Enum=Forbid;Allow
	ConcurrencyPolicy string `json:"concurrencyPolicy,omitempty"`
	// consistency is Required, where a snapshot counts only if the guest's file
	// systems were frozen; Preferred; or CrashConsistent, which does not ask.
	// +optional
	// +default="Preferred"
	// +kubebuilder:validation:Enum=Required;Preferred;CrashConsistent
	Consistency string `json:"consistency,omitempty"`
	// staggerWindowSeconds spreads the machines of a run over this many seconds,
	// each always at the same place.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=86400
	StaggerWindowSeconds *int64 `json:"staggerWindowSeconds,omitempty"`
	// retention says which snapshots are deleted. The last ready one never is.
	// +optional
	Retention *SnapshotRetention `json:"retention,omitempty"`
	// whenDeleted says what happens to the snapshots when the policy goes.
	// +optional
	// +default="Retain"
	WhenDeleted RetentionType `json:"whenDeleted,omitempty"`
}

// SnapshotRetention says which snapshots are kept. A snapshot is deleted when
// it is past maxCount or maxAge, or when keep rules are set and none keeps it.
type SnapshotRetention struct {
	// maxCount is how many ready snapshots of a machine are kept.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	MaxCount *int32 `json:"maxCount,omitempty"`
	// maxAge is how long they are kept, as a duration such as 720h.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(s|m|h))+$`
	MaxAge *metav1.Duration `json:"maxAge,omitempty"`
	// keepLast keeps the newest.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	KeepLast *int32 `json:"keepLast,omitempty"`
	// keepDaily keeps the newest of so many days.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	KeepDaily *int32 `json:"keepDaily,omitempty"`
	// keepWeekly keeps the newest of so many weeks.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	KeepWeekly *int32 `json:"keepWeekly,omitempty"`
	// keepMonthly keeps the newest of so many months.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	KeepMonthly *int32 `json:"keepMonthly,omitempty"`
	// maxFailed is how many failed snapshots are kept.
	// +optional
	// +default=2
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	MaxFailed *int32 `json:"maxFailed,omitempty"`
}

// SnapshotPolicyStatus is what a policy has done.
type SnapshotPolicyStatus struct {
	// conditions of the policy: Ready; Stalled while it cannot run.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// observedGeneration is the generation of the spec the status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// lastScheduleTime is when the last run was due.
	// +optional
	LastScheduleTime *metav1.Time `json:"lastScheduleTime,omitempty"`
	// nextScheduleTime is when the next run is due.
	// +optional
	NextScheduleTime *metav1.Time `json:"nextScheduleTime,omitempty"`
	// readySnapshots is how many of the policy's snapshots are ready.
	// +optional
	ReadySnapshots int32 `json:"readySnapshots,omitempty"`
	// failedSnapshots is how many failed.
	// +optional
	FailedSnapshots int32 `json:"failedSnapshots,omitempty"`
	// failures are the first machines that have no snapshot of the last run.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10
	Failures []Failure `json:"failures,omitempty"`
}
