package cluster

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"wukong.io/wukong/test/cluster/cdi"
	"wukong.io/wukong/test/cluster/csidriver"
	"wukong.io/wukong/test/cluster/node"
)

// KubeVirt's and CDI's namespaces, as their operators name them.
const (
	KubeVirtNamespace = "kubevirt"
	CDINamespace      = "cdi"
)

// The storage classes of the cluster.
const (
	// ClassFast can be snapshotted, binds at once and is the default.
	ClassFast = "fast"
	// ClassLate is ClassFast, but a volume waits for its first Pod.
	ClassLate = "wffc"
	// ClassNoSnapshot is of another driver, which has no VolumeSnapshotClass and refuses snapshots.
	ClassNoSnapshot = "nosnap"
)

// The CSI drivers behind the storage classes.
const (
	DriverFast       = "file.csi.wukong.io"
	DriverNoSnapshot = "plain.csi.wukong.io"
)

// Options say what a cluster is made of. The zero value is everything.
type Options struct {
	// Dir holds the cluster's state. A new temporary folder when empty, which Stop removes.
	Dir string
	// LogDir holds a log for each program; logs inside Dir when empty. A temporary Dir is kept when Start fails.
	LogDir string
	// Log is told what happens during Start, a line each; nobody when nil.
	Log io.Writer
	// FeatureGates of KubeVirt; DefaultFeatureGates() when nil.
	FeatureGates []string
	// Node says what nodes there are, which guests have an agent, and, before Programs, what is behind a Pod. HandlerConfig and Freeze
	// are filled in by Start.
	Node node.Options
	// Programs maps the image of a container, without tag or digest, to a statically linked program on this machine that runs
	// in its place. virt-exportserver is there by itself. A Pod of any other image just runs, and does nothing.
	Programs map[string]string
	// CDI says what the importer knows, and makes imports fail on command. The roots of volumes are filled in by Start.
	CDI cdi.Options
	// Faults makes the driver of ClassFast and ClassLate misbehave on command; nil is a driver that behaves.
	Faults *csidriver.Faults
	// NoKubeVirt leaves out KubeVirt's definitions and programs, and the node with its virt-handler.
	NoKubeVirt bool
	// NoStorage leaves out the CSI drivers, their sidecars and the storage classes.
	NoStorage bool
	// NoCDI leaves out CDI's definitions and its stand-in.
	NoCDI bool
	// NoNode leaves out the stand-in for a node: Pods stay Pending, and no VM gets to run.
	NoNode bool
}

// DefaultFeatureGates are those that Wukong needs of KubeVirt 1.8, where Alpha and Beta gates are off unless listed.
func DefaultFeatureGates() []string {
	return []string{"Snapshot", "VMExport", "HotplugVolumes", "ExpandDisks", "HostDisk"}
}

// folders are the parts of a cluster's Dir.
type folders struct {
	root, certs, etcd, logs, volumes, sockets, kubevirt, pods string
	temporary                                                 bool
}

// maxSocketPath is what fits into a socket address (108 bytes with its end), less the longest name in the sockets folder.
const maxSocketPath = 107 - len("/no-snapshot.sock")

func (o Options) folders() (folders, error) {
	root, err := filepath.Abs(o.Dir)
	if err != nil {
		return folders{}, fmt.Errorf("finding the folder %q: %w", o.Dir, err)
	}
	if o.Dir == "" {
		if root, err = os.MkdirTemp("", "wukong-cluster-"); err != nil {
			return folders{}, fmt.Errorf("making a folder for the cluster: %w", err)
		}
	}
	f := folders{
		root:      root,
		certs:     filepath.Join(root, "certs"),
		etcd:      filepath.Join(root, "etcd"),
		logs:      filepath.Join(root, "logs"),
		volumes:   filepath.Join(root, "volumes"),
		sockets:   filepath.Join(root, "csi"),
		kubevirt:  filepath.Join(root, "kubevirt"),
		pods:      filepath.Join(root, "pods"),
		temporary: o.Dir == "",
	}
	if o.LogDir != "" {
		if f.logs, err = filepath.Abs(o.LogDir); err != nil {
			return folders{}, fmt.Errorf("finding the log folder %q: %w", o.LogDir, err)
		}
	}
	return f, f.create()
}

func (f folders) create() error {
	if len(f.sockets) > maxSocketPath {
		return fmt.Errorf("the cluster's folder %q is too deep: its sockets' paths must not exceed %d bytes; choose a shorter Dir or TMPDIR",
			f.root, maxSocketPath)
	}
	if isDir(filepath.Join(f.etcd, "member")) {
		return fmt.Errorf("the folder %q holds the state of an earlier cluster: remove it or choose another Dir", f.root)
	}
	var errs []error
	for _, dir := range []string{f.certs, f.etcd, f.logs, f.volumes, f.sockets, f.kubevirt, f.pods} {
		errs = append(errs, os.MkdirAll(dir, 0o700))
	}
	return errors.Join(errs...)
}
