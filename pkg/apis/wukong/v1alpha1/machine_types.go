package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
	kubevirtv1 "kubevirt.io/api/core/v1"
)

// MachineTemplate describes a virtual machine. Maps are merged key by key:
// fleet defaults, then the pool's template, then an ordinal's override.
type MachineTemplate struct {
	// labels are added to the machine and its Pod.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	Labels map[string]string `json:"labels,omitempty"`
	// annotations are added to the machine.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	Annotations map[string]string `json:"annotations,omitempty"`
	// runStrategy says when the machine runs. Manual and RerunOnFailure suit
	// machines that people start and stop by hand.
	// +optional
	// +default="Always"
	RunStrategy RunStrategy `json:"runStrategy,omitempty"`
	// instancetype gives CPU and memory by name. A machine has an instancetype
	// or resources.
	// +optional
	Instancetype *InstancetypeReference `json:"instancetype,omitempty"`
	// preference gives the guest's preferred devices by name.
	// +optional
	Preference *InstancetypeReference `json:"preference,omitempty"`
	// resources are the machine's CPU and memory.
	// +optional
	Resources *MachineResources `json:"resources,omitempty"`
	// architecture of the machine.
	// +optional
	// +default="amd64"
	// +kubebuilder:validation:Enum=amd64;arm64;s390x
	Architecture string `json:"architecture,omitempty"`
	// machineType is the emulated machine, such as q35. It beats what the
	// preference says; leave it unset unless the guest needs it.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	MachineType string `json:"machineType,omitempty"`
	// disks by key. A disk's DataVolume is named <machine>-<key>.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	Disks map[string]Disk `json:"disks,omitempty"`
	// networks by key, each a network interface of the machine. A machine
	// without networks is on the Pod network.
	// +optional
	// +kubebuilder:validation:MaxProperties=16
	Networks map[string]Network `json:"networks,omitempty"`
	// cloudInit configures the guest at its first boot.
	// +optional
	CloudInit *CloudInit `json:"cloudInit,omitempty"`
	// sysprep configures a Windows guest at its first boot.
	// +optional
	Sysprep *Sysprep `json:"sysprep,omitempty"`
	// accessCredentials are put into the running guest by its agent.
	// +optional
	AccessCredentials *AccessCredentials `json:"accessCredentials,omitempty"`
	// placement says on which nodes the machine may run.
	// +optional
	Placement *Placement `json:"placement,omitempty"`
	// evictionStrategy says what a node drain does to the machine; the
	// cluster's default if unset.
	// +optional
	// +kubebuilder:validation:Enum=None;LiveMigrate;LiveMigrateIfPossible;External
	EvictionStrategy string `json:"evictionStrategy,omitempty"`
	// terminationGracePeriodSeconds is how long the guest has to shut down, in
	// seconds.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=86400
	TerminationGracePeriodSeconds *int64 `json:"terminationGracePeriodSeconds,omitempty"`
	// firmware says how the machine boots.
	// +optional
	Firmware *Firmware `json:"firmware,omitempty"`
	// devices are what else is plugged into the machine.
	// +optional
	Devices *Devices `json:"devices,omitempty"`
	// readinessProbe says when the machine takes part in its Services.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	// +kubebuilder:pruning:PreserveUnknownFields
	ReadinessProbe *kubevirtv1.Probe `json:"readinessProbe,omitempty"`
	// livenessProbe says when the machine is restarted.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	// +kubebuilder:pruning:PreserveUnknownFields
	LivenessProbe *kubevirtv1.Probe `json:"livenessProbe,omitempty"`
	// patch is the escape hatch: a JSON merge patch (RFC 7386) of the
	// VirtualMachine for what this template cannot say. A list replaces the
	// whole list; null removes a key. Names, and what gives a guest the node,
	// cannot be patched.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	// +kubebuilder:pruning:PreserveUnknownFields
	Patch *runtime.RawExtension `json:"patch,omitempty"`
}

// RunStrategy says when a machine runs, as KubeVirt defines it.
//
// +kubebuilder:validation:Enum=Always;RerunOnFailure;Manual;Halted;Once
type RunStrategy string

// InstancetypeReference names an instancetype or a preference.
type InstancetypeReference struct {
	// name of the object.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	Name string `json:"name"`
	// kind of the object; the cluster-wide kind if unset.
	// +optional
	// +kubebuilder:validation:Enum=VirtualMachineInstancetype;VirtualMachineClusterInstancetype;VirtualMachinePreference;VirtualMachineClusterPreference
	Kind string `json:"kind,omitempty"`
}

// MachineResources are a machine's CPU and memory.
type MachineResources struct {
	// cpu is the number of virtual CPUs. They are made as sockets, the one
	// form KubeVirt can add to while the machine runs, unless topology says
	// otherwise.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1024
	CPU *int32 `json:"cpu,omitempty"`
	// topology lays the CPUs out in another way. Its product must be cpu,
	// where both are set.
	// +optional
	Topology *CPUTopology `json:"topology,omitempty"`
	// cpuModel is the CPU the guest sees, such as host-model.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	CPUModel string `json:"cpuModel,omitempty"`
	// dedicatedCPUPlacement pins every virtual CPU to one of the node's.
	// +optional
	DedicatedCPUPlacement *bool `json:"dedicatedCPUPlacement,omitempty"`
	// memory is what the guest sees.
	// +optional
	Memory *resource.Quantity `json:"memory,omitempty"`
	// maxMemory is how far memory can grow while the machine runs.
	// +optional
	MaxMemory *resource.Quantity `json:"maxMemory,omitempty"`
	// hugepages is the page size the memory is made of.
	// +optional
	// +kubebuilder:validation:Enum="2Mi";"1Gi";"64Ki"
	Hugepages string `json:"hugepages,omitempty"`
}

// CPUTopology lays out virtual CPUs.
type CPUTopology struct {
	// sockets of the machine.
	// +optional
	// +default=1
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1024
	Sockets *int32 `json:"sockets,omitempty"`
	// cores of a socket.
	// +optional
	// +default=1
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1024
	Cores *int32 `json:"cores,omitempty"`
	// threads of a core.
	// +optional
	// +default=1
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=16
	Threads *int32 `json:"threads,omitempty"`
}

// Sysprep is an answer file for Windows. Exactly one member is set.
//
// +kubebuilder:validation:ExactlyOneOf=secretName;configMapName
type Sysprep struct {
	// secretName is a Secret with unattend.xml or autounattend.xml.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	SecretName string `json:"secretName,omitempty"`
	// configMapName is a ConfigMap with unattend.xml or autounattend.xml.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	ConfigMapName string `json:"configMapName,omitempty"`
}

// AccessCredentials are put into a running guest by its agent.
type AccessCredentials struct {
	// sshPublicKeys puts keys into users' authorized_keys.
	// +optional
	SSHPublicKeys *SSHPublicKeys `json:"sshPublicKeys,omitempty"`
	// userPassword sets users' passwords.
	// +optional
	UserPassword *UserPassword `json:"userPassword,omitempty"`
}

// SSHPublicKeys are keys from a Secret for users of the guest.
type SSHPublicKeys struct {
	// secretName is a Secret; each of its values is a public key.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	SecretName string `json:"secretName"`
	// users whose authorized_keys the agent writes.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=32
	Users []string `json:"users"`
}

// UserPassword sets passwords of users of the guest.
type UserPassword struct {
	// secretName is a Secret; each key is a user, its value the password.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	SecretName string `json:"secretName"`
}

// Placement says on which nodes a machine may run.
type Placement struct {
	// spread keeps the pool's machines apart.
	// +optional
	Spread *Spread `json:"spread,omitempty"`
	// nodeSelector are labels the node must have.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`
	// tolerations let the machine onto tainted nodes.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`
	// affinity is a Kubernetes affinity.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	// +kubebuilder:pruning:PreserveUnknownFields
	Affinity *corev1.Affinity `json:"affinity,omitempty"`
	// priorityClassName of the machine's Pod.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	PriorityClassName string `json:"priorityClassName,omitempty"`
	// schedulerName of the machine's Pod.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	SchedulerName string `json:"schedulerName,omitempty"`
}

// Spread keeps the machines of a pool apart.
type Spread struct {
	// topologyKey is the node label whose values are the places to spread over.
	// +optional
	// +default="kubernetes.io/hostname"
	// +kubebuilder:validation:MaxLength=317
	TopologyKey string `json:"topologyKey,omitempty"`
	// maxSkew is how uneven the spread may be, in machines.
	// +optional
	// +default=1
	// +kubebuilder:validation:Minimum=1
	MaxSkew *int32 `json:"maxSkew,omitempty"`
	// whenUnsatisfiable says whether a machine that cannot be spread waits or
	// runs anyway.
	// +optional
	// +default="ScheduleAnyway"
	// +kubebuilder:validation:Enum=DoNotSchedule;ScheduleAnyway
	WhenUnsatisfiable string `json:"whenUnsatisfiable,omitempty"`
}

// Firmware says how a machine boots.
type Firmware struct {
	// bootloader is BIOS or EFI; what the preference says if unset.
	// +optional
	// +kubebuilder:validation:Enum=BIOS;EFI
	Bootloader string `json:"bootloader,omitempty"`
	// secureBoot verifies what EFI boots.
	// +optional
	SecureBoot *bool `json:"secureBoot,omitempty"`
	// persistentEFI keeps the EFI variables on a volume of their own.
	// +optional
	PersistentEFI *bool `json:"persistentEFI,omitempty"`
	// tpm gives the machine a TPM.
	// +optional
	TPM *TPM `json:"tpm,omitempty"`
}

// TPM is an emulated TPM.
type TPM struct {
	// persistent keeps the TPM's state on a volume of its own. Machines with
	// such state cannot be cloned.
	// +optional
	Persistent *bool `json:"persistent,omitempty"`
}

// Devices are what else is plugged into a machine.
type Devices struct {
	// gpus by name.
	// +optional
	// +kubebuilder:validation:MaxProperties=16
	GPUs map[string]HostDevice `json:"gpus,omitempty"`
	// hostDevices by name.
	// +optional
	// +kubebuilder:validation:MaxProperties=16
	HostDevices map[string]HostDevice `json:"hostDevices,omitempty"`
	// watchdog acts when the guest hangs.
	// +optional
	Watchdog *Watchdog `json:"watchdog,omitempty"`
	// rng gives the guest entropy.
	// +optional
	RNG *bool `json:"rng,omitempty"`
	// inputs: tablet gives the guest an absolute pointer, as consoles like it.
	// +optional
	Tablet *bool `json:"tablet,omitempty"`
}

// HostDevice is a device of the node.
type HostDevice struct {
	// deviceName is the resource the node offers.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	DeviceName string `json:"deviceName"`
}

// Watchdog acts when a guest hangs.
type Watchdog struct {
	// action is what it does.
	// +optional
	// +default="Reset"
	// +kubebuilder:validation:Enum=Reset;Poweroff;Shutdown
	Action string `json:"action,omitempty"`
}
