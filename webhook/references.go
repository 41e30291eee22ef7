package webhook

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	kubevirtv1 "kubevirt.io/api/core/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// maxReferences bounds how many missing objects a review looks for.
const maxReferences = 8

// reference is an object that a machine names, and needs in order to start.
// KubeVirt itself refuses an instancetype or preference that does not exist.
type reference struct {
	path string
	kind schema.GroupVersionKind
	key  types.NamespacedName
}

func networkKind() schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: "k8s.cni.cncf.io", Version: "v1", Kind: "NetworkAttachmentDefinition"}
}

func dataSourceKind() schema.GroupVersionKind {
	return cdiv1.SchemeGroupVersion.WithKind("DataSource")
}

func claimKind() schema.GroupVersionKind {
	return corev1.SchemeGroupVersion.WithKind("PersistentVolumeClaim")
}

// references lists what a machine names.
func references(vm *kubevirtv1.VirtualMachine) (all []reference) {
	spec := field.NewPath("spec")
	for i, template := range vm.Spec.DataVolumeTemplates {
		if ref := template.Spec.SourceRef; ref != nil && ref.Kind == "DataSource" {
			namespace := vm.Namespace
			if ref.Namespace != nil {
				namespace = cmp.Or(*ref.Namespace, namespace)
			}
			all = append(all, reference{
				path: spec.Child("dataVolumeTemplates").Index(i).Child("spec", "sourceRef").String(), kind: dataSourceKind(),
				key: types.NamespacedName{Namespace: namespace, Name: ref.Name},
			})
		}
	}
	if vm.Spec.Template == nil {
		return all
	}
	guest := spec.Child("template", "spec")
	for i, volume := range vm.Spec.Template.Spec.Volumes {
		if claim := volume.PersistentVolumeClaim; claim != nil && !claim.Hotpluggable {
			all = append(all, reference{
				path: guest.Child("volumes").Index(i).Child("persistentVolumeClaim", "claimName").String(), kind: claimKind(),
				key: types.NamespacedName{Namespace: vm.Namespace, Name: claim.ClaimName},
			})
		}
	}
	for i, network := range vm.Spec.Template.Spec.Networks {
		if network.Multus == nil {
			continue
		}
		namespace, name, qualified := strings.Cut(network.Multus.NetworkName, "/")
		if !qualified {
			namespace, name = vm.Namespace, network.Multus.NetworkName
		}
		all = append(all, reference{
			path: guest.Child("networks").Index(i).Child("multus", "networkName").String(), kind: networkKind(),
			key: types.NamespacedName{Namespace: namespace, Name: name},
		})
	}
	return all
}

// checkReferences warns about what a machine newly names and does not exist. It
// may come later, so nothing is refused.
func (r *machineReview) checkReferences() {
	had := map[types.NamespacedName]schema.GroupVersionKind{}
	for _, ref := range references(r.before) {
		had[ref.key] = ref.kind
	}
	missing := 0
	for _, ref := range references(r.vm) {
		if had[ref.key] == ref.kind || missing == maxReferences || r.exists(ref) {
			continue
		}
		missing++
		r.warnings = append(r.warnings, fmt.Sprintf("%s: no %s %q exists in namespace %q: the machine does not start until it does",
			ref.path, ref.kind.Kind, ref.key.Name, ref.key.Namespace))
	}
}

// exists asks the cache, and where that has nothing the API server: what was
// made a moment ago has not reached the cache.
func (r *machineReview) exists(ref reference) bool {
	if r.lookup(r.ctx, r.cache, ref) == nil {
		return true
	}
	return !apierrors.IsNotFound(r.lookup(r.ctx, r.reader, ref))
}

func (r *machineReview) lookup(ctx context.Context, reader client.Reader, ref reference) error {
	if ref.kind == claimKind() {
		return reader.Get(ctx, ref.key, &corev1.PersistentVolumeClaim{})
	}
	return reader.Get(ctx, ref.key, metadataOnly(ref.kind))
}

// metadataOnly gives an object of a kind of which nothing but its metadata is
// read.
func metadataOnly(kind schema.GroupVersionKind) *metav1.PartialObjectMetadata {
	object := &metav1.PartialObjectMetadata{}
	object.SetGroupVersionKind(kind)
	return object
}
