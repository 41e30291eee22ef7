package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Wukong is a fleet of virtual machines, expanded and rolled out in the
// cluster.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=wukongs,singular=wukong,categories=wukong
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Machines",type=integer,JSONPath=`.status.replicas`
// +kubebuilder:printcolumn:name="Up",type=integer,JSONPath=`.status.readyReplicas`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 53",message="must be no more than 53 characters: machines carry the fleet's name"
type Wukong struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// spec describes the fleet.
	// +required
	Spec WukongSpec `json:"spec"`
	// status is what the controller has seen.
	// +optional
	Status WukongStatus `json:"status,omitzero"`
}

// WukongList is a list of Wukong objects.
//
// +kubebuilder:object:root=true
type WukongList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Wukong `json:"items"`
}

// WukongSpec describes a fleet of virtual machines. It is the top level of the
// values of charts/vm-fleet, and the spec of a Wukong object: the same file
// serves both.
type WukongSpec struct {
	// images are golden images by key: each is imported once and cloned for
	// every machine that names it.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	Images map[string]Image `json:"images,omitempty"`
	// hostNetworks are bridges on the nodes by key, made by NMState, each with
	// its NetworkAttachmentDefinition.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	HostNetworks map[string]HostNetwork `json:"hostNetworks,omitempty"`
	// defaults is a machine template merged under the template of every pool,
	// key by key.
	// +optional
	Defaults *MachineTemplate `json:"defaults,omitempty"`
	// pools are the fleet's machines by key. A machine is named
	// <fleet>-<pool>-<ordinal>.
	// +optional
	// +kubebuilder:validation:MaxProperties=256
	Pools map[string]Pool `json:"pools,omitempty"`
	// expand says who turns the fleet into KubeVirt objects: the chart, as part
	// of the Helm release (client), or the Wukong controller (server). A
	// release Secret holds about 1 MiB, which is some thousands of machines;
	// larger fleets need server. A Wukong object is always expanded by the
	// controller.
	// +optional
	// +default="client"
	Expand ExpandMode `json:"expand,omitempty"`
}

// ExpandMode says who expands a fleet.
//
// +kubebuilder:validation:Enum=client;server
type ExpandMode string

// Who expands a fleet.
const (
	// ExpandClient renders every object into the Helm release.
	ExpandClient ExpandMode = "client"
	// ExpandServer renders one Wukong object, which the controller expands.
	ExpandServer ExpandMode = "server"
)

// Pool is a number of machines made from one template, or from one existing
// machine.
type Pool struct {
	// replicas is how many machines the pool has.
	// +optional
	// +default=1
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100000
	Replicas *int32 `json:"replicas,omitempty"`
	// ordinals says how the machines are numbered.
	// +optional
	Ordinals *Ordinals `json:"ordinals,omitempty"`
	// template describes every machine of the pool. A pool has a template or a
	// cloneSource.
	// +optional
	Template *MachineTemplate `json:"template,omitempty"`
	// cloneSource makes every machine of the pool a clone of one existing
	// machine, or of one snapshot of it, instead of a template.
	// +optional
	CloneSource *CloneSource `json:"cloneSource,omitempty"`
	// overrides are merged over the template for single machines, by ordinal
	// and key by key: what an override names wins, also when it is 0, false or
	// empty.
	// +optional
	// +kubebuilder:validation:MaxProperties=1024
	Overrides map[string]MachineTemplate `json:"overrides,omitempty"`
	// retentionPolicy says what happens to the machines' disks when the pool
	// shrinks or the fleet is deleted.
	// +optional
	RetentionPolicy *RetentionPolicy `json:"retentionPolicy,omitempty"`
	// updateStrategy says how a change that needs a restart reaches the running
	// machines. It is carried out by the Wukong controller; with expand: client
	// machines take such a change when they are next restarted.
	// +optional
	UpdateStrategy *UpdateStrategy `json:"updateStrategy,omitempty"`
	// managementPolicy says whether machines are made all at once or one after
	// another, each when the one before is ready. It is carried out by the
	// Wukong controller; Helm makes them all at once.
	// +optional
	// +default="Parallel"
	ManagementPolicy ManagementPolicy `json:"managementPolicy,omitempty"`
	// services are Services in front of the pool's machines by key, beside the
	// headless Service every pool has.
	// +optional
	// +kubebuilder:validation:MaxProperties=16
	Services map[string]PoolService `json:"services,omitempty"`
	// snapshotPolicy takes snapshots of the pool's machines on a schedule. Its
	// selector is the pool.
	// +optional
	SnapshotPolicy *SnapshotPolicySpec `json:"snapshotPolicy,omitempty"`
	// exportTarget exports every machine of the pool.
	// +optional
	ExportTarget *ExportTarget `json:"exportTarget,omitempty"`
}

// Ordinals says how the machines of a pool are numbered.
type Ordinals struct {
	// start is the ordinal of the first machine.
	// +optional
	// +default=0
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=999999
	Start int32 `json:"start,omitempty"`
}

// RetentionPolicy says what happens to disks, as a StatefulSet's retention
// policy for claims does. Retained disks are standalone DataVolumes that
// outlive their machine; others are made and deleted with it.
type RetentionPolicy struct {
	// whenDeleted applies when the fleet is deleted.
	// +optional
	// +default="Retain"
	WhenDeleted RetentionType `json:"whenDeleted,omitempty"`
	// whenScaled applies when the pool shrinks. With expand: client it must
	// equal whenDeleted, as Helm cannot tell the two apart.
	// +optional
	// +default="Retain"
	WhenScaled RetentionType `json:"whenScaled,omitempty"`
}

// RetentionType is whether something is kept or deleted.
//
// +kubebuilder:validation:Enum=Retain;Delete
type RetentionType string

// Whether something is kept or deleted.
const (
	// RetentionRetain keeps it.
	RetentionRetain RetentionType = "Retain"
	// RetentionDelete deletes it.
	RetentionDelete RetentionType = "Delete"
)

// UpdateStrategy says how a change reaches running machines, as a
// StatefulSet's does.
type UpdateStrategy struct {
	// type is RollingUpdate, which restarts machines from the highest ordinal
	// to the lowest, or OnDelete, which waits for somebody to restart them.
	// +optional
	// +default="RollingUpdate"
	// +kubebuilder:validation:Enum=RollingUpdate;OnDelete
	Type string `json:"type,omitempty"`
	// maxUnavailable is how many machines of the pool may be down at once.
	// +optional
	// +default=1
	// +kubebuilder:validation:Minimum=1
	MaxUnavailable *int32 `json:"maxUnavailable,omitempty"`
	// partition leaves machines with a lower ordinal as they are.
	// +optional
	// +default=0
	// +kubebuilder:validation:Minimum=0
	Partition *int32 `json:"partition,omitempty"`
}

// ManagementPolicy says in which order machines are made.
//
// +kubebuilder:validation:Enum=Parallel;OrderedReady
type ManagementPolicy string

// In which order machines are made.
const (
	// ManagementParallel makes all machines at once.
	ManagementParallel ManagementPolicy = "Parallel"
	// ManagementOrderedReady makes a machine when the one before it is ready.
	ManagementOrderedReady ManagementPolicy = "OrderedReady"
)

// PoolService is a Service in front of a pool's machines.
type PoolService struct {
	// type is the Service's type.
	// +optional
	// +default="ClusterIP"
	// +kubebuilder:validation:Enum=ClusterIP;NodePort;LoadBalancer
	Type string `json:"type,omitempty"`
	// ports are the Service's ports by name.
	// +required
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=32
	Ports map[string]PoolServicePort `json:"ports"`
	// labels are added to the Service.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	Labels map[string]string `json:"labels,omitempty"`
	// annotations are added to the Service.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	Annotations map[string]string `json:"annotations,omitempty"`
}

// PoolServicePort is a port of a Service.
type PoolServicePort struct {
	// port is the port the Service listens on.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port"`
	// targetPort is the port of the machine; port if unset.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	TargetPort *int32 `json:"targetPort,omitempty"`
	// nodePort is the port on the nodes, for type NodePort and LoadBalancer.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	NodePort *int32 `json:"nodePort,omitempty"`
	// protocol is the port's protocol.
	// +optional
	// +default="TCP"
	// +kubebuilder:validation:Enum=TCP;UDP;SCTP
	Protocol string `json:"protocol,omitempty"`
}

// HostNetwork is a Linux bridge on the nodes and the
// NetworkAttachmentDefinition that machines reach it by.
type HostNetwork struct {
	// port is the nodes' network interface that joins the bridge.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=15
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9][A-Za-z0-9._-]*$`
	Port string `json:"port"`
	// vlan tags the machines' traffic; untagged if unset.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4094
	VLAN *int32 `json:"vlan,omitempty"`
	// bridge is the name of the bridge; br-<port> if unset, so that fleets
	// on the same port share it.
	// +optional
	// +kubebuilder:validation:MaxLength=15
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9][A-Za-z0-9._-]*$`
	Bridge string `json:"bridge,omitempty"`
	// mtu is the bridge's MTU in bytes.
	// +optional
	// +kubebuilder:validation:Minimum=576
	// +kubebuilder:validation:Maximum=65535
	MTU *int32 `json:"mtu,omitempty"`
	// nodeSelector limits the bridge to the nodes with these labels.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`
}

// WukongStatus is what the controller has seen of a fleet.
type WukongStatus struct {
	// conditions of the fleet: Ready; Reconciling and Stalled while they hold.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// observedGeneration is the generation of the spec the status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// replicas is how many machines exist.
	// +optional
	Replicas int32 `json:"replicas,omitempty"`
	// readyReplicas is how many machines are as their run strategy wants them.
	// +optional
	ReadyReplicas int32 `json:"readyReplicas,omitempty"`
	// updatedReplicas is how many machines have the current template.
	// +optional
	UpdatedReplicas int32 `json:"updatedReplicas,omitempty"`
	// pools counts machines by pool.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=256
	Pools []PoolStatus `json:"pools,omitempty"`
	// failures are the first machines and images that failed, with the reason.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10
	Failures []Failure `json:"failures,omitempty"`
}

// PoolStatus counts the machines of a pool.
type PoolStatus struct {
	// name is the pool's key.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`
	// replicas is how many machines exist.
	// +optional
	Replicas int32 `json:"replicas,omitempty"`
	// readyReplicas is how many are as their run strategy wants them.
	// +optional
	ReadyReplicas int32 `json:"readyReplicas,omitempty"`
	// updatedReplicas is how many have the current template.
	// +optional
	UpdatedReplicas int32 `json:"updatedReplicas,omitempty"`
}

// Failure names something that failed, and why.
type Failure struct {
	// kind is the kind of the object.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Kind string `json:"kind"`
	// name is the name of the object.
	// +required
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// reason is a word for the cause.
	// +required
	// +kubebuilder:validation:MaxLength=128
	Reason string `json:"reason"`
	// message says what happened and what to do.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
}
