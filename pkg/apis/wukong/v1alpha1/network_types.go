package v1alpha1

// Network is a network interface of a machine.
type Network struct {
	// pod is the cluster's Pod network. Exactly one of pod and multus is set.
	// +optional
	Pod *PodNetwork `json:"pod,omitempty"`
	// multus is a secondary network.
	// +optional
	Multus *MultusNetwork `json:"multus,omitempty"`
	// binding connects the interface to the network: masquerade if unset for
	// pod, bridge for multus.
	// +optional
	// +kubebuilder:validation:Enum=masquerade;bridge;sriov
	Binding string `json:"binding,omitempty"`
	// bindingPlugin connects the interface by a plugin registered with KubeVirt.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	BindingPlugin string `json:"bindingPlugin,omitempty"`
	// model of the interface; what the preference says if unset, else virtio.
	// +optional
	// +kubebuilder:validation:Enum=virtio;e1000;e1000e;igb;ne2k_pci;pcnet;rtl8139
	Model string `json:"model,omitempty"`
	// macAddress of the interface, for an override of one ordinal; by identity
	// if unset.
	// +optional
	// +kubebuilder:validation:Pattern=`^([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}$`
	MACAddress string `json:"macAddress,omitempty"`
	// bootOrder of the interface among disks and networks, from 1.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=64
	BootOrder *int32 `json:"bootOrder,omitempty"`
	// ports are forwarded to the machine by masquerade; all if unset.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	Ports map[string]NetworkPort `json:"ports,omitempty"`
	// ipam gives every machine a static address, through cloud-init.
	// +optional
	IPAM *IPAM `json:"ipam,omitempty"`
}

// PodNetwork is the cluster's Pod network.
type PodNetwork struct {
	// vmNetworkCIDR is the IPv4 network the guest sees behind masquerade.
	// +optional
	// +kubebuilder:validation:MaxLength=18
	VMNetworkCIDR string `json:"vmNetworkCIDR,omitempty"`
}

// MultusNetwork is a secondary network.
type MultusNetwork struct {
	// networkName is a key of hostNetworks, or the name of a
	// NetworkAttachmentDefinition, as <name> or <namespace>/<name>.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=317
	NetworkName string `json:"networkName"`
	// default makes it the machine's primary network, in place of pod.
	// +optional
	Default *bool `json:"default,omitempty"`
}

// NetworkPort is a port that masquerade forwards.
type NetworkPort struct {
	// port number.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port"`
	// protocol of the port.
	// +optional
	// +default="TCP"
	// +kubebuilder:validation:Enum=TCP;UDP
	Protocol string `json:"protocol,omitempty"`
}

// IPAM gives every machine of a pool a static address: first plus its ordinal.
type IPAM struct {
	// cidr is the network, IPv4 or IPv6.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=43
	CIDR string `json:"cidr"`
	// first is the address of ordinal 0; ordinal n has the n-th after it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=39
	First string `json:"first"`
	// gateway is the default route.
	// +optional
	// +kubebuilder:validation:MaxLength=39
	Gateway string `json:"gateway,omitempty"`
	// nameservers for the guest.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:items:MaxLength=39
	Nameservers []string `json:"nameservers,omitempty"`
	// searchDomains for the guest.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=253
	SearchDomains []string `json:"searchDomains,omitempty"`
}
