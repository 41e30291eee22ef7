package cdi

import (
	"context"
	"slices"
	"strconv"
	"strings"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
	sdkapi "kubevirt.io/controller-lifecycle-operator-sdk/api"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

const (
	annDefaultClass     = "storageclass.kubernetes.io/is-default-class"
	annDefaultVirtClass = "storageclass.kubevirt.io/is-default-virt-class"
	annDefaultSnapshots = "snapshot.storage.kubernetes.io/is-default-class"
	annCloneStrategy    = group + "/clone-strategy"
)

// setupConfig makes the objects by which others find out that CDI is installed and how it is set.
func setupConfig(_ context.Context, e *env) error {
	return e.manager.Add(manager.RunnableFunc(func(ctx context.Context) error {
		return e.createConfig(ctx)
	}))
}

func (e *env) createConfig(ctx context.Context) error {
	config := &cdiv1.CDIConfig{ObjectMeta: metav1.ObjectMeta{Name: "config"}}
	overhead := cdiv1.Percent(strconv.FormatFloat(e.overhead, 'f', -1, 64))
	config.Spec.FeatureGates = []string{"HonorWaitForFirstConsumer"}
	config.Status.FilesystemOverhead = &cdiv1.FilesystemOverhead{Global: overhead}
	config.Status.UploadProxyURL = new(e.endpoint.url())
	if err := e.Create(ctx, config); err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	installed := &cdiv1.CDI{ObjectMeta: metav1.ObjectMeta{Name: "cdi"}}
	installed.Status.Phase = sdkapi.PhaseDeployed
	installed.Status.ObservedVersion, installed.Status.TargetVersion, installed.Status.OperatorVersion = "v1.66.0", "v1.66.0", "v1.66.0"
	if err := e.Create(ctx, installed); err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	return nil
}

// profiles keeps one StorageProfile per StorageClass.
type profiles struct{ *env }

func setupProfiles(_ context.Context, e *env) error {
	p := &profiles{e}
	sameName := handler.EnqueueRequestsFromMapFunc(func(_ context.Context, obj client.Object) []reconcile.Request {
		return []reconcile.Request{{NamespacedName: client.ObjectKey{Name: obj.GetName()}}}
	})
	return ctrl.NewControllerManagedBy(e.manager).Named("storageprofile").
		For(&storagev1.StorageClass{}).
		Watches(&cdiv1.StorageProfile{}, sameName).
		Watches(&snapshotv1.VolumeSnapshotClass{}, handler.EnqueueRequestsFromMapFunc(p.allClasses)).
		Complete(p)
}

func (p *profiles) allClasses(ctx context.Context, _ client.Object) []reconcile.Request {
	var classes storagev1.StorageClassList
	if err := p.List(ctx, &classes); err != nil {
		return nil // only a stopped cache refuses a list
	}
	var requests []reconcile.Request
	for _, class := range classes.Items {
		requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKey{Name: class.Name}})
	}
	return requests
}

// Reconcile brings the profile of one class up to date.
func (p *profiles) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	profile := &cdiv1.StorageProfile{ObjectMeta: metav1.ObjectMeta{Name: req.Name}}
	class := &storagev1.StorageClass{}
	found, err := p.get(ctx, "", req.Name, class)
	if err != nil {
		return reconcile.Result{}, err
	}
	if !found {
		return reconcile.Result{}, client.IgnoreNotFound(p.Delete(ctx, profile))
	}
	exists, err := p.get(ctx, "", req.Name, profile)
	if err == nil && !exists {
		setLabel(profile, labelApp, labelAppValue)
		err = p.Create(ctx, profile)
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	old := profile.DeepCopy()
	if err := p.fill(ctx, profile, class); err != nil {
		return reconcile.Result{}, err
	}
	if equality.Semantic.DeepEqual(old.Status, profile.Status) {
		return reconcile.Result{}, nil
	}
	return reconcile.Result{}, p.Status().Patch(ctx, profile, client.MergeFrom(old))
}

func (p *profiles) fill(ctx context.Context, profile *cdiv1.StorageProfile, class *storagev1.StorageClass) error {
	snapshotClass, err := p.snapshotClass(ctx, class.Provisioner, profile.Spec.SnapshotClass)
	if err != nil {
		return err
	}
	known, recognized := p.options.Provisioners[class.Provisioner]
	status := &profile.Status
	status.StorageClass, status.Provisioner = &class.Name, &class.Provisioner
	status.SnapshotClass = nil
	if snapshotClass != "" {
		status.SnapshotClass = &snapshotClass
	}
	status.CloneStrategy = new(cloneStrategy(profile, class, known, snapshotClass))
	status.DataImportCronSourceFormat = new(sourceFormat(profile, known, snapshotClass))
	status.ClaimPropertySets = known.ClaimPropertySets
	if len(profile.Spec.ClaimPropertySets) > 0 {
		status.ClaimPropertySets = profile.Spec.ClaimPropertySets
	}
	status.Conditions = []cdiv1.StorageProfileCondition{recognizedCondition(status.Conditions, recognized, metav1.NewTime(p.clock.Now()))}
	return nil
}

func recognizedCondition(have []cdiv1.StorageProfileCondition, recognized bool, now metav1.Time) cdiv1.StorageProfileCondition {
	condition := cdiv1.StorageProfileCondition{Type: cdiv1.StorageProfileRecognized}
	condition.Status, condition.Reason, condition.Message = corev1.ConditionFalse, "UnrecognizedProvisioner", "Storage provisioner is not recognized"
	if recognized {
		condition.Status, condition.Reason, condition.Message = corev1.ConditionTrue, "RecognizedProvisioner", "Storage provisioner is recognized"
	}
	condition.LastHeartbeatTime, condition.LastTransitionTime = now, now
	if len(have) == 1 && have[0].Status == condition.Status {
		return have[0]
	}
	return condition
}

func cloneStrategy(profile *cdiv1.StorageProfile, class *storagev1.StorageClass, known Capabilities, snapshotClass string) cdiv1.CDICloneStrategy {
	if profile.Spec.CloneStrategy != nil {
		return *profile.Spec.CloneStrategy
	}
	if wanted := class.Annotations[annCloneStrategy]; wanted != "" {
		return cdiv1.CDICloneStrategy(wanted)
	}
	if known.CloneStrategy != "" && (known.CloneStrategy != cdiv1.CloneStrategySnapshot || snapshotClass != "") {
		return known.CloneStrategy
	}
	if snapshotClass != "" {
		return cdiv1.CloneStrategySnapshot
	}
	return cdiv1.CloneStrategyHostAssisted
}

func sourceFormat(profile *cdiv1.StorageProfile, known Capabilities, snapshotClass string) cdiv1.DataImportCronSourceFormat {
	if profile.Spec.DataImportCronSourceFormat != nil {
		return *profile.Spec.DataImportCronSourceFormat
	}
	if known.SourceFormat == cdiv1.DataImportCronSourceFormatSnapshot && snapshotClass != "" {
		return cdiv1.DataImportCronSourceFormatSnapshot
	}
	return cdiv1.DataImportCronSourceFormatPvc
}

// snapshotClass is the VolumeSnapshotClass CDI takes for a driver: the wanted one, else the default one,
// else the first by name.
func (e *env) snapshotClass(ctx context.Context, driver string, wanted *string) (string, error) {
	var classes snapshotv1.VolumeSnapshotClassList
	if err := e.List(ctx, &classes); err != nil {
		return "", err
	}
	matching := slices.DeleteFunc(classes.Items, func(c snapshotv1.VolumeSnapshotClass) bool {
		return c.Driver != driver || (wanted != nil && c.Name != *wanted)
	})
	if len(matching) == 0 {
		return "", nil
	}
	best := slices.MinFunc(matching, func(a, b snapshotv1.VolumeSnapshotClass) int {
		if a.Annotations[annDefaultSnapshots] != b.Annotations[annDefaultSnapshots] {
			return strings.Compare(b.Annotations[annDefaultSnapshots], a.Annotations[annDefaultSnapshots])
		}
		return strings.Compare(a.Name, b.Name)
	})
	return best.Name, nil
}

// class is the StorageClass of a name, or the default one for virtual machines, or the default one; nil is
// that there is none.
func (e *env) class(ctx context.Context, name *string) (*storagev1.StorageClass, error) {
	if name != nil && *name != "" {
		class := &storagev1.StorageClass{}
		found, err := e.get(ctx, "", *name, class)
		if err != nil || !found {
			return nil, err
		}
		return class, nil
	}
	var classes storagev1.StorageClassList
	if err := e.List(ctx, &classes); err != nil {
		return nil, err
	}
	for _, annotation := range []string{annDefaultVirtClass, annDefaultClass} {
		for i := range classes.Items {
			if classes.Items[i].Annotations[annotation] == "true" {
				return &classes.Items[i], nil
			}
		}
	}
	return nil, nil
}

func bindsOnFirstUse(class *storagev1.StorageClass) bool {
	return class != nil && class.VolumeBindingMode != nil && *class.VolumeBindingMode == storagev1.VolumeBindingWaitForFirstConsumer
}
