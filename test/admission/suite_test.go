// Package admission tests Wukong's admission and the controller behind it on a real control plane: a real
// kube-apiserver with KubeVirt's own webhooks, our chart installed by stock helm, and wukong-manager running as
// real processes, with TLS, under the ServiceAccounts and rights that the chart gives them.
//
// The webhook's two replicas run outside of the cluster, behind a balancer that does what a Service does.
package admission

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"wukong.io/wukong/test/cluster"
	"wukong.io/wukong/test/stockhelm"
)

const (
	// patience is how long anything may take that a user would wait for. The machine may be busy.
	patience     = 2 * time.Minute
	startTimeout = 45 * time.Minute
	stopTimeout  = time.Minute
	// system is the namespace of the chart's release.
	system = "wukong-system"
	// allowed is the one registry that disks may be exported to.
	allowed = "registry.example.com/vms"
)

// shared is what specs use. Those that stop a replica start it again.
var shared struct {
	config      *rest.Config
	admin       client.Client
	balancer    *balancer
	replicas    []*process
	controllers *process
	logs        string
	helm        stockhelm.Helm
}

func TestAdmission(t *testing.T) {
	ctrl.SetLogger(logr.Discard()) // the stand-ins log to nobody
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(patience)
	SetDefaultEventuallyPollingInterval(100 * time.Millisecond)
	EnforceDefaultTimeoutsWhenUsingContexts()
	RunSpecs(t, "Admission")
}

var _ = BeforeSuite(func(ctx SpecContext) {
	manager := buildManager(ctx)
	binaries, err := cluster.Build(ctx, GinkgoWriter, "helm3")
	Expect(err).NotTo(HaveOccurred())
	shared.logs, err = os.MkdirTemp("", "wukong-admission-logs-")
	Expect(err).NotTo(HaveOccurred())
	c, err := cluster.Start(ctx, cluster.Options{Log: GinkgoWriter, LogDir: shared.logs, NoNode: true})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func(ctx SpecContext) {
		Expect(c.Stop(ctx)).To(Succeed())
	}, NodeTimeout(stopTimeout))
	shared.config = c.Config
	shared.admin = clientOf(c.Config)

	shared.balancer, err = newBalancer()
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(shared.balancer.close)
	shared.helm = stockhelm.Helm{Path: binaries.Helm3, Kubeconfig: c.Kubeconfig, Home: GinkgoT().TempDir()}
	_, err = shared.helm.Run(ctx, "install", "wukong", stockhelm.Chart("wukong"), "--namespace", system, "--create-namespace",
		"--set", "webhook.url=https://"+shared.balancer.address(),
		"--set", "controllers.replicas=0",
		"--set", "policies.destinations.registries={"+allowed+"}",
		"--set", "policies.destinations.s3={https://s3.example.com/vms}",
		"--set", "policies.imports={http://mirror.lan/images/}")
	Expect(err).NotTo(HaveOccurred())

	webhookConfig := kubeconfigFor(ctx, "wukong-webhook")
	for i := range 2 {
		replica := newReplica(manager, webhookConfig, fmt.Sprintf("webhook-%d", i))
		shared.replicas = append(shared.replicas, replica)
		began := time.Now()
		replica.start()
		replica.ready(ctx)
		AddReportEntry(fmt.Sprintf("replica %d ready after", i), time.Since(began).Round(time.Millisecond).String())
		shared.balancer.add(replica.address)
	}
	shared.controllers = newControllers(manager, kubeconfigFor(ctx, "wukong-controllers"))
	shared.controllers.start()
	shared.controllers.ready(ctx)
}, NodeTimeout(startTimeout))

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

func logFile(name string) string {
	return filepath.Join(shared.logs, name+".log")
}
