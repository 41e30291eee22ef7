package admission

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// buildManager builds wukong-manager once.
func buildManager(ctx context.Context) string {
	GinkgoHelper()
	if path := os.Getenv("WUKONG_MANAGER"); path != "" {
		return path
	}
	path := filepath.Join(GinkgoT().TempDir(), "wukong-manager")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", path, "wukong.io/wukong/cmd/wukong-manager")
	cmd.Stdout, cmd.Stderr = GinkgoWriter, GinkgoWriter
	Expect(cmd.Run()).To(Succeed())
	return path
}

// process is one running wukong-manager.
type process struct {
	name, path string
	arguments  []string
	kubeconfig string
	// address of the webhook, and of the probes.
	address, probes string

	mu      sync.Mutex
	cmd     *exec.Cmd
	stopped chan struct{}
}

func newReplica(manager, kubeconfig, name string) *process {
	GinkgoHelper()
	port, probes := freePort(), freePort()
	return &process{
		name: name, path: manager, kubeconfig: kubeconfig,
		address: fmt.Sprintf("127.0.0.1:%d", port), probes: fmt.Sprintf("127.0.0.1:%d", probes),
		arguments: []string{
			"webhook", "--listen=127.0.0.1", fmt.Sprintf("--port=%d", port), "--host=127.0.0.1",
			"--metrics-address=0", fmt.Sprintf("--probe-address=127.0.0.1:%d", probes), "--namespace=" + system,
			"--allow-registry=" + allowed, "--allow-s3=https://s3.example.com/vms", "--allow-import=http://mirror.lan/images/",
		},
	}
}

func newControllers(manager, kubeconfig string) *process {
	GinkgoHelper()
	probes := freePort()
	return &process{
		name: "controllers", path: manager, kubeconfig: kubeconfig, probes: fmt.Sprintf("127.0.0.1:%d", probes),
		arguments: []string{
			"controllers", "--metrics-address=0", fmt.Sprintf("--probe-address=127.0.0.1:%d", probes), "--namespace=" + system,
			"--allow-registry=" + allowed, "--allow-s3=https://s3.example.com/vms", "--allow-import=http://mirror.lan/images/",
		},
	}
}

func freePort() int {
	GinkgoHelper()
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a port to learn
	Expect(err).NotTo(HaveOccurred())
	defer listener.Close()
	address, ok := listener.Addr().(*net.TCPAddr)
	Expect(ok).To(BeTrue())
	return address.Port
}

// start starts the process, and has it killed at the end of the suite at the latest.
func (p *process) start(more ...string) {
	GinkgoHelper()
	log, err := os.OpenFile(logFile(p.name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	Expect(err).NotTo(HaveOccurred())
	cmd := exec.Command(p.path, append(slices.Clone(p.arguments), more...)...) //nolint:noctx // it outlives the node that starts it
	cmd.Env = append(os.Environ(), "KUBECONFIG="+p.kubeconfig)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	Expect(cmd.Start()).To(Succeed())
	stopped := make(chan struct{})
	p.mu.Lock()
	p.cmd, p.stopped = cmd, stopped
	p.mu.Unlock()
	go func() {
		_ = cmd.Wait()
		_ = log.Close()
		close(stopped)
	}()
}

// signal sends a signal and waits until the process is gone.
func (p *process) signal(s syscall.Signal) {
	GinkgoHelper()
	p.mu.Lock()
	cmd, stopped := p.cmd, p.stopped
	p.mu.Unlock()
	if cmd == nil {
		return
	}
	_ = cmd.Process.Signal(s)
	Eventually(stopped).Should(BeClosed())
}

// ready waits until the process says that it is.
func (p *process) ready(ctx context.Context) {
	GinkgoHelper()
	Eventually(ctx, func() error {
		return probe(ctx, "http://"+p.probes+"/readyz")
	}).Should(Succeed(), "%s gets ready; see %s", p.name, logFile(p.name))
}

func probe(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(response.Body)
		return fmt.Errorf("%s: %s", response.Status, body)
	}
	return nil
}

// down stops both replicas for the time of a spec.
func down(ctx context.Context) {
	GinkgoHelper()
	for _, replica := range shared.replicas {
		replica.signal(syscall.SIGKILL)
	}
	DeferCleanup(func(ctx SpecContext) {
		for _, replica := range shared.replicas {
			replica.start()
			replica.ready(ctx)
		}
	}, NodeTimeout(patience))
	_ = ctx
}

// kubeconfigFor writes access with the token of one of the chart's ServiceAccounts.
func kubeconfigFor(ctx context.Context, account string) string {
	GinkgoHelper()
	request := &authenticationv1.TokenRequest{}
	hour := int64(4 * 3600)
	request.Spec.ExpirationSeconds = &hour
	owner := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: account}}
	Expect(shared.admin.SubResource("token").Create(ctx, owner, request)).To(Succeed())
	config := clientcmdapi.NewConfig()
	config.Clusters["test"] = &clientcmdapi.Cluster{Server: shared.config.Host, CertificateAuthorityData: shared.config.CAData, CertificateAuthority: shared.config.CAFile}
	config.AuthInfos["account"] = &clientcmdapi.AuthInfo{Token: request.Status.Token}
	config.Contexts["test"] = &clientcmdapi.Context{Cluster: "test", AuthInfo: "account"}
	config.CurrentContext = "test"
	path := filepath.Join(GinkgoT().TempDir(), "kubeconfig")
	Expect(clientcmd.WriteToFile(*config, path)).To(Succeed())
	return path
}

// balancer does what a Service does: it takes connections and passes them on to one of its backends.
type balancer struct {
	listener net.Listener

	mu       sync.Mutex
	backends []string
	next     int
}

func newBalancer() (*balancer, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it lives as long as the suite
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	b := &balancer{listener: listener}
	go b.serve()
	return b, nil
}

func (b *balancer) address() string { return b.listener.Addr().String() }

func (b *balancer) close() { _ = b.listener.Close() }

func (b *balancer) add(backend string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.backends = append(b.backends, backend)
}

func (b *balancer) remove(backend string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.backends = slices.DeleteFunc(slices.Clone(b.backends), func(other string) bool { return other == backend })
}

func (b *balancer) serve() {
	for {
		conn, err := b.listener.Accept()
		if err != nil {
			return
		}
		go b.pass(conn)
	}
}

func (b *balancer) pass(from net.Conn) {
	defer from.Close()
	to := b.dial()
	if to == nil {
		return
	}
	defer to.Close()
	done := make(chan struct{}, 2)
	pipe := func(to, from net.Conn) {
		_, _ = io.Copy(to, from)
		done <- struct{}{}
	}
	go pipe(to, from)
	go pipe(from, to)
	<-done
}

// dial connects to the next backend that answers.
func (b *balancer) dial() net.Conn {
	b.mu.Lock()
	backends := slices.Clone(b.backends)
	b.next++
	first := b.next
	b.mu.Unlock()
	for i := range backends {
		conn, err := net.Dial("tcp", backends[(first+i)%len(backends)]) //nolint:noctx // loopback
		if err == nil {
			return conn
		}
	}
	return nil
}
