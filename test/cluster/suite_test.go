package cluster_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	kubevirtv1 "kubevirt.io/api/core/v1"
	exportv1beta1 "kubevirt.io/api/export/v1beta1"
	snapshotv1beta1 "kubevirt.io/api/snapshot/v1beta1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	corev1 "k8s.io/api/core/v1"

	"wukong.io/wukong/test/cluster"
	"wukong.io/wukong/test/cluster/node"
)

func TestCluster(t *testing.T) {
	if testing.Short() {
		t.Skip("starts control planes")
	}
	ctrl.SetLogger(logr.Discard())
	RegisterFailHandler(Fail)
	RunSpecs(t, "Cluster")
}

// shared is the cluster of all specs that change nothing outside of their own namespace.
var shared *cluster.Cluster

var _ = BeforeSuite(func(ctx SpecContext) {
	bin, err := cluster.Build(ctx, GinkgoWriter, cluster.ModuleKubernetes)
	Expect(err).NotTo(HaveOccurred())
	shared, err = cluster.Start(ctx, cluster.Options{
		Log:      GinkgoWriter,
		Programs: map[string]string{kubectlImage: bin.Kubectl},
		Node:     node.Options{GuestAgent: hasGuestAgent},
	})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(shared.Stop)
})

// kubectlImage is what Pods name that are to run kubectl.
const kubectlImage = "registry.test/kubectl"

// agentLabel marks machines whose guest agent connects.
const agentLabel = "guest-agent"

func hasGuestAgent(vmi *kubevirtv1.VirtualMachineInstance) bool {
	return vmi.Labels[agentLabel] == "true"
}

// clientFor returns a client that knows KubeVirt's types.
func clientFor(config *rest.Config) client.Client {
	GinkgoHelper()
	types := runtime.NewScheme()
	Expect(clientgoscheme.AddToScheme(types)).To(Succeed())
	Expect(kubevirtv1.AddToScheme(types)).To(Succeed())
	Expect(snapshotv1beta1.AddToScheme(types)).To(Succeed())
	Expect(exportv1beta1.AddToScheme(types)).To(Succeed())
	c, err := client.New(config, client.Options{Scheme: types})
	Expect(err).NotTo(HaveOccurred())
	return c
}

// newNamespace makes a namespace that goes when the spec ends.
func newNamespace(ctx SpecContext, c client.Client) string {
	GinkgoHelper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "spec-"}}
	Expect(c.Create(ctx, namespace)).To(Succeed())
	DeferCleanup(func(ctx SpecContext) { Expect(c.Delete(ctx, namespace)).To(Succeed()) })
	return namespace.Name
}

// processesOf returns the command lines of all programs that were started with something in dir.
func processesOf(dir string) []string {
	GinkgoHelper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	Expect(err).NotTo(HaveOccurred())
	var found []string
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil { // it has ended meanwhile
			continue
		}
		line := strings.ReplaceAll(string(content), "\x00", " ")
		if strings.Contains(line, dir+"/") {
			found = append(found, line)
		}
	}
	return found
}
