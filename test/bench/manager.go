package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"wukong.io/wukong/test/stockhelm"
)

const (
	// system is the namespace of the chart's release.
	system = "wukong-system"
	// memoryLimit is what the chart tells Go by default.
	memoryLimit = "200MiB"
	// readyTimeout bounds the start of the webhook.
	readyTimeout = 2 * time.Minute
)

// buildManager builds wukong-manager, or takes the one that WUKONG_MANAGER names.
func (b *bench) buildManager(ctx context.Context) (string, error) {
	if path := os.Getenv("WUKONG_MANAGER"); path != "" {
		return path, nil
	}
	path := filepath.Join(b.scratch, "wukong-manager")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", path, "wukong.io/wukong/cmd/wukong-manager")
	cmd.Dir = filepath.Dir(b.charts)
	cmd.Stdout, cmd.Stderr = b.log, b.log
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("building wukong-manager: %w", err)
	}
	return path, nil
}

// manager is a running wukong-manager.
type manager struct {
	cmd  *exec.Cmd
	done chan error
	log  string
}

// installOurs installs charts/wukong for a webhook outside of the cluster, and
// runs that webhook with the rights that the chart gives it.
func (s *stage) installOurs(ctx context.Context, path string) (*manager, error) {
	port, probes, err := twoPorts()
	if err != nil {
		return nil, err
	}
	helm := stockhelm.Helm{Path: s.helm3.path, Kubeconfig: s.cluster.Kubeconfig, Home: s.scratch}
	_, err = helm.Run(ctx, "install", "wukong", stockhelm.Chart("wukong"), "--namespace", system, "--create-namespace",
		"--set", fmt.Sprintf("webhook.url=https://127.0.0.1:%d", port), "--set", "controllers.replicas=0")
	if err != nil {
		return nil, err
	}
	kubeconfig, err := s.accountKubeconfig(ctx, "wukong-webhook")
	if err != nil {
		return nil, err
	}
	log, err := os.CreateTemp(s.scratch, "webhook-*.log")
	if err != nil {
		return nil, err
	}
	defer log.Close()                                                                          // the process has its own
	cmd := exec.Command(path, "webhook", "--listen=127.0.0.1", fmt.Sprintf("--port=%d", port), //nolint:noctx // stop ends it
		"--host=127.0.0.1", "--metrics-address=0", fmt.Sprintf("--probe-address=127.0.0.1:%d", probes), "--namespace="+system)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "GOMEMLIMIT="+memoryLimit)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting wukong-manager: %w", err)
	}
	m := &manager{cmd: cmd, done: make(chan error, 1), log: log.Name()}
	go func() { m.done <- cmd.Wait() }()
	if err := m.ready(ctx, fmt.Sprintf("http://127.0.0.1:%d/readyz", probes)); err != nil {
		return nil, errors.Join(err, m.stop())
	}
	return m, nil
}

func twoPorts() (one, two int, err error) {
	var ports [2]int
	for i := range ports {
		listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a port to learn
		if err != nil {
			return 0, 0, err
		}
		defer listener.Close()
		if address, ok := listener.Addr().(*net.TCPAddr); ok {
			ports[i] = address.Port
		}
	}
	return ports[0], ports[1], nil
}

func (m *manager) ready(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		err := probe(ctx, url)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting until the webhook is ready: %w\n%s", err, m.tail())
		case ended := <-m.done:
			m.done <- ended
			return fmt.Errorf("the webhook has ended: %w\n%s", ended, m.tail())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (m *manager) tail() string {
	text, err := os.ReadFile(m.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-4000):])
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
	body, _ := io.ReadAll(response.Body)
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", response.Status, body)
	}
	return nil
}

func (m *manager) stop() error {
	err := m.cmd.Process.Signal(syscall.SIGTERM)
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	select {
	case <-m.done: //nolint:errcheck // it was told to end
		return nil
	case <-time.After(stopTimeout):
		return errors.Join(errors.New("the webhook does not stop"), m.cmd.Process.Kill())
	}
}

// memory reads a size from the process's status, in MiB.
func (m *manager) memory(field string) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", m.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if size, ok := strings.CutPrefix(line, field+":"); ok {
			kib, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(size), " kB"))
			return float64(kib) / 1024, err
		}
	}
	return 0, fmt.Errorf("found no %s in the status of the webhook's process", field)
}

// accountKubeconfig writes access with the token of a ServiceAccount.
func (s *stage) accountKubeconfig(ctx context.Context, account string) (string, error) {
	typed, err := kubernetes.NewForConfig(s.cluster.Config)
	if err != nil {
		return "", err
	}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: new(int64(4 * 3600))}}
	token, err := typed.CoreV1().ServiceAccounts(system).CreateToken(ctx, account, request, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("making a token for %s: %w", account, err)
	}
	admin := s.cluster.Config
	config := clientcmdapi.NewConfig()
	config.Clusters["bench"] = &clientcmdapi.Cluster{Server: admin.Host, CertificateAuthorityData: admin.CAData, CertificateAuthority: admin.CAFile}
	config.AuthInfos["account"] = &clientcmdapi.AuthInfo{Token: token.Status.Token}
	config.Contexts["bench"] = &clientcmdapi.Context{Cluster: "bench", AuthInfo: "account"}
	config.CurrentContext = "bench"
	file := filepath.Join(s.scratch, account+".kubeconfig")
	return file, clientcmd.WriteToFile(*config, file)
}
