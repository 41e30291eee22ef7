package node

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	kubevirtv1 "kubevirt.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// guestInfo is what the guest agent reports of every guest.
func guestInfo() kubevirtv1.VirtualMachineInstanceGuestOSInfo {
	return kubevirtv1.VirtualMachineInstanceGuestOSInfo{
		ID: "fedora", Name: "Fedora Linux", PrettyName: "Fedora Linux 42", Version: "42", KernelRelease: "6.14.0",
	}
}

// virtHandler owns a VirtualMachineInstance from the moment virt-controller hands it over as Scheduled
// until it is final. It writes with virt-handler's own identity, and only what virt-handler writes.
type virtHandler struct {
	reader     client.Reader
	writer     client.Client
	names      []string
	guestAgent func(*kubevirtv1.VirtualMachineInstance) bool
	clock      clock.PassiveClock
}

func setupHandler(_ context.Context, mgr ctrl.Manager, opts Options) error {
	if opts.HandlerConfig == nil {
		return nil
	}
	writer, err := client.New(unlimited(opts.HandlerConfig), client.Options{Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper()})
	if err != nil {
		return fmt.Errorf("making virt-handler's client: %w", err)
	}
	h := &virtHandler{
		reader: mgr.GetClient(), writer: writer, names: opts.nodeNames(), guestAgent: opts.GuestAgent, clock: opts.Clock,
	}
	if opts.Freeze != nil {
		opts.Freeze.attach(h.setFrozen)
		if err := mgr.Add(opts.Freeze); err != nil {
			return err
		}
	}
	return ctrl.NewControllerManagedBy(mgr).Named("virt-handler").
		For(&kubevirtv1.VirtualMachineInstance{}, builder.WithPredicates(predicate.NewPredicateFuncs(h.mine))).
		WithOptions(controller.Options{MaxConcurrentReconciles: opts.Workers}).
		Complete(reconcile.AsReconciler(mgr.GetClient(), h))
}

func (h *virtHandler) mine(obj client.Object) bool {
	vmi, ok := obj.(*kubevirtv1.VirtualMachineInstance)
	return ok && slices.Contains(h.names, vmi.Status.NodeName)
}

// Reconcile brings one machine a step further.
func (h *virtHandler) Reconcile(ctx context.Context, vmi *kubevirtv1.VirtualMachineInstance) (reconcile.Result, error) {
	if !h.mine(vmi) || (vmi.Status.Phase != kubevirtv1.Scheduled && vmi.Status.Phase != kubevirtv1.Running) {
		return reconcile.Result{}, nil
	}
	old := vmi.DeepCopy()
	switch exit := vmi.Annotations[AnnotationGuestExit]; {
	case vmi.DeletionTimestamp != nil:
		vmi.Status.Phase = kubevirtv1.Succeeded
	case exit == string(kubevirtv1.Succeeded) || exit == string(kubevirtv1.Failed):
		vmi.Status.Phase = kubevirtv1.VirtualMachineInstancePhase(exit)
	default:
		if err := h.boot(ctx, vmi); err != nil {
			return reconcile.Result{}, client.IgnoreNotFound(err)
		}
	}
	h.stampPhase(vmi, old.Status.Phase)
	if equality.Semantic.DeepEqual(old, vmi) {
		return reconcile.Result{}, nil
	}
	// As virt-handler does. A merge patch would lose the nulls of the conditions, and virt-controller, which
	// tests for them before it changes a condition, could never do so again.
	return reconcile.Result{}, client.IgnoreNotFound(h.writer.Update(ctx, vmi))
}

// boot makes the status that of a machine whose guest runs.
func (h *virtHandler) boot(ctx context.Context, vmi *kubevirtv1.VirtualMachineInstance) error {
	agent := h.agentConnected(vmi)
	podIP, err := h.podIP(ctx, vmi)
	if err != nil {
		return err
	}
	vmi.Status.Phase = kubevirtv1.Running
	vmi.Status.MigrationMethod = kubevirtv1.LiveMigration
	vmi.Status.Machine = machineOf(vmi)
	vmi.Status.Interfaces = interfacesOf(vmi, podIP, agent)
	vmi.Status.VolumeStatus = volumesOf(vmi)
	h.setCondition(vmi, kubevirtv1.VirtualMachineInstanceIsMigratable, true)
	h.setCondition(vmi, kubevirtv1.VirtualMachineInstanceIsStorageLiveMigratable, true)
	h.setCondition(vmi, kubevirtv1.VirtualMachineInstanceAgentConnected, agent)
	vmi.Status.GuestOSInfo = kubevirtv1.VirtualMachineInstanceGuestOSInfo{}
	if agent {
		vmi.Status.GuestOSInfo = guestInfo()
	}
	return nil
}

func (h *virtHandler) agentConnected(vmi *kubevirtv1.VirtualMachineInstance) bool {
	switch vmi.Annotations[AnnotationGuestAgent] {
	case "true":
		return true
	case "false":
		return false
	default:
		return h.guestAgent(vmi)
	}
}

// podIP is the address of the Pod the machine runs in.
func (h *virtHandler) podIP(ctx context.Context, vmi *kubevirtv1.VirtualMachineInstance) (string, error) {
	var pods corev1.PodList
	err := h.reader.List(ctx, &pods, client.InNamespace(vmi.Namespace),
		client.MatchingFields{launcherIndex: string(vmi.UID)}, client.UnsafeDisableDeepCopy)
	for i := range pods.Items {
		if ip := pods.Items[i].Status.PodIP; ip != "" {
			return ip, nil
		}
	}
	return "", err
}

func machineOf(vmi *kubevirtv1.VirtualMachineInstance) *kubevirtv1.Machine {
	if vmi.Status.Machine != nil && vmi.Status.Machine.Type != "" {
		return vmi.Status.Machine
	}
	if vmi.Spec.Domain.Machine != nil && vmi.Spec.Domain.Machine.Type != "" && vmi.Spec.Domain.Machine.Type != "q35" {
		return &kubevirtv1.Machine{Type: vmi.Spec.Domain.Machine.Type}
	}
	return &kubevirtv1.Machine{Type: "pc-q35-rhel9.6.0"}
}

// interfacesOf reports every interface of the spec, and keeps what virt-controller wrote about it.
func interfacesOf(vmi *kubevirtv1.VirtualMachineInstance, podIP string, agent bool) []kubevirtv1.VirtualMachineInstanceNetworkInterface {
	var reported []kubevirtv1.VirtualMachineInstanceNetworkInterface
	for i, wanted := range vmi.Spec.Domain.Devices.Interfaces {
		status := kubevirtv1.VirtualMachineInstanceNetworkInterface{Name: wanted.Name}
		if at := slices.IndexFunc(vmi.Status.Interfaces, func(s kubevirtv1.VirtualMachineInstanceNetworkInterface) bool {
			return s.Name == wanted.Name
		}); at >= 0 {
			status = vmi.Status.Interfaces[at]
		}
		key := fmt.Sprintf("%s/%s", vmi.UID, wanted.Name)
		status.MAC = wanted.MacAddress
		if status.MAC == "" {
			status.MAC = hashedMAC(key)
		}
		status.IP = podIP
		if !onPodNetwork(vmi, wanted.Name) {
			status.IP = hashedAddress(172, key)
		}
		status.IPs = []string{status.IP}
		status.InfoSource, status.InterfaceName = "domain", ""
		if agent {
			status.InfoSource, status.InterfaceName = "domain, guest-agent", fmt.Sprintf("eth%d", i)
		}
		reported = append(reported, status)
	}
	return reported
}

func onPodNetwork(vmi *kubevirtv1.VirtualMachineInstance, name string) bool {
	return slices.ContainsFunc(vmi.Spec.Networks, func(n kubevirtv1.Network) bool { return n.Name == name && n.Pod != nil })
}

// volumesOf gives every volume its device, and follows the hotplug that virt-controller leads.
func volumesOf(vmi *kubevirtv1.VirtualMachineInstance) []kubevirtv1.VolumeStatus {
	volumes := slices.Clone(vmi.Status.VolumeStatus)
	for i := range volumes {
		volume := &volumes[i]
		if volume.Target == "" {
			volume.Target = fmt.Sprintf("vd%c", 'a'+i%26)
		}
		if volume.HotplugVolume == nil {
			continue
		}
		switch volume.Phase {
		case kubevirtv1.HotplugVolumeAttachedToNode, kubevirtv1.HotplugVolumeMounted:
			volume.Phase, volume.Reason, volume.Message = kubevirtv1.VolumeReady, "VolumeReady", "Successfully attach hotplugged volume to VM"
		case kubevirtv1.HotplugVolumeDetaching:
			volume.Phase = kubevirtv1.HotplugVolumeUnMounted
		}
	}
	return volumes
}

// setCondition adds or removes a condition; virt-handler knows no other way to say no.
func (h *virtHandler) setCondition(vmi *kubevirtv1.VirtualMachineInstance, kind kubevirtv1.VirtualMachineInstanceConditionType, on bool) {
	is := func(c kubevirtv1.VirtualMachineInstanceCondition) bool { return c.Type == kind }
	if !on {
		vmi.Status.Conditions = slices.DeleteFunc(slices.Clone(vmi.Status.Conditions), is)
		return
	}
	if slices.ContainsFunc(vmi.Status.Conditions, is) {
		return
	}
	now := metav1.NewTime(h.clock.Now())
	vmi.Status.Conditions = append(slices.Clone(vmi.Status.Conditions), kubevirtv1.VirtualMachineInstanceCondition{
		Type: kind, Status: corev1.ConditionTrue, LastProbeTime: now, LastTransitionTime: now,
	})
}

func (h *virtHandler) stampPhase(vmi *kubevirtv1.VirtualMachineInstance, old kubevirtv1.VirtualMachineInstancePhase) {
	if vmi.Status.Phase == old {
		return
	}
	vmi.Status.PhaseTransitionTimestamps = append(vmi.Status.PhaseTransitionTimestamps,
		kubevirtv1.VirtualMachineInstancePhaseTransitionTimestamp{
			Phase: vmi.Status.Phase, PhaseTransitionTimestamp: metav1.NewTime(h.clock.Now()),
		})
}

// errNotRunning answers a freeze of a machine that has no running guest.
var errNotRunning = errors.New("the machine is not running here")

// setFrozen reports that the guest's file systems are frozen, or thawed.
func (h *virtHandler) setFrozen(ctx context.Context, key client.ObjectKey, frozen bool) error {
	vmi := &kubevirtv1.VirtualMachineInstance{}
	if err := h.reader.Get(ctx, key, vmi); err != nil {
		return err
	}
	if vmi.Status.Phase != kubevirtv1.Running || !h.agentConnected(vmi) {
		return errNotRunning
	}
	// Nothing but this one value: a merge patch of it loses nothing, and no conflict can stop a thaw.
	status := `null`
	if frozen {
		status = `"frozen"`
	}
	patch := client.RawPatch(types.MergePatchType, []byte(`{"status":{"fsFreezeStatus":`+status+`}}`))
	return h.writer.Patch(ctx, vmi, patch)
}

func hashedMAC(key string) string {
	var a, b, c, d int
	_, _ = fmt.Sscanf(hashedAddress(2, key), "%d.%d.%d.%d", &a, &b, &c, &d)
	return fmt.Sprintf("52:54:00:%02x:%02x:%02x", b, c, d)
}
