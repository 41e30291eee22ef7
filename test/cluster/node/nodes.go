package node

import (
	"context"
	"fmt"
	"maps"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	kubevirtv1 "kubevirt.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// beat is well below the 40 s after which the control plane gives a node up.
const beat = 10 * time.Second

// heart makes the nodes and keeps them alive in the eyes of the control plane and of virt-controller.
type heart struct {
	client  client.Client
	names   []string
	labels  map[string]string
	handler bool
	clock   clock.WithTicker
}

func setupNodes(ctx context.Context, mgr ctrl.Manager, opts Options) error {
	// The manager's client would wait for a cache that has not started.
	direct, err := client.New(mgr.GetConfig(), client.Options{Scheme: mgr.GetScheme()})
	if err != nil {
		return err
	}
	h := &heart{
		client: direct, names: opts.nodeNames(), labels: opts.Labels,
		handler: opts.HandlerConfig != nil, clock: opts.Clock,
	}
	for i, name := range h.names {
		if err := h.create(ctx, name, i); err != nil {
			return fmt.Errorf("creating node %q: %w", name, err)
		}
	}
	return mgr.Add(h)
}

func (h *heart) create(ctx context.Context, name string, index int) error {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: nodeLabels(name, index)}}
	maps.Copy(node.Labels, h.labels)
	err := h.client.Create(ctx, node)
	if apierrors.IsAlreadyExists(err) {
		err = h.client.Get(ctx, client.ObjectKeyFromObject(node), node)
	}
	if err != nil {
		return err
	}
	return h.beat(ctx, name)
}

// nodeLabels are those of the kubelet and of KubeVirt's node labeller for an ordinary x86 server.
func nodeLabels(name string, index int) map[string]string {
	labels := map[string]string{
		corev1.LabelHostname:                name,
		corev1.LabelOSStable:                "linux",
		corev1.LabelArchStable:              "amd64",
		corev1.LabelTopologyZone:            fmt.Sprintf("zone-%d", index%3),
		kubevirtv1.NodeSchedulable:          "true",
		kubevirtv1.CPUManager:               "true",
		"node-role.kubernetes.io/worker":    "",
		"kubevirt.io/ksm-enabled":           "false",
		"cpu-vendor.node.kubevirt.io/Intel": "true",
	}
	for prefix, values := range map[string][]string{
		kubevirtv1.SupportedMachineTypeLabel: {"q35", "pc-q35-rhel8.6.0", "pc-q35-rhel9.2.0", "pc-q35-rhel9.4.0", "pc-q35-rhel9.6.0"},
		kubevirtv1.CPUModelLabel:             {"Haswell", "Broadwell", "Skylake-Server", "Cascadelake-Server", "Icelake-Server", "SapphireRapids"},
		kubevirtv1.HostModelCPULabel:         {"SapphireRapids"},
		kubevirtv1.HypervLabel: {
			"base", "frequencies", "ipi", "reenlightenment", "reset", "runtime", "synic", "synic2", "synictimer",
			"time", "tlbflush", "vpindex",
		},
	} {
		for _, value := range values {
			labels[prefix+value] = "true"
		}
	}
	return labels
}

// Start beats until ctx ends. A missed beat is logged and made up for by the next.
func (h *heart) Start(ctx context.Context) error {
	ticker := h.clock.NewTicker(beat)
	defer ticker.Stop()
	for {
		for _, name := range h.names {
			if err := h.pulse(ctx, name); err != nil && ctx.Err() == nil {
				log.FromContext(ctx).Error(err, "Missed a heartbeat", "node", name)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C():
		}
	}
}

// NeedLeaderElection says that there is no leader to wait for.
func (h *heart) NeedLeaderElection() bool { return false }

func (h *heart) pulse(ctx context.Context, name string) error {
	if err := h.beat(ctx, name); err != nil {
		return err
	}
	if err := h.renewLease(ctx, name); err != nil {
		return err
	}
	if h.handler {
		return h.createHandlerPod(ctx, name)
	}
	return nil
}

// beat reports a healthy node of boundless size, and virt-handler's own heartbeat.
func (h *heart) beat(ctx context.Context, name string) error {
	node := &corev1.Node{}
	if err := h.client.Get(ctx, client.ObjectKey{Name: name}, node); err != nil {
		return err
	}
	old := node.DeepCopy()
	now := metav1.NewTime(h.clock.Now())
	if node.Annotations == nil {
		node.Annotations = map[string]string{}
	}
	node.Annotations[kubevirtv1.VirtHandlerHeartbeat] = now.UTC().Format(time.RFC3339)
	if err := h.client.Patch(ctx, node, client.MergeFrom(old)); err != nil {
		return err
	}
	old = node.DeepCopy()
	setNodeStatus(node, now)
	return h.client.Status().Patch(ctx, node, client.MergeFrom(old))
}

func setNodeStatus(node *corev1.Node, now metav1.Time) {
	size := quantities(map[corev1.ResourceName]string{
		corev1.ResourcePods: "10000", corev1.ResourceCPU: "10000", corev1.ResourceMemory: "200Ti",
		corev1.ResourceEphemeralStorage: "1000Ti",
		"devices.kubevirt.io/kvm":       "10000", "devices.kubevirt.io/tun": "10000", "devices.kubevirt.io/vhost-net": "10000",
	})
	node.Status.Capacity, node.Status.Allocatable = size, size
	node.Status.Addresses = []corev1.NodeAddress{
		{Type: corev1.NodeInternalIP, Address: loopback}, {Type: corev1.NodeHostName, Address: node.Name},
	}
	node.Status.NodeInfo = corev1.NodeSystemInfo{
		OperatingSystem: "linux", Architecture: "amd64", KubeletVersion: "v1.36.3", ContainerRuntimeVersion: "none://0",
	}
	started := now
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue {
			started = condition.LastTransitionTime
		}
	}
	node.Status.Conditions = []corev1.NodeCondition{{
		Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady",
		LastHeartbeatTime: now, LastTransitionTime: started,
	}}
}

func (h *heart) renewLease(ctx context.Context, name string) error {
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: corev1.NamespaceNodeLease}}
	now := metav1.NewMicroTime(h.clock.Now())
	spec := coordinationv1.LeaseSpec{HolderIdentity: &name, LeaseDurationSeconds: new(int32(40)), RenewTime: &now}
	err := h.client.Get(ctx, client.ObjectKeyFromObject(lease), lease)
	switch {
	case apierrors.IsNotFound(err):
		lease.Spec = spec
		return h.client.Create(ctx, lease)
	case err != nil:
		return err
	}
	old := lease.DeepCopy()
	lease.Spec = spec
	return h.client.Patch(ctx, lease, client.MergeFrom(old))
}

// createHandlerPod makes the Pod by which virt-api finds the virt-handler of a node: it has the host's
// network, so its address is that of the node.
func (h *heart) createHandlerPod(ctx context.Context, node string) error {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: "virt-handler-" + node, Namespace: handlerNamespace,
			Labels: map[string]string{kubevirtv1.AppLabel: "virt-handler"},
		},
		Spec: corev1.PodSpec{
			NodeName:                     node,
			HostNetwork:                  true,
			AutomountServiceAccountToken: new(false),
			Containers:                   []corev1.Container{{Name: "virt-handler", Image: "test.wukong.io/virt-handler"}},
		},
	}
	err := h.client.Create(ctx, pod)
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}
