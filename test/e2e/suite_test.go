// Package e2e tests what users see on a real control plane: real etcd, kube-apiserver, virt-api and
// virt-controller, real CSI sidecars, and stock helm 3 and 4.
//
// One cluster serves the whole suite, and every spec has a namespace of its own, so specs know nothing of
// each other and run in any order and in parallel.
package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	ctrl "sigs.k8s.io/controller-runtime"

	"wukong.io/wukong/pkg/fleet"
	"wukong.io/wukong/test/cluster"
	"wukong.io/wukong/test/stockhelm"
	"wukong.io/wukong/test/world"
)

const (
	// patience is how long anything may take that a user would wait for. The machine may be busy.
	patience = 3 * time.Minute
	// startTimeout bounds the start of the cluster, and the building of its programs where the cache is empty.
	startTimeout = 45 * time.Minute
	stopTimeout  = time.Minute
)

// shared is what every spec may use and none may change.
var shared struct {
	config     *rest.Config
	kubeconfig string
	world      *world.World
	helm3      stockhelm.Helm
	helm4      stockhelm.Helm
	renderer   *fleet.Renderer
	// logs is the folder of the programs' logs, in the process that started them.
	logs string
}

// ticket is what the process that starts the cluster tells the others.
type ticket struct {
	Kubeconfig, VolumeRoot, Helm3, Helm4 string
}

func TestE2E(t *testing.T) {
	ctrl.SetLogger(logr.Discard()) // the stand-ins log to nobody
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(patience)
	SetDefaultEventuallyPollingInterval(200 * time.Millisecond)
	EnforceDefaultTimeoutsWhenUsingContexts()
	RunSpecs(t, "End to end")
}

var _ = SynchronizedBeforeSuite(func(ctx SpecContext) []byte {
	binaries, err := cluster.Build(ctx, GinkgoWriter, "helm3", "helm4")
	Expect(err).NotTo(HaveOccurred())
	shared.logs, err = os.MkdirTemp("", "wukong-e2e-logs-")
	Expect(err).NotTo(HaveOccurred())
	c, err := cluster.Start(ctx, cluster.Options{
		Log: GinkgoWriter, LogDir: shared.logs, FeatureGates: append(cluster.DefaultFeatureGates(), "HostDevices", "GPU"),
	})
	Expect(err).NotTo(HaveOccurred())
	stopCluster(c)
	helm := stockhelm.Helm{Path: binaries.Helm3, Kubeconfig: c.Kubeconfig, Home: GinkgoT().TempDir()}
	// The definitions alone: policies want the webhook's stamp on every job, and no webhook runs here.
	_, err = helm.Install(ctx, stockhelm.Release{
		Namespace: "default", Name: "wukong", Chart: stockhelm.Chart("wukong"),
		Set: []string{"policies.enabled=false", "webhook.enabled=false", "controllers.enabled=false"},
	})
	Expect(err).NotTo(HaveOccurred())
	told, err := json.Marshal(ticket{
		Kubeconfig: c.Kubeconfig, VolumeRoot: c.VolumeRoot, Helm3: binaries.Helm3, Helm4: binaries.Helm4,
	})
	Expect(err).NotTo(HaveOccurred())
	return told
}, func(told []byte) {
	var from ticket
	Expect(json.Unmarshal(told, &from)).To(Succeed())
	config, err := clientcmd.BuildConfigFromFlags("", from.Kubeconfig)
	Expect(err).NotTo(HaveOccurred())
	config.QPS = -1 // the API server is what should be busy
	shared.config, shared.kubeconfig = config, from.Kubeconfig
	shared.world, err = world.New(config, from.VolumeRoot)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(shared.world.Close)
	shared.renderer, err = fleet.New()
	Expect(err).NotTo(HaveOccurred())
	home := GinkgoT().TempDir()
	shared.helm3 = stockhelm.Helm{Path: from.Helm3, Kubeconfig: from.Kubeconfig, Home: filepath.Join(home, "helm3")}
	shared.helm4 = stockhelm.Helm{Path: from.Helm4, Kubeconfig: from.Kubeconfig, Home: filepath.Join(home, "helm4")}
}, NodeTimeout(startTimeout))

// stopCluster stops the cluster once, after all specs.
func stopCluster(c *cluster.Cluster) {
	DeferCleanup(func(ctx SpecContext) {
		Expect(c.Stop(ctx)).To(Succeed())
	}, NodeTimeout(stopTimeout))
}

// The programs' logs stay where a spec has failed.
var _ = ReportAfterSuite("the programs' logs", func(report Report) {
	if shared.logs == "" {
		return
	}
	if !report.SuiteSucceeded {
		AddReportEntry("logs", shared.logs, ReportEntryVisibilityAlways)
		return
	}
	Expect(os.RemoveAll(shared.logs)).To(Succeed())
})
