package fleet

import (
	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	volumesnapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	kubevirtv1 "kubevirt.io/api/core/v1"
	snapshotv1beta1 "kubevirt.io/api/snapshot/v1beta1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"wukong.io/wukong/pkg/apis/wukong/v1alpha1"
)

// AddToScheme registers every type the renderer can give but
// NodeNetworkConfigurationPolicy, whose desired state has no Go type and which
// is given as *unstructured.Unstructured.
func AddToScheme(scheme *runtime.Scheme) error {
	builder := runtime.NewSchemeBuilder(
		corev1.AddToScheme,
		kubevirtv1.AddToScheme,
		snapshotv1beta1.AddToScheme,
		cdiv1.AddToScheme,
		volumesnapshotv1.AddToScheme,
		nadv1.AddToScheme,
		v1alpha1.AddToScheme,
	)
	return builder.AddToScheme(scheme)
}
