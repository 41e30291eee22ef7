package cdi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/go-logr/logr"
	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

// DefaultOverhead is what CDI adds to the size of a file system volume.
const DefaultOverhead = 0.06

// Options say where the volumes are and what CDI knows about storage.
type Options struct {
	// VolumeRoot is the root of the file-backed CSI driver.
	VolumeRoot string
	// VolumeRoots are the roots of further drivers, by driver name.
	VolumeRoots map[string]string
	// Provisioners are those CDI recognises. For any other a StorageProfile has no claim property sets, and
	// a DataVolume must name its access modes.
	Provisioners map[string]Capabilities
	// Overhead is the file system overhead as a fraction; nil is DefaultOverhead.
	Overhead *float64
	// Workers is the number of objects each controller works on at once; zero is 16.
	Workers int
	// Transfers is the number of imports and copies that run at once; zero is 64.
	Transfers int
	// Backoff is how long a failed importer waits before its first restart; it doubles up to 16 times
	// that. Zero is one second. CDI's own importers begin with ten.
	Backoff time.Duration
	// Faults makes imports fail on command; nil makes only those fail whose annotations ask for it.
	Faults *Faults
	// Clock dates what is written; nil is the system's clock.
	Clock clock.WithTicker
	// Logger is told what the controllers do; zero is controller-runtime's own.
	Logger logr.Logger
}

// Capabilities is what CDI knows of a provisioner.
type Capabilities struct {
	// ClaimPropertySets are the supported combinations, the preferred first.
	ClaimPropertySets []cdiv1.ClaimPropertySet
	// CloneStrategy is the advised one; empty is snapshot where there is a VolumeSnapshotClass.
	CloneStrategy cdiv1.CDICloneStrategy
	// SourceFormat is how a DataImportCron keeps its images; empty is pvc.
	SourceFormat cdiv1.DataImportCronSourceFormat
}

// env is what every controller needs.
type env struct {
	client.Client
	options  Options
	overhead float64
	events   events.EventRecorder
	clock    clock.WithTicker
	engine   *engine
	manager  ctrl.Manager
	endpoint endpoint
}

// Run works until ctx ends. The CRDs of CDI and of VolumeSnapshots must be installed.
func Run(ctx context.Context, cfg *rest.Config, opts Options) error {
	if opts.VolumeRoot == "" && len(opts.VolumeRoots) == 0 {
		return errors.New("cdi: Options.VolumeRoot must be set")
	}
	opts.Workers = cmp.Or(opts.Workers, 16)
	opts.Transfers = cmp.Or(opts.Transfers, 64)
	opts.Backoff = cmp.Or(opts.Backoff, time.Second)
	opts.Faults = cmp.Or(opts.Faults, &Faults{})
	opts.Clock = cmp.Or[clock.WithTicker](opts.Clock, clock.RealClock{})
	mgr, err := newManager(cfg, opts.Logger)
	if err != nil {
		return fmt.Errorf("making CDI's manager: %w", err)
	}
	e := &env{
		Client: mgr.GetClient(), options: opts, overhead: DefaultOverhead, clock: opts.Clock,
		events: mgr.GetEventRecorder("cdi-controller"), manager: mgr,
	}
	if opts.Overhead != nil {
		e.overhead = *opts.Overhead
	}
	e.engine = newEngine(ctx, opts)
	for _, setup := range []func(context.Context, *env) error{
		setupIndexes, setupServer, setupRoles, setupConfig, setupProfiles, setupDataVolumes, setupPopulators, setupDataSources, setupCrons,
	} {
		if err := setup(ctx, e); err != nil {
			return err
		}
	}
	return mgr.Start(ctx)
}

func newManager(cfg *rest.Config, logger logr.Logger) (ctrl.Manager, error) {
	types := runtime.NewScheme()
	if err := errors.Join(scheme.AddToScheme(types), cdiv1.AddToScheme(types), snapshotv1.AddToScheme(types)); err != nil {
		return nil, err
	}
	unlimited := rest.CopyConfig(cfg)
	unlimited.QPS = -1 // the API server is what should be busy, not a limit in the client
	return ctrl.NewManager(unlimited, ctrl.Options{
		Scheme:                 types,
		Logger:                 logger,
		Metrics:                server.Options{BindAddress: "0"},
		HealthProbeBindAddress: "0",
		// Several test clusters may live in one process.
		Controller: config.Controller{SkipNameValidation: new(true)},
		Cache:      cache.Options{DefaultTransform: cache.TransformStripManagedFields()},
	})
}

// workers is the setting all controllers share.
func (e *env) workers() controller.Options {
	return controller.Options{MaxConcurrentReconciles: e.options.Workers}
}

// event tells about an object; the message never is a format.
func (e *env) event(about client.Object, kind, reason, message string) {
	e.events.Eventf(about, nil, kind, reason, "Reconcile", "%s", message)
}

// get reads an object that may not exist.
func (e *env) get(ctx context.Context, namespace, name string, obj client.Object) (found bool, err error) {
	err = e.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, obj)
	return err == nil, client.IgnoreNotFound(err)
}

// annotate changes annotations, where an empty value removes one, and writes nothing when nothing changes.
func (e *env) annotate(ctx context.Context, obj client.Object, want map[string]string) error {
	old, ok := obj.DeepCopyObject().(client.Object)
	if !ok {
		return fmt.Errorf("%T is no object", obj)
	}
	have := maps.Clone(obj.GetAnnotations())
	if have == nil {
		have = map[string]string{}
	}
	for key, value := range want {
		if value == "" {
			delete(have, key)
		} else {
			have[key] = value
		}
	}
	if maps.Equal(have, obj.GetAnnotations()) {
		return nil
	}
	obj.SetAnnotations(have)
	return e.Patch(ctx, obj, client.MergeFrom(old))
}

func setLabel(obj client.Object, key, value string) {
	labels := obj.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels[key] = value
	obj.SetLabels(labels)
}

func setAnnotation(obj client.Object, key, value string) {
	annotations := obj.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[key] = value
	obj.SetAnnotations(annotations)
}

func isBound(claim *corev1.PersistentVolumeClaim) bool {
	return claim.Spec.VolumeName != "" && claim.Status.Phase == corev1.ClaimBound
}
