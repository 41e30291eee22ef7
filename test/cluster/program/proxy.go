package program

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// dialTimeout bounds how long the proxy tries to reach a server.
const dialTimeout = 10 * time.Second

// Proxy tunnels connections, as an HTTPS proxy does, and knows where the Services are whose Pods are programs here: a client
// asks for virt-export-web.shop.svc:443 and reaches the process behind it. Every other name is dialled as it is.
type Proxy struct {
	runner *Runner
}

// NewProxy makes the proxy to the runner's programs.
func NewProxy(runner *Runner) *Proxy { return &Proxy{runner: runner} }

// Serve answers on the listener until ctx ends.
func (p *Proxy) Serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{Handler: p, ReadHeaderTimeout: dialTimeout}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// ServeHTTP opens a tunnel.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect {
		http.Error(w, "this proxy only opens tunnels, by CONNECT", http.StatusMethodNotAllowed)
		return
	}
	server, err := p.Dial(r.Context(), "tcp", r.Host)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer server.Close()
	hijacker, ok := w.(http.Hijacker)
	if !ok {
		http.Error(w, "the connection cannot become a tunnel", http.StatusInternalServerError)
		return
	}
	clientConn, buffered, err := hijacker.Hijack()
	if err != nil {
		return
	}
	defer clientConn.Close()
	if _, err := io.WriteString(clientConn, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return
	}
	tunnel(clientConn, buffered, server)
}

// tunnel copies both ways until either end is closed.
func tunnel(clientConn net.Conn, fromClient io.Reader, server net.Conn) {
	var both sync.WaitGroup
	both.Go(func() {
		_, _ = io.Copy(server, fromClient)
		closeWrite(server)
	})
	both.Go(func() {
		_, _ = io.Copy(clientConn, server)
		closeWrite(clientConn)
	})
	both.Wait()
}

func closeWrite(conn net.Conn) {
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
		return
	}
	_ = conn.Close()
}

// Dial connects to an address, whose host may be the name of a Service.
func (p *Proxy) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	address, err := p.resolve(ctx, address)
	if err != nil {
		return nil, err
	}
	return (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, network, address)
}

func (p *Proxy) resolve(ctx context.Context, address string) (string, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return "", err
	}
	parts := strings.Split(strings.TrimSuffix(host, ".cluster.local"), ".")
	if len(parts) != 3 || parts[2] != "svc" {
		return address, nil
	}
	return p.runner.address(ctx, client.ObjectKey{Namespace: parts[1], Name: parts[0]})
}

// address finds the process behind a Service.
func (r *Runner) address(ctx context.Context, key client.ObjectKey) (string, error) {
	service := &corev1.Service{}
	if err := r.options.Client.Get(ctx, key, service); err != nil {
		return "", fmt.Errorf("looking for Service %q: %w", key, err)
	}
	pods := &corev1.PodList{}
	if err := r.options.Client.List(ctx, pods, client.InNamespace(key.Namespace), client.MatchingLabels(service.Spec.Selector)); err != nil {
		return "", fmt.Errorf("looking for the Pods of Service %q: %w", key, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, pod := range pods.Items {
		if port, ok := r.ports[pod.UID]; ok && pod.DeletionTimestamp.IsZero() {
			return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), nil
		}
	}
	return "", fmt.Errorf("no program runs behind Service %q, which has %d Pods", key, len(pods.Items))
}
