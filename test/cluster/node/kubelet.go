package node

import (
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// kubelet reports bound Pods as running, runs the process behind one, and ends deleted Pods.
type kubelet struct {
	client    client.Client
	names     []string
	processes *processes
	events    events.EventRecorder
	clock     clock.PassiveClock
}

func setupKubelet(ctx context.Context, mgr ctrl.Manager, opts Options) error {
	k := &kubelet{
		client: mgr.GetClient(), names: opts.nodeNames(), processes: newProcesses(ctx, opts.Process, opts.Clock),
		events: mgr.GetEventRecorder("kubelet"), clock: opts.Clock,
	}
	return ctrl.NewControllerManagedBy(mgr).Named("kubelet").
		For(&corev1.Pod{}, builder.WithPredicates(predicate.NewPredicateFuncs(k.mine))).
		WatchesMetadata(metadataOf(secretKind), k.waiters(secretNeed), onlyNew()).
		WatchesMetadata(metadataOf(configMapKind), k.waiters(configMapNeed), onlyNew()).
		WatchesRawSource(source.Channel(k.processes.changed, &handler.EnqueueRequestForObject{})).
		WithOptions(controller.Options{MaxConcurrentReconciles: opts.Workers}).
		Complete(reconcile.AsReconciler(k.client, k))
}

func onlyNew() builder.WatchesOption {
	never := func(client.Object) bool { return false }
	funcs := predicate.NewPredicateFuncs(never)
	funcs.CreateFunc = nil // which lets every creation through
	return builder.WithPredicates(funcs)
}

func (k *kubelet) mine(obj client.Object) bool {
	pod, ok := obj.(*corev1.Pod)
	return ok && slices.Contains(k.names, pod.Spec.NodeName)
}

// waiters are the pending Pods that mount a Secret or ConfigMap that has come.
func (k *kubelet) waiters(kind string) handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, obj client.Object) []reconcile.Request {
		return podsNeeding(ctx, k.client, obj.GetNamespace(), kind+obj.GetName())
	})
}

// Reconcile brings one Pod a step further.
func (k *kubelet) Reconcile(ctx context.Context, pod *corev1.Pod) (reconcile.Result, error) {
	var err error
	switch {
	case !k.mine(pod):
	case pod.DeletionTimestamp != nil:
		err = k.end(ctx, pod)
	case finished(pod):
		k.processes.stop(pod.UID)
	default:
		err = k.sync(ctx, pod)
	}
	return reconcile.Result{}, client.IgnoreNotFound(err)
}

// sync starts a Pod whose files are there, and reports what has become of it.
func (k *kubelet) sync(ctx context.Context, pod *corev1.Pod) error {
	if pod.Status.Phase != corev1.PodRunning {
		missing, err := missingFile(ctx, k.client, pod)
		if err != nil {
			return err
		}
		if missing != "" {
			return k.wait(ctx, pod, missing)
		}
	}
	run := k.processes.ensure(pod)
	old := pod.DeepCopy()
	k.report(pod, run)
	if statusEqual(old, pod) {
		return nil
	}
	return k.client.Status().Patch(ctx, pod, client.StrategicMergeFrom(old))
}

func statusEqual(a, b *corev1.Pod) bool {
	return a.Status.Phase == b.Status.Phase &&
		slices.EqualFunc(a.Status.ContainerStatuses, b.Status.ContainerStatuses, func(x, y corev1.ContainerStatus) bool {
			return x.Ready == y.Ready && x.RestartCount == y.RestartCount && (x.State.Terminated == nil) == (y.State.Terminated == nil)
		})
}

// wait leaves the Pod as the kubelet does: scheduled, its containers being created, and an event to say why.
func (k *kubelet) wait(ctx context.Context, pod *corev1.Pod, missing string) error {
	old := pod.DeepCopy()
	changed := setPodCondition(&pod.Status, corev1.PodCondition{
		Type: corev1.PodReadyToStartContainers, Status: corev1.ConditionFalse, LastTransitionTime: metav1.NewTime(k.clock.Now()),
	})
	if !changed {
		return nil
	}
	k.events.Eventf(pod, nil, corev1.EventTypeWarning, "FailedMount", "Mount", "%s", "MountVolume.SetUp failed: "+missing)
	pod.Status.Phase = corev1.PodPending
	pod.Status.ContainerStatuses = nil
	for _, container := range pod.Spec.Containers {
		pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, corev1.ContainerStatus{
			Name: container.Name, Image: container.Image,
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}},
		})
	}
	return k.client.Status().Patch(ctx, pod, client.StrategicMergeFrom(old))
}

// report writes the status of a Pod whose process is as run says.
func (k *kubelet) report(pod *corev1.Pod, run processState) {
	now := metav1.NewTime(k.clock.Now())
	if pod.Status.StartTime == nil {
		pod.Status.StartTime = &now
	}
	pod.Status.HostIP = loopback
	pod.Status.HostIPs = []corev1.HostIP{{IP: loopback}}
	pod.Status.PodIP = address(pod)
	pod.Status.PodIPs = []corev1.PodIP{{IP: pod.Status.PodIP}}
	pod.Status.Phase = phaseOf(run)
	ready := corev1.ConditionFalse
	if pod.Status.Phase == corev1.PodRunning && !run.waiting {
		ready = corev1.ConditionTrue
	}
	for _, kind := range []corev1.PodConditionType{corev1.PodReadyToStartContainers, corev1.PodInitialized, corev1.PodScheduled} {
		setPodCondition(&pod.Status, corev1.PodCondition{Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: now})
	}
	for _, kind := range []corev1.PodConditionType{corev1.ContainersReady, corev1.PodReady} {
		setPodCondition(&pod.Status, corev1.PodCondition{Type: kind, Status: ready, LastTransitionTime: now})
	}
	pod.Status.InitContainerStatuses = initStatuses(pod, run, now)
	pod.Status.ContainerStatuses = containerStatuses(pod, run, now)
}

func phaseOf(run processState) corev1.PodPhase {
	switch {
	case run.result == nil:
		return corev1.PodRunning
	case run.result.ExitCode == 0:
		return corev1.PodSucceeded
	default:
		return corev1.PodFailed
	}
}

func containerStatuses(pod *corev1.Pod, run processState, now metav1.Time) []corev1.ContainerStatus {
	var statuses []corev1.ContainerStatus
	for _, container := range pod.Spec.Containers {
		statuses = append(statuses, statusOf(pod, container, run, startOf(pod.Status.ContainerStatuses, container.Name, now), now))
	}
	return statuses
}

// initStatuses reports init containers as done, and those that always restart as the side-cars they are.
func initStatuses(pod *corev1.Pod, run processState, now metav1.Time) []corev1.ContainerStatus {
	var statuses []corev1.ContainerStatus
	for _, container := range pod.Spec.InitContainers {
		state := run
		if container.RestartPolicy == nil {
			state = processState{result: &Result{}}
		}
		start := startOf(pod.Status.InitContainerStatuses, container.Name, now)
		status := statusOf(pod, container, state, start, now)
		status.Ready = true
		statuses = append(statuses, status)
	}
	return statuses
}

func startOf(statuses []corev1.ContainerStatus, name string, now metav1.Time) metav1.Time {
	for _, status := range statuses {
		if status.Name == name && status.State.Running != nil {
			return status.State.Running.StartedAt
		}
	}
	return now
}

func statusOf(pod *corev1.Pod, container corev1.Container, run processState, start, now metav1.Time) corev1.ContainerStatus {
	status := corev1.ContainerStatus{
		Name: container.Name, Image: container.Image, ImageID: container.Image,
		ContainerID:  fmt.Sprintf("none://%s-%s-%d", pod.UID, container.Name, run.restarts),
		RestartCount: run.restarts,
	}
	if run.last != nil {
		status.LastTerminationState.Terminated = terminated(run.last, start, now)
	}
	switch {
	case run.result != nil:
		status.State.Terminated = terminated(run.result, start, now)
	case run.waiting:
		status.State.Waiting = &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff", Message: "back-off restarting failed container " + container.Name}
	default:
		status.Ready, status.Started = true, new(true)
		status.State.Running = &corev1.ContainerStateRunning{StartedAt: start}
	}
	return status
}

func terminated(result *Result, start, now metav1.Time) *corev1.ContainerStateTerminated {
	reason := "Completed"
	if result.ExitCode != 0 {
		reason = "Error"
	}
	return &corev1.ContainerStateTerminated{
		ExitCode: result.ExitCode, Reason: reason, Message: result.Message, StartedAt: start, FinishedAt: now,
	}
}

// end stops a deleted Pod and takes it out of the API, as the kubelet does once its containers are gone.
func (k *kubelet) end(ctx context.Context, pod *corev1.Pod) error {
	if !k.processes.stop(pod.UID) {
		return nil // it is still ending, and will come back here
	}
	if !finished(pod) {
		old := pod.DeepCopy()
		result := &Result{}
		if pod.Spec.RestartPolicy != corev1.RestartPolicyAlways && pod.Labels["kubevirt.io"] == "" {
			result.ExitCode = 143 // a Job's Pod that was told to stop has not done its work
		}
		k.report(pod, processState{result: result})
		if err := k.client.Status().Patch(ctx, pod, client.StrategicMergeFrom(old)); err != nil {
			return err
		}
	}
	return k.client.Delete(ctx, pod, client.GracePeriodSeconds(0), client.Preconditions{UID: &pod.UID})
}

// address is a pure function of the Pod, so that a restarted kubelet reports the same.
func address(pod *corev1.Pod) string {
	if pod.Spec.HostNetwork {
		return loopback
	}
	return hashedAddress(10, string(pod.UID))
}

func hashedAddress(network byte, key string) string {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(key))
	sum := hash.Sum32()
	return fmt.Sprintf("%d.%d.%d.%d", network, byte(sum>>16), byte(sum>>8), max(1, min(254, byte(sum))))
}

// exitCode is what a Pod without a process was told to end with.
func exitCode(pod *corev1.Pod) (int32, bool) {
	code, err := strconv.ParseInt(pod.Annotations[AnnotationExitCode], 10, 32)
	return int32(code), err == nil
}
