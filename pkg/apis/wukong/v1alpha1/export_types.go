package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ExportJob takes the disks of a machine, a snapshot or a claim out of the
// cluster, and verifies what it wrote.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:categories=wukong
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Progress",type=integer,JSONPath=`.status.progress.percent`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type ExportJob struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// spec says what to export. It cannot be changed.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="is immutable: create another job"
	Spec ExportJobSpec `json:"spec"`
	// status is how far the export has got.
	// +optional
	Status ExportJobStatus `json:"status,omitzero"`
}

// ExportJobList is a list of ExportJob objects.
//
// +kubebuilder:object:root=true
type ExportJobList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ExportJob `json:"items"`
}

// ExportJobSpec says what to export.
type ExportJobSpec struct {
	// source is what is exported.
	// +required
	Source ExportSource `json:"source"`
	// target is where it goes.
	// +required
	Target    ExportTarget `json:"target"`
	JobLimits `json:",inline"`
}

// ExportSource is what is exported, in the job's namespace. Exactly one member
// is set.
//
// +kubebuilder:validation:ExactlyOneOf=virtualMachine;snapshot;pvc
type ExportSource struct {
	// virtualMachine is a machine; a running one by a snapshot of it.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	VirtualMachine string `json:"virtualMachine,omitempty"`
	// snapshot is a VirtualMachineSnapshot.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Snapshot string `json:"snapshot,omitempty"`
	// pvc is a PersistentVolumeClaim.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	PVC string `json:"pvc,omitempty"`
}

// ExportTarget is where disks are exported to. Exactly one of registry, s3 and
// pvc is set.
//
// +kubebuilder:validation:ExactlyOneOf=registry;s3;pvc
type ExportTarget struct {
	// registry pushes a containerdisk to an OCI registry.
	// +optional
	Registry *RegistryTarget `json:"registry,omitempty"`
	// s3 writes objects to a bucket.
	// +optional
	S3 *S3Target `json:"s3,omitempty"`
	// pvc writes files to a claim.
	// +optional
	PVC *ClaimTarget `json:"pvc,omitempty"`
	// disks to export by name; all if unset.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=63
	Disks []string `json:"disks,omitempty"`
	// schedule is a cron expression of five fields; once if unset.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	Schedule string `json:"schedule,omitempty"`
	// timeZone of the schedule; UTC if unset.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	TimeZone string `json:"timeZone,omitempty"`
	// serviceAccountName is the ServiceAccount whose rights a scheduled export
	// has, checked at every run. It is required with schedule.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	ServiceAccountName string `json:"serviceAccountName,omitempty"`
}

// DiskFormat is the format of an exported disk.
//
// +kubebuilder:validation:Enum=qcow2;raw
type DiskFormat string

// RegistryTarget is an image in an OCI registry.
type RegistryTarget struct {
	// image to push, without docker://. In a pool it may hold tokens; without
	// a tag, each machine's name is its tag.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Image string `json:"image"`
	// secretName is a Secret of type kubernetes.io/dockerconfigjson.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	SecretName string `json:"secretName,omitempty"`
	// certConfigMap is a ConfigMap with the registry's CA.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	CertConfigMap string `json:"certConfigMap,omitempty"`
	// format is a qcow2 or raw containerdisk, or KubeVirt's own OCI layout.
	// +optional
	// +default="qcow2"
	// +kubebuilder:validation:Enum=qcow2;raw;kubevirt-oci
	Format string `json:"format,omitempty"`
	// overwrite says whether an existing tag may be moved.
	// +optional
	// +default="Never"
	// +kubebuilder:validation:Enum=Never;Always
	Overwrite string `json:"overwrite,omitempty"`
}

// S3Target is a prefix in an S3 bucket.
type S3Target struct {
	// endpoint is the server's URL.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:Pattern=`^https?://\S+$`
	Endpoint string `json:"endpoint"`
	// bucket to write to.
	// +required
	// +kubebuilder:validation:MinLength=3
	// +kubebuilder:validation:MaxLength=63
	Bucket string `json:"bucket"`
	// prefix of the objects' keys. In a pool it may hold tokens.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Prefix string `json:"prefix,omitempty"`
	// region of the bucket.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Region string `json:"region,omitempty"`
	// secretName is a Secret with keys accessKeyId and secretKey.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	SecretName string `json:"secretName,omitempty"`
	// certConfigMap is a ConfigMap with the server's CA.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	CertConfigMap string `json:"certConfigMap,omitempty"`
	// format of the files.
	// +optional
	// +default="qcow2"
	Format DiskFormat `json:"format,omitempty"`
}

// ClaimTarget is a folder on a PersistentVolumeClaim.
type ClaimTarget struct {
	// claimName is the claim, in the job's namespace.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	ClaimName string `json:"claimName"`
	// path of the folder. In a pool it may hold tokens.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Path string `json:"path,omitempty"`
	// format of the files.
	// +optional
	// +default="qcow2"
	Format DiskFormat `json:"format,omitempty"`
}

// ExportJobStatus is how far an export has got.
type ExportJobStatus struct {
	// phase names the step.
	// +optional
	// +kubebuilder:validation:Enum=Pending;Snapshotting;Preparing;Transferring;Verifying;Publishing;Succeeded;Failed;Cancelled
	Phase     string `json:"phase,omitempty"`
	JobStatus `json:",inline"`
	// results are what was written, by disk.
	// +optional
	// +listType=map
	// +listMapKey=disk
	// +kubebuilder:validation:MaxItems=32
	Results []ExportResult `json:"results,omitempty"`
}

// ExportResult is what was written of one disk.
type ExportResult struct {
	// disk that was exported.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Disk string `json:"disk"`
	// location of what was written: an image by digest, an object or a file.
	// +optional
	// +kubebuilder:validation:MaxLength=2048
	Location string `json:"location,omitempty"`
	// rawSHA256 is the sha256 of the disk's raw content.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	RawSHA256 string `json:"rawSHA256,omitempty"`
}
