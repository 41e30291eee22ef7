package cdi

// The annotations and labels of CDI, named as in its documentation.
const (
	group = "cdi.kubevirt.io"

	annPodPhase         = group + "/storage.pod.phase"
	annPodReady         = group + "/storage.pod.ready"
	annPodRestarts      = group + "/storage.pod.restarts"
	annFatalError       = group + "/storage.import.fatalError"
	annImportPod        = group + "/storage.import.importPodName"
	annSource           = group + "/storage.import.source"
	annEndpoint         = group + "/storage.import.endpoint"
	annContentType      = group + "/storage.contentType"
	annPreallocation    = group + "/storage.preallocation.requested"
	annPopulatedFor     = group + "/storage.populatedFor"
	annPrePopulated     = group + "/storage.prePopulated"
	annProgress         = group + "/storage.populator.progress"
	annPrimeName        = group + "/storage.populator.pvcPrime"
	annPopulatorKind    = group + "/storage.populator.kind"
	annUsePopulator     = group + "/storage.usePopulator"
	annRunning          = group + "/storage.condition.running"
	annRunningMessage   = annRunning + ".message"
	annRunningReason    = annRunning + ".reason"
	annImmediateBinding = group + "/storage.bind.immediate.requested"
	annCloneType        = group + "/cloneType"
	annClonePhase       = group + "/clonePhase"
	annCloneError       = group + "/cloneError"
	annCloneFallback    = group + "/cloneFallbackReason"
	annSourceNamespace  = group + "/dataSourceNamespace"
	annCloneRequest     = "k8s.io/CloneRequest"
	annUploadRequest    = group + "/storage.upload.target"
	annAllowAdoption    = group + "/allowClaimAdoption"
	annCreatedFor       = group + "/createdForDataVolume"
	annAdvisedSize      = group + "/storage.import.advisedRestoreSize"
	annSourceMode       = group + "/storage.import.sourceVolumeMode"
	annOwnedBy          = group + "/ownedByDataVolume"

	annDesiredDigest = group + "/storage.import.sourceDesiredDigest"
	annNextCronTime  = group + "/storage.import.nextCronTime"
	annLastCronTime  = group + "/storage.import.lastCronTime"
	annLastUseTime   = group + "/storage.import.lastUseTime"
	annStorageClass  = group + "/storage.import.storageClass"

	labelApp         = "app"
	labelAppValue    = "containerized-data-importer"
	labelOwnedBy     = group + "/OwnedByUID"
	labelCron        = group + "/dataImportCron"
	labelCronCleanup = group + "/dataImportCron.cleanup"

	cloneFinalizer          = group + "/clonePopulator"
	crossNamespaceFinalizer = group + "/dataVolumeFinalizer"
	// defaultsPrefix begins the labels that say which instance type an image wants.
	defaultsPrefix = "instancetype.kubevirt.io/default-"

	snapshotGroup = "snapshot.storage.k8s.io"
	kindSnapshot  = "VolumeSnapshot"
	kindClaim     = "PersistentVolumeClaim"
)
