// Package controller lists Wukong's controllers; each has a package of its own.
package controller

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/clock"
	kubevirtv1 "kubevirt.io/api/core/v1"
	snapshotv1beta1 "kubevirt.io/api/snapshot/v1beta1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"wukong.io/wukong/pkg/apis/wukong/v1alpha1"
	"wukong.io/wukong/pkg/controller/request"
	"wukong.io/wukong/pkg/validation"
)

// AddToScheme registers the kinds the controllers read and write.
func AddToScheme(scheme *runtime.Scheme) error {
	builder := runtime.NewSchemeBuilder(kubevirtv1.AddToScheme, snapshotv1beta1.AddToScheme, v1alpha1.AddToScheme)
	return builder.AddToScheme(scheme)
}

// CacheOptions are what the controllers' caches keep: managed fields are as
// large as the rest of an object, and nobody reads them.
func CacheOptions() cache.Options {
	return cache.Options{DefaultTransform: stripMeta}
}

// stripMeta drops what no controller reads.
func stripMeta(in any) (any, error) {
	if object, ok := in.(metav1.Object); ok {
		object.SetManagedFields(nil)
		if annotations := object.GetAnnotations(); annotations["kubectl.kubernetes.io/last-applied-configuration"] != "" {
			delete(annotations, "kubectl.kubernetes.io/last-applied-configuration")
			object.SetAnnotations(annotations)
		}
	}
	return in, nil
}

// Setup adds every controller to a manager.
func Setup(mgr ctrl.Manager, policy *validation.Policy) error {
	requests := request.New(mgr.GetClient(), mgr.GetAPIReader(), mgr.GetEventRecorder("wukong-request"), clock.RealClock{}, policy)
	if err := requests.Setup(mgr); err != nil {
		return fmt.Errorf("request: %w", err)
	}
	return nil
}
