package v1alpha1

import "k8s.io/apimachinery/pkg/api/resource"

// Image is a golden image: imported once, cloned for every machine.
//
// +kubebuilder:validation:XValidation:rule="has(self.importSource) != has(self.dataSource)",message="exactly one of importSource and dataSource must be set"
type Image struct {
	// importSource is where the image comes from. Exactly one of importSource
	// and dataSource must be set.
	// +optional
	ImportSource *ImportSource `json:"importSource,omitempty"`
	// dataSource names a CDI DataSource that exists already, such as a golden
	// image of the cluster; nothing is imported.
	// +optional
	DataSource *DataSourceReference `json:"dataSource,omitempty"`
	// size is the size of the imported disk. It is required with
	// importSource.
	// +optional
	Size *resource.Quantity `json:"size,omitempty"`
	// storageClassName is the StorageClass of the imported disk; the cluster's
	// default if unset.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	StorageClassName *string `json:"storageClassName,omitempty"`
	// accessModes of the imported disk; what CDI's StorageProfile says if unset.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=4
	AccessModes []AccessMode `json:"accessModes,omitempty"`
	// volumeMode of the imported disk; what CDI's StorageProfile says if unset.
	// +optional
	VolumeMode VolumeMode `json:"volumeMode,omitempty"`
	// cloneFrom says what machines are cloned from: one VolumeSnapshot of the
	// imported disk, or the disk itself, for storage that cannot snapshot. CDI
	// decides that by itself for an image with a schedule.
	// +optional
	// +default="Snapshot"
	// +kubebuilder:validation:Enum=Snapshot;PersistentVolumeClaim
	CloneFrom string `json:"cloneFrom,omitempty"`
	// volumeSnapshotClassName is the class of the snapshot that machines are
	// cloned from; the default one of the storage's driver if unset.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	VolumeSnapshotClassName *string `json:"volumeSnapshotClassName,omitempty"`
	// schedule is a cron expression of five fields. With it the image is
	// imported again whenever the registry has a newer one (a DataImportCron),
	// and new machines get the newest.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	Schedule string `json:"schedule,omitempty"`
	// importsToKeep is how many imports of a schedule are kept.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	ImportsToKeep *int32 `json:"importsToKeep,omitempty"`
}

// DataSourceReference names a CDI DataSource.
type DataSourceReference struct {
	// namespace of the DataSource; the fleet's if unset.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Namespace string `json:"namespace,omitempty"`
	// name of the DataSource.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	Name string `json:"name"`
}

// AccessMode is how a volume may be mounted.
//
// +kubebuilder:validation:Enum=ReadWriteOnce;ReadOnlyMany;ReadWriteMany;ReadWriteOncePod
type AccessMode string

// VolumeMode is whether a volume is a block device or holds a file system.
//
// +kubebuilder:validation:Enum=Block;Filesystem
type VolumeMode string

// ImportSource is where a disk is imported from. Exactly one member is set.
//
// +kubebuilder:validation:ExactlyOneOf=registry;http;s3;gcs;imageio;vddk;upload;pvc
type ImportSource struct {
	// registry is a containerdisk in a registry.
	// +optional
	Registry *RegistrySource `json:"registry,omitempty"`
	// http is a file on an HTTP server.
	// +optional
	HTTP *HTTPSource `json:"http,omitempty"`
	// s3 is an object in an S3 bucket.
	// +optional
	S3 *S3Source `json:"s3,omitempty"`
	// gcs is an object in a Google Cloud Storage bucket.
	// +optional
	GCS *GCSSource `json:"gcs,omitempty"`
	// imageio is a disk of an oVirt engine.
	// +optional
	ImageIO *ImageIOSource `json:"imageio,omitempty"`
	// vddk is a disk of a VMware vSphere machine.
	// +optional
	VDDK *VDDKSource `json:"vddk,omitempty"`
	// upload waits for somebody to upload the disk.
	// +optional
	Upload *UploadSource `json:"upload,omitempty"`
	// pvc is an existing PersistentVolumeClaim.
	// +optional
	PVC *NamespacedName `json:"pvc,omitempty"`
}

// RegistrySource is a containerdisk in an OCI registry.
type RegistrySource struct {
	// url is docker://<registry>/<repository>:<tag>, or with @sha256:<digest>.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:Pattern=`^(docker|oci-archive)://\S+$`
	URL string `json:"url"`
	// pullMethod is pod, where the importer reads the registry itself, or
	// node, where the node pulls the image.
	// +optional
	// +kubebuilder:validation:Enum=pod;node
	PullMethod string `json:"pullMethod,omitempty"`
	// secretName is a Secret with keys accessKeyId and secretKey.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	SecretName string `json:"secretName,omitempty"`
	// certConfigMap is a ConfigMap with the registry's CA.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	CertConfigMap string `json:"certConfigMap,omitempty"`
	// architecture picks one image of a multi-architecture one.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	Architecture string `json:"architecture,omitempty"`
}

// HTTPSource is a raw or qcow2 file, plain or compressed, on an HTTP server.
type HTTPSource struct {
	// url is http:// or https://.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:Pattern=`^https?://\S+$`
	URL string `json:"url"`
	// checksum of the file, as <algorithm>:<hex>. It needs CDI 1.65.
	// +optional
	// +kubebuilder:validation:MaxLength=140
	// +kubebuilder:validation:Pattern=`^(md5:[0-9a-f]{32}|sha1:[0-9a-f]{40}|sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$`
	Checksum string `json:"checksum,omitempty"`
	// secretName is a Secret with keys accessKeyId and secretKey, for basic
	// authentication.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	SecretName string `json:"secretName,omitempty"`
	// certConfigMap is a ConfigMap with the server's CA.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	CertConfigMap string `json:"certConfigMap,omitempty"`
	// extraHeaders are sent with every request. They are stored in the clear:
	// a secret one belongs in secretExtraHeaders.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=1024
	ExtraHeaders []string `json:"extraHeaders,omitempty"`
	// secretExtraHeaders are Secrets whose values are sent as headers.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=253
	SecretExtraHeaders []string `json:"secretExtraHeaders,omitempty"`
}

// S3Source is an object in an S3 bucket.
type S3Source struct {
	// url of the object.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:Pattern=`^https?://\S+$`
	URL string `json:"url"`
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
}

// GCSSource is an object in a Google Cloud Storage bucket.
type GCSSource struct {
	// url of the object.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:Pattern=`^(gs|https?)://\S+$`
	URL string `json:"url"`
	// secretName is a Secret with the service account's key.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	SecretName string `json:"secretName,omitempty"`
}

// ImageIOSource is a disk of an oVirt engine.
type ImageIOSource struct {
	// url of the engine.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:Pattern=`^https?://\S+$`
	URL string `json:"url"`
	// diskId is the disk's id in oVirt.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	DiskID string `json:"diskId"`
	// secretName is a Secret with keys accessKeyId and secretKey.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	SecretName string `json:"secretName,omitempty"`
	// certConfigMap is a ConfigMap with the engine's CA.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	CertConfigMap string `json:"certConfigMap,omitempty"`
}

// VDDKSource is a disk of a VMware vSphere machine.
type VDDKSource struct {
	// url of the vCenter or ESXi host.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:Pattern=`^https?://\S+$`
	URL string `json:"url"`
	// uuid of the virtual machine.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	UUID string `json:"uuid"`
	// backingFile is the path of the disk's file.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	BackingFile string `json:"backingFile"`
	// thumbprint of the host's certificate.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Thumbprint string `json:"thumbprint"`
	// secretName is a Secret with keys accessKeyId and secretKey.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	SecretName string `json:"secretName"`
	// initImageURL is an image with the VDDK library; CDI's if unset.
	// +optional
	// +kubebuilder:validation:MaxLength=2048
	InitImageURL string `json:"initImageURL,omitempty"`
}

// UploadSource waits for somebody to upload the disk.
type UploadSource struct{}

// NamespacedName names an object that may be in another namespace.
type NamespacedName struct {
	// namespace of the object; the fleet's if unset.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Namespace string `json:"namespace,omitempty"`
	// name of the object.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9@]([-a-z0-9.@]*[a-z0-9@])?$`
	Name string `json:"name"`
}
