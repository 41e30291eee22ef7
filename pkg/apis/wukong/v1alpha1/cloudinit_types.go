package v1alpha1

// CloudInit configures a guest at its first boot. What it says is stored in a
// Secret for every machine.
//
// Text may hold tokens, which are replaced for every machine: @@name@@,
// @@ordinal@@, @@mac.<network>@@ and @@address.<network>@@.
type CloudInit struct {
	// dataSource is how the guest gets its data.
	// +optional
	// +default="NoCloud"
	// +kubebuilder:validation:Enum=NoCloud;ConfigDrive
	DataSource string `json:"dataSource,omitempty"`
	// user is the login that gets the keys; the image's default user if unset.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^[a-z_][a-z0-9_-]*$`
	User string `json:"user,omitempty"`
	// sshAuthorizedKeys may log in as the user.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=8192
	SSHAuthorizedKeys []string `json:"sshAuthorizedKeys,omitempty"`
	// sshAuthorizedKeysSecret is a Secret each of whose values is a key that
	// may log in. KubeVirt adds them at boot.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	SSHAuthorizedKeysSecret string `json:"sshAuthorizedKeysSecret,omitempty"`
	// packages to install.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=253
	Packages []string `json:"packages,omitempty"`
	// packageUpdate refreshes the package lists first.
	// +optional
	PackageUpdate *bool `json:"packageUpdate,omitempty"`
	// packageUpgrade upgrades every package.
	// +optional
	PackageUpgrade *bool `json:"packageUpgrade,omitempty"`
	// timezone of the guest.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Timezone string `json:"timezone,omitempty"`
	// bootCommands run early at every boot, each by the shell.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=16384
	BootCommands []string `json:"bootCommands,omitempty"`
	// runCommands run once, at the end of the first boot, each by the shell.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=16384
	RunCommands []string `json:"runCommands,omitempty"`
	// files to write, by path.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	Files map[string]CloudInitFile `json:"files,omitempty"`
	// userData is raw user data, in place of the fields above.
	// +optional
	// +kubebuilder:validation:MaxLength=524288
	UserData string `json:"userData,omitempty"`
	// networkData is raw network data, in place of what is written from the
	// networks. Their ipam then serves its tokens alone.
	// +optional
	// +kubebuilder:validation:MaxLength=65536
	NetworkData string `json:"networkData,omitempty"`
}

// CloudInitFile is a file that cloud-init writes.
type CloudInitFile struct {
	// content of the file.
	// +required
	// +kubebuilder:validation:MaxLength=262144
	Content string `json:"content"`
	// permissions in octal, such as 0644.
	// +optional
	// +kubebuilder:validation:Pattern=`^[0-7]{3,4}$`
	Permissions string `json:"permissions,omitempty"`
	// owner as user:group.
	// +optional
	// +kubebuilder:validation:MaxLength=65
	// +kubebuilder:validation:Pattern=`^[a-z_][a-z0-9_-]*(:[a-z_][a-z0-9_-]*)?$`
	Owner string `json:"owner,omitempty"`
}
