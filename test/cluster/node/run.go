package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	kubevirtv1 "kubevirt.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

const (
	// AnnotationGuestAgent on a VirtualMachineInstance says with "true" or "false" whether its guest agent
	// is connected; it wins over Options.GuestAgent, and may change while the machine runs.
	AnnotationGuestAgent = "test.wukong.io/guest-agent"
	// AnnotationGuestExit on a running VirtualMachineInstance ends its guest: "Succeeded" is a shutdown
	// from inside, "Failed" a crash.
	AnnotationGuestExit = "test.wukong.io/guest-exit"
	// AnnotationExitCode on a Pod without a process ends its containers with that code.
	AnnotationExitCode = "test.wukong.io/exit-code"

	handlerNamespace = "kubevirt"
	loopback         = "127.0.0.1"
)

// Options say what the nodes are like and what runs on them.
type Options struct {
	// Nodes is how many nodes there are, named node-0 and so on; zero is one.
	Nodes int
	// Labels are added to every node, for selectors a test needs.
	Labels map[string]string
	// Workers is the number of objects each controller works on at once; zero is 16.
	Workers int
	// HandlerConfig is the identity of virt-handler, system:serviceaccount:kubevirt:kubevirt-handler, as
	// virt-api reverts a status that anybody else writes. Without it there is no virt-handler.
	HandlerConfig *rest.Config
	// GuestAgent says whether the guest agent of a machine connects; nil is no.
	GuestAgent func(*kubevirtv1.VirtualMachineInstance) bool
	// Freeze answers freeze and thaw for virt-handler; nil answers neither.
	Freeze *FreezeServer
	// Process gives the program behind a Pod, or nil for a Pod that runs for ever and does nothing.
	Process func(*corev1.Pod) Process
	// Clock dates what is reported; nil is the system's clock.
	Clock clock.WithTicker
	// Logger is told what the controllers do; zero is controller-runtime's own.
	Logger logr.Logger
}

// Process runs the program of a Pod until it ends, or until ctx does because the Pod is deleted.
type Process func(ctx context.Context) Result

// Result is how a process ended.
type Result struct {
	ExitCode int32
	// Message is what the container left as its termination message.
	Message string
}

func (o Options) withDefaults() Options {
	o.Nodes = cmp.Or(o.Nodes, 1)
	o.Workers = cmp.Or(o.Workers, 16)
	o.Clock = cmp.Or[clock.WithTicker](o.Clock, clock.RealClock{})
	if o.GuestAgent == nil {
		o.GuestAgent = func(*kubevirtv1.VirtualMachineInstance) bool { return false }
	}
	if o.Process == nil {
		o.Process = func(*corev1.Pod) Process { return nil }
	}
	return o
}

func (o Options) nodeNames() []string {
	names := make([]string, o.Nodes)
	for i := range names {
		names[i] = fmt.Sprintf("node-%d", i)
	}
	return names
}

// Run makes the nodes and works for them until ctx ends. The API server must be up, and KubeVirt's CRDs
// installed if there is a HandlerConfig.
func Run(ctx context.Context, cfg *rest.Config, opts Options) error {
	opts = opts.withDefaults()
	mgr, err := newManager(cfg, opts.Logger)
	if err != nil {
		return fmt.Errorf("making the nodes' manager: %w", err)
	}
	for _, setup := range []func(context.Context, ctrl.Manager, Options) error{
		indexPods, setupNodes, setupScheduler, setupKubelet, setupHandler,
	} {
		if err := setup(ctx, mgr, opts); err != nil {
			return err
		}
	}
	return mgr.Start(ctx)
}

func newManager(cfg *rest.Config, logger logr.Logger) (ctrl.Manager, error) {
	types := runtime.NewScheme()
	if err := errors.Join(scheme.AddToScheme(types), kubevirtv1.AddToScheme(types)); err != nil {
		return nil, err
	}
	return ctrl.NewManager(unlimited(cfg), ctrl.Options{
		Scheme:                 types,
		Logger:                 logger,
		Metrics:                server.Options{BindAddress: "0"},
		HealthProbeBindAddress: "0",
		// Several test clusters may live in one process.
		Controller: config.Controller{SkipNameValidation: new(true)},
		Cache:      cache.Options{DefaultTransform: cache.TransformStripManagedFields()},
	})
}

// unlimited lifts the client's own rate limit: the API server is what should be busy.
func unlimited(cfg *rest.Config) *rest.Config {
	copied := rest.CopyConfig(cfg)
	copied.QPS = -1
	return copied
}

// The indexes find Pods without looking at all of them.
const (
	// needsIndex finds those that wait for a claim, Secret or ConfigMap.
	needsIndex = "needs"
	// launcherIndex finds those that run a machine, by the UID of its instance.
	launcherIndex = "launcher"
)

func indexPods(ctx context.Context, mgr ctrl.Manager, _ Options) error {
	err := mgr.GetFieldIndexer().IndexField(ctx, &corev1.Pod{}, launcherIndex, func(obj client.Object) []string {
		if obj.GetLabels()[kubevirtv1.AppLabel] != "virt-launcher" {
			return nil
		}
		return []string{obj.GetLabels()[kubevirtv1.CreatedByLabel]}
	})
	if err != nil {
		return err
	}
	return mgr.GetFieldIndexer().IndexField(ctx, &corev1.Pod{}, needsIndex, func(obj client.Object) []string {
		pod, ok := obj.(*corev1.Pod)
		if !ok || pod.Status.Phase != corev1.PodPending {
			return nil
		}
		return append(claimNames(pod), fileNeeds(pod)...)
	})
}

// claimNames are the claims a Pod mounts, among them those made for its ephemeral volumes.
func claimNames(pod *corev1.Pod) []string {
	var names []string
	for _, volume := range pod.Spec.Volumes {
		switch {
		case volume.PersistentVolumeClaim != nil:
			names = append(names, volume.PersistentVolumeClaim.ClaimName)
		case volume.Ephemeral != nil:
			names = append(names, pod.Name+"-"+volume.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func bindsOnFirstUse(class *storagev1.StorageClass) bool {
	return class.VolumeBindingMode != nil && *class.VolumeBindingMode == storagev1.VolumeBindingWaitForFirstConsumer
}

func quantities(of map[corev1.ResourceName]string) corev1.ResourceList {
	list := corev1.ResourceList{}
	for name, value := range of {
		list[name] = resource.MustParse(value)
	}
	return list
}
