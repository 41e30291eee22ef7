package admission

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	kubevirtv1 "kubevirt.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"wukong.io/wukong/pkg/apis/wukong/v1alpha1"
)

// load asks without end, in dry runs: alice, who may, must always succeed, and mallory, who may not, never.
type load struct {
	wrong failures
	asked atomic.Int64
	stop  func()
}

func startLoad(ctx context.Context) *load {
	GinkgoHelper()
	w := newBypassWorld(ctx)
	vm := newMachine(ctx, w.namespace, "web")
	ctx, cancel := context.WithCancel(ctx)
	l := &load{}
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				l.one(ctx, w, vm, worker, i)
			}
		})
	}
	l.stop = func() {
		cancel()
		wg.Wait()
	}
	DeferCleanup(l.stop)
	return l
}

func (l *load) one(ctx context.Context, w *bypassWorld, vm *kubevirtv1.VirtualMachine, worker, i int) {
	value := fmt.Sprintf("copy-%d-%d", worker, i)
	job := func() client.Object {
		job := &v1alpha1.CloneJob{}
		job.Namespace, job.GenerateName = w.namespace, "load-"
		job.Spec.Source.VirtualMachine, job.Spec.Source.Mode = &v1alpha1.NamespacedName{Name: vm.Name}, v1alpha1.CloneOnline
		job.Spec.Targets.Name = value
		return job
	}
	for name, do := range map[string]func() error{
		"alice's request": func() error { return ask(ctx, w.alice, vm, "clone", value, client.DryRunAll) },
		"alice's job":     func() error { return w.alice.Create(ctx, job(), client.DryRunAll) },
	} {
		l.asked.Add(1)
		if err := do(); err != nil && ctx.Err() == nil {
			l.wrong.add("%s %s at %s: %v", name, value, time.Now().Format("05.000"), err)
		}
	}
	for name, do := range map[string]func() error{
		"mallory's request": func() error { return ask(ctx, w.mallory, vm, "clone", value, client.DryRunAll) },
		"mallory's job":     func() error { return w.mallory.Create(ctx, job(), client.DryRunAll) },
	} {
		l.asked.Add(1)
		if err := do(); err == nil {
			l.wrong.add("%s %s was let through", name, value)
		}
	}
}

// more waits until so many more have been asked.
func (l *load) more(ctx context.Context, n int64) {
	GinkgoHelper()
	before := l.asked.Load()
	Eventually(ctx, l.asked.Load).Should(BeNumerically(">=", before+n))
}

func (l *load) end(what string) {
	GinkgoHelper()
	l.stop()
	Expect(l.wrong.all()).To(BeEmpty())
	AddReportEntry(what, fmt.Sprintf("%d requests and jobs, each answered as if nothing had happened", l.asked.Load()))
}

var _ = Describe("The webhook under load", Label("sturdy"), func() {
	It("loses nothing when either replica is killed", func(ctx SpecContext) {
		l := startLoad(ctx)
		// Often, as a call must be under way in the very millisecond of a death for it to be lost.
		for i := range 10 {
			replica := shared.replicas[i%len(shared.replicas)]
			l.more(ctx, 60)
			replica.signal(syscall.SIGKILL)
			l.more(ctx, 60)
			began := time.Now()
			replica.start()
			replica.ready(ctx)
			AddReportEntry("ready after", time.Since(began).Round(time.Millisecond).String())
		}
		l.more(ctx, 100)
		l.end("kill -9 of a replica, ten times")
	}, SpecTimeout(3*patience))

	It("loses nothing in a rolling restart", func(ctx SpecContext) {
		l := startLoad(ctx)
		for _, replica := range shared.replicas {
			l.more(ctx, 100)
			shared.balancer.remove(replica.address)
			replica.signal(syscall.SIGTERM)
			l.more(ctx, 50)
			replica.start()
			replica.ready(ctx)
			shared.balancer.add(replica.address)
		}
		l.more(ctx, 100)
		l.end("rolling restart")
	}, SpecTimeout(3*patience))

	It("loses nothing while authorities and certificates are renewed", func(ctx SpecContext) {
		restart := func(ctx context.Context, more ...string) {
			for _, replica := range shared.replicas {
				shared.balancer.remove(replica.address)
				replica.signal(syscall.SIGTERM)
				replica.start(more...)
				replica.ready(ctx)
				shared.balancer.add(replica.address)
			}
		}
		DeferCleanup(func(ctx SpecContext) { restart(ctx) }, NodeTimeout(patience))
		l := startLoad(ctx)
		secret := &corev1.Secret{}
		secret.Namespace, secret.Name = system, "wukong-webhook-cert"
		authority := func() []byte {
			Expect(shared.admin.Get(ctx, client.ObjectKeyFromObject(secret), secret)).To(Succeed())
			return secret.Data["ca.crt"]
		}
		// An authority that lives for a minute is due for renewal forty seconds from its making.
		const quick = 60 * time.Second
		restart(ctx, "--authority-lifetime="+quick.String(), "--certificate-lifetime=15s", "--authority-settle=4s", "--certificate-interval=500ms")
		delete(secret.Data, "ca.crt")
		seen := map[string]bool{string(authority()): true}
		served := map[string]bool{string(secret.Data["tls.crt"]): true}
		// The authority of the suite's start is made for years: an aged one takes its place, as if time had passed.
		aged := ageAuthority(ctx, secret)
		seen[string(aged)] = true
		Eventually(ctx, func() int {
			seen[string(authority())] = true
			served[string(secret.Data["tls.crt"])] = true
			return len(seen)
		}, 3*patience).Should(BeNumerically(">=", 4))
		configuration := &admissionregistrationv1.MutatingWebhookConfiguration{}
		configuration.Name = "mutating.wukong.io"
		Expect(shared.admin.Get(ctx, client.ObjectKeyFromObject(configuration), configuration)).To(Succeed())
		Expect(bytes.Contains(configuration.Webhooks[0].ClientConfig.CABundle, bytes.TrimSpace(authority()))).To(BeTrue())
		l.more(ctx, 50)
		l.end(fmt.Sprintf("rotation through %d authorities and %d certificates", len(seen), len(served)))
	}, SpecTimeout(5*patience))
})

var _ = Describe("Machines that did not opt in", func() {
	It("cost the webhook no call", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		before := calls(ctx)
		for i := range 20 {
			vm := newMachine(ctx, namespace, fmt.Sprintf("plain-%d", i))
			err := annotate(ctx, shared.admin, vm, map[string]any{"team": "a", "example.com/wukong.io": "x"})
			Expect(err).NotTo(HaveOccurred())
			Expect(shared.admin.Delete(ctx, vm)).To(Succeed())
		}
		Expect(calls(ctx)).To(Equal(before))
		By("counting those that did")
		vm := machine(namespace, "opted-in")
		vm.Labels = map[string]string{v1alpha1.LabelManaged: "true"}
		Expect(shared.admin.Create(ctx, vm)).To(Succeed())
		after := calls(ctx)
		Expect(after["virtualmachines.mutating.wukong.io"]).To(BeNumerically(">", before["virtualmachines.mutating.wukong.io"]))
		for _, retry := range []string{"virtualmachines-again.mutating.wukong.io", "virtualmachines-once-more.mutating.wukong.io"} {
			Expect(after[retry]).To(Equal(before[retry]), "a try after the first is made only where that was lost")
		}
	}, SpecTimeout(patience))
})

// calls reads the API server's own count of calls of each of our hooks.
func calls(ctx context.Context) map[string]int {
	GinkgoHelper()
	clientset, err := kubernetes.NewForConfig(shared.config)
	Expect(err).NotTo(HaveOccurred())
	text, err := clientset.Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	Expect(err).NotTo(HaveOccurred())
	counted := map[string]int{}
	line := regexp.MustCompile(`^apiserver_admission_webhook_request_total\{.*name="([^"]*wukong\.io)".*\} (\d+)$`)
	for text := range strings.Lines(string(text)) {
		if match := line.FindStringSubmatch(strings.TrimSpace(text)); match != nil {
			n, err := strconv.Atoi(match[2])
			Expect(err).NotTo(HaveOccurred())
			counted[match[1]] += n
		}
	}
	return counted
}
