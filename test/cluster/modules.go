package cluster

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// The modules that Build knows, each with the programs that fit together.
const (
	ModuleKubernetes  = "kubernetes"
	ModuleKubeVirt    = "kubevirt"
	ModuleProvisioner = "provisioner"
	ModuleSnapshotter = "snapshotter"
	ModuleHelm3       = "helm3"
	ModuleHelm4       = "helm4"
)

// kubernetesVersion is what the API server says it is; it is the version that modules/kubernetes/go.mod requires.
const kubernetesVersion = "v1.36.3"

// kubeVirtVersion is what the KubeVirt object says was deployed; it is the version that modules/kubevirt/go.mod requires.
const kubeVirtVersion = "v1.8.0"

// module is a folder under modules whose dependencies exclude those of the others.
type module struct {
	name     string
	programs []target
	ldflags  string
	// generate maps a file of the result to the program, built here, that prints it.
	generate map[string]string
}

// target is one main package, and the name its binary gets.
type target struct {
	binary string
	pkg    string
}

func modules() []module {
	const versionPackage = "-X k8s.io/component-base/version."
	kubernetesFlags := versionPackage + "gitVersion=" + kubernetesVersion + " " +
		versionPackage + "gitMajor=1 " + versionPackage + "gitMinor=36"
	return []module{
		{name: ModuleKubernetes, ldflags: kubernetesFlags, programs: []target{
			{"kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"},
			{"kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"},
			{"kubectl", "k8s.io/kubernetes/cmd/kubectl"},
			{"etcd", "go.etcd.io/etcd/server/v3"},
		}},
		{name: ModuleKubeVirt, generate: map[string]string{"kubevirt.json": "kubevirt-manifests"}, programs: []target{
			{"virt-api", "kubevirt.io/kubevirt/cmd/virt-api"},
			{"virt-controller", "kubevirt.io/kubevirt/cmd/virt-controller"},
			{"virt-exportserver", "kubevirt.io/kubevirt/cmd/virt-exportserver"},
			{"virtctl", "kubevirt.io/kubevirt/cmd/virtctl"},
			{"kubevirt-manifests", "./kubevirt-manifests"},
		}},
		{name: ModuleProvisioner, programs: []target{
			{"csi-provisioner", "github.com/kubernetes-csi/external-provisioner/v5/cmd/csi-provisioner"},
		}},
		{name: ModuleSnapshotter, programs: []target{
			{"csi-snapshotter", "github.com/kubernetes-csi/external-snapshotter/v8/cmd/csi-snapshotter"},
			{"snapshot-controller", "github.com/kubernetes-csi/external-snapshotter/v8/cmd/snapshot-controller"},
		}},
		{name: ModuleHelm3, programs: []target{{"helm3", "helm.sh/helm/v3/cmd/helm"}}},
		{name: ModuleHelm4, programs: []target{{"helm4", "helm.sh/helm/v4/cmd/helm"}}},
	}
}

// moduleRoot finds the modules folder in the source tree. A go.mod file below it keeps it from being embedded.
func moduleRoot() (string, error) {
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) {
		return checkModuleRoot(filepath.Join(filepath.Dir(file), "modules"))
	}
	// Built with -trimpath: look for the repository around the working folder instead.
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("finding the working folder: %w", err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if root, err := checkModuleRoot(filepath.Join(dir, "test", "cluster", "modules")); err == nil {
			return root, nil
		}
	}
	return "", errors.New("test/cluster/modules was not found: run this inside a checkout of the repository")
}

func checkModuleRoot(root string) (string, error) {
	if _, err := os.Stat(filepath.Join(root, ModuleKubernetes, "go.mod")); err != nil {
		return "", fmt.Errorf("looking for the modules of the test cluster, which need the source tree: %w", err)
	}
	return root, nil
}

// hash names everything that decides what a module's binaries are.
func (m module) hash(dir string) (string, error) {
	var files []string
	walk := func(path string, entry fs.DirEntry, err error) error {
		if err == nil && isSource(entry) {
			files = append(files, path)
		}
		return err
	}
	if err := filepath.WalkDir(dir, walk); err != nil {
		return "", fmt.Errorf("listing module %q: %w", m.name, err)
	}
	slices.Sort(files)
	sum := sha256.New()
	fmt.Fprintf(sum, "%s %s %s %+v\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, m)
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("reading module %q: %w", m.name, err)
		}
		fmt.Fprintf(sum, "%s %d\n", strings.TrimPrefix(file, dir), len(content))
		sum.Write(content)
	}
	return hex.EncodeToString(sum.Sum(nil))[:16], nil
}

func isSource(entry fs.DirEntry) bool {
	name := entry.Name()
	return !entry.IsDir() && (name == "go.mod" || name == "go.sum" || strings.HasSuffix(name, ".go"))
}
