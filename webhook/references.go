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
	instancetypev1beta1 "kubevirt.io/api/instancetype/v1beta1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// maxReferences bounds how many missing objects a review looks for.
const maxReferences = 8

// reference is an object that a machine names, and needs in order to start.
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

// instancetypeKinds are the kinds that a machine takes its size from, and
// preferenceKinds those it takes devices from. The first of each is cluster-wide
// and stands where a machine names none.
func instancetypeKinds() []string {
	return []string{"VirtualMachineClusterInstancetype", "VirtualMachineInstancetype"}
}

func preferenceKinds() []string {
	return []string{"VirtualMachineClusterPreference", "VirtualMachinePreference"}
}

func instancetypeKind(kind string) schema.GroupVersionKind {
	return instancetypev1beta1.SchemeGroupVersion.WithKind(kind)
}

// matched finds the object that an instancetype or preference matcher names.
func matched(path *field.Path, namespace, kind, name string, kinds []string) []reference {
	if name == "" {
		return nil // inferred from a volume
	}
	ref := reference{path: path.Child("name").String(), kind: instancetypeKind(kinds[0]), key: types.NamespacedName{Name: name}}
	if strings.EqualFold(kind, kinds[1]) {
		ref.kind, ref.key.Namespace = instancetypeKind(kinds[1]), namespace
	}
	return []reference{ref}
}

// references lists what a machine names.
func references(vm *kubevirtv1.VirtualMachine) (all []reference) {
	spec := field.NewPath("spec")
	if m := vm.Spec.Instancetype; m != nil {
		all = append(all, matched(spec.Child("instancetype"), vm.Namespace, m.Kind, m.Name, instancetypeKinds())...)
	}
	if m := vm.Spec.Preference; m != nil {
		all = append(all, matched(spec.Child("preference"), vm.Namespace, m.Kind, m.Name, preferenceKinds())...)
	}
	return append(append(all, imageReferences(spec, vm)...), guestReferences(spec, vm)...)
}

// imageReferences lists the images that disks are cloned from.
func imageReferences(spec *field.Path, vm *kubevirtv1.VirtualMachine) (all []reference) {
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
	return all
}

// guestReferences lists the claims and networks of the guest.
func guestReferences(spec *field.Path, vm *kubevirtv1.VirtualMachine) (all []reference) {
	if vm.Spec.Template == nil {
		return nil
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
		place := "in the cluster"
		if ref.key.Namespace != "" {
			place = fmt.Sprintf("in namespace %q", ref.key.Namespace)
		}
		r.warnings = append(r.warnings, fmt.Sprintf("%s: no %s %q exists %s: the machine does not start until it does",
			ref.path, ref.kind.Kind, ref.key.Name, place))
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
