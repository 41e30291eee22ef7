package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"wukong.io/wukong/test/cluster/node"
	"wukong.io/wukong/test/cluster/program"
)

// exporterImage is what virt-controller is told to run in the Pod of an export.
const exporterImage = "quay.io/kubevirt/virt-exportserver"

// startNode starts the stand-in for nodes: Pods are scheduled and run, machines boot, guests freeze.
func (b *bootstrap) startNode(ctx context.Context) error {
	options := b.options.Node
	if !b.options.NoKubeVirt {
		handler, err := b.access.config(serviceAccount(KubeVirtNamespace, "kubevirt-handler"))
		if err != nil {
			return err
		}
		options.HandlerConfig = handler
		options.Freeze = b.freeze
	}
	if err := b.preparePrograms(); err != nil {
		return err
	}
	options.Process = b.process
	options.Logger = b.standInLog.WithName("node")
	b.standIns.start("node", func(ctx context.Context) error { return node.Run(ctx, b.admin, options) })
	return eventually(ctx, "a node", func(ctx context.Context) error {
		nodes := &corev1.NodeList{}
		if err := b.client.List(ctx, nodes); err != nil {
			return err
		}
		if len(nodes.Items) < max(1, options.Nodes) {
			return fmt.Errorf("there are %d", len(nodes.Items))
		}
		return nil
	})
}

// process returns what runs behind a Pod: what the options say, or one of the programs.
func (b *bootstrap) process(pod *corev1.Pod) node.Process {
	if b.options.Node.Process != nil {
		if process := b.options.Node.Process(pod); process != nil {
			return process
		}
	}
	if b.mountErr != nil {
		return nil
	}
	return b.programs.Process(pod)
}

// preparePrograms makes what runs the programs of Pods, and the proxy to those that serve.
func (b *bootstrap) preparePrograms() error {
	clientset, err := kubernetes.NewForConfig(b.admin)
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // returns at once
	if err != nil {
		return fmt.Errorf("listening for the proxy: %w", err)
	}
	b.proxy = &url.URL{Scheme: "http", Host: listener.Addr().String()}
	programs := map[string]string{exporterImage: b.bin.VirtExportServer}
	maps.Copy(programs, b.options.Programs)
	b.programs = program.New(program.Options{
		Client:    b.client,
		Clientset: clientset,
		Server:    loopback(b.apiPort),
		Programs:  programs,
		Dir:       b.dirs.pods,
		LogDir:    b.dirs.logs,
		Disk: func(ctx context.Context, claim client.ObjectKey) (string, error) {
			return diskOf(ctx, b.client, b.dirs, claim)
		},
		Start:       b.supervisor.spawn,
		Port:        b.ports.take,
		Environment: []corev1.EnvVar{{Name: "HTTPS_PROXY", Value: b.proxy.String()}},
	})
	proxy := program.NewProxy(b.programs)
	b.standIns.start("proxy", func(ctx context.Context) error { return proxy.Serve(ctx, listener) })
	return nil
}

// newFreezeServer makes the part of virt-handler that virt-api calls on its console port.
func (b *bootstrap) newFreezeServer() (*node.FreezeServer, error) {
	pair, err := b.ca.issue(leaf{commonName: "kubevirt.io:system:node:virt-handler"})
	if err != nil {
		return nil, err
	}
	certificate, err := tls.X509KeyPair(pair.Cert, pair.Key)
	if err != nil {
		return nil, fmt.Errorf("reading back virt-handler's certificate: %w", err)
	}
	clients := x509.NewCertPool()
	if !clients.AppendCertsFromPEM(b.ca.Cert) {
		return nil, errors.New("reading back the certificate authority")
	}
	return node.NewFreezeServer(loopback(b.handlerPort), &tls.Config{
		Certificates: []tls.Certificate{certificate},
		ClientCAs:    clients,
		ClientAuth:   tls.RequireAndVerifyClientCert,
		MinVersion:   tls.VersionTLS12,
	}), nil
}
