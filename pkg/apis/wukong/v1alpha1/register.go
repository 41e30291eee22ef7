package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupName is the API group of every kind of this package.
const GroupName = "wukong.io"

// SchemeGroupVersion is the group and version of every kind of this package.
//
//nolint:gochecknoglobals // the field's convention for API packages
var SchemeGroupVersion = schema.GroupVersion{Group: GroupName, Version: "v1alpha1"}

// AddToScheme registers the kinds of this package with a scheme.
func AddToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(SchemeGroupVersion,
		&Wukong{}, &WukongList{},
		&ImportJob{}, &ImportJobList{},
		&ExportJob{}, &ExportJobList{},
		&CloneJob{}, &CloneJobList{},
		&RollbackJob{}, &RollbackJobList{},
		&SnapshotPolicy{}, &SnapshotPolicyList{},
	)
	metav1.AddToGroupVersion(scheme, SchemeGroupVersion)
	return nil
}
