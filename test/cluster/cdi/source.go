package cdi

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// populatorObject is the object that tells a populator what to fill the claim of a DataVolume with.
func populatorObject(dv *cdiv1.DataVolume, source *cdiv1.DataVolumeSource) client.Object {
	meta := func(prefix, namespace string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Name: prefix + "-" + string(dv.UID), Namespace: namespace}
	}
	kind, namespace, name := cloneSource(source, dv.Namespace)
	if kind != "" {
		clone := &cdiv1.VolumeCloneSource{ObjectMeta: meta("volume-clone-source", namespace)}
		clone.Spec.Source = corev1.TypedLocalObjectReference{Kind: kind, Name: name}
		if kind == kindSnapshot {
			clone.Spec.Source.APIGroup = new(snapshotGroup)
		}
		return clone
	}
	if source.Upload != nil {
		upload := &cdiv1.VolumeUploadSource{ObjectMeta: meta("volume-upload-source", dv.Namespace)}
		upload.Spec.ContentType = dv.Spec.ContentType
		return upload
	}
	imported := &cdiv1.VolumeImportSource{ObjectMeta: meta("volume-import-source", dv.Namespace)}
	imported.Spec.ContentType = dv.Spec.ContentType
	imported.Spec.Source = importSource(source)
	return imported
}

func kindOfPopulator(object client.Object) string {
	switch object.(type) {
	case *cdiv1.VolumeCloneSource:
		return cdiv1.VolumeCloneSourceRef
	case *cdiv1.VolumeUploadSource:
		return cdiv1.VolumeUploadSourceRef
	default:
		return cdiv1.VolumeImportSourceRef
	}
}

func importSource(source *cdiv1.DataVolumeSource) *cdiv1.ImportSourceType {
	return &cdiv1.ImportSourceType{
		HTTP: source.HTTP, S3: source.S3, GCS: source.GCS, Registry: source.Registry,
		Blank: source.Blank, Imageio: source.Imageio, VDDK: source.VDDK,
	}
}

// sourceName is the name CDI's annotations give a source.
func sourceName(source *cdiv1.DataVolumeSource) string {
	switch {
	case source.HTTP != nil:
		return "http"
	case source.S3 != nil:
		return "s3"
	case source.GCS != nil:
		return "gcs"
	case source.Registry != nil:
		return "registry"
	case source.Imageio != nil:
		return "imageio"
	case source.VDDK != nil:
		return "vddk"
	case source.Upload != nil:
		return "upload"
	case source.PVC != nil, source.Snapshot != nil:
		return "clone"
	default:
		return "none"
	}
}
