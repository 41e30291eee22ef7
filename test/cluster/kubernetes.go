package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// adminUser is the certificate holder to whom everything is allowed.
const adminUser = "wukong-admin"

// programs whose names Stop needs.
const (
	programEtcd      = "etcd"
	programAPIServer = "kube-apiserver"
)

// writeCertificates puts the files that the API server and the controller manager read into the certs folder.
func (b *bootstrap) writeCertificates() error {
	serving, err := b.ca.issue(leaf{commonName: programAPIServer, hosts: []string{
		"127.0.0.1", "localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", serviceIP,
	}})
	if err != nil {
		return err
	}
	frontProxyCA, err := newAuthority("wukong-front-proxy-ca", b.clock)
	if err != nil {
		return err
	}
	frontProxy, err := frontProxyCA.issue(leaf{commonName: "front-proxy-client"})
	if err != nil {
		return err
	}
	for name, pair := range map[string]keyPair{
		"ca": b.ca.keyPair, "apiserver": serving, "front-proxy-ca": frontProxyCA.keyPair, "front-proxy": frontProxy,
	} {
		if err := pair.write(b.dirs.certs, name); err != nil {
			return fmt.Errorf("writing the certificate %q: %w", name, err)
		}
	}
	private, public, err := newServiceAccountKey()
	if err != nil {
		return err
	}
	if err := os.WriteFile(b.cert("service-account.key"), private, 0o600); err != nil {
		return err
	}
	return os.WriteFile(b.cert("service-account.pub"), public, 0o644)
}

func (b *bootstrap) cert(file string) string { return filepath.Join(b.dirs.certs, file) }

// serviceIP is the first address of the range of Services, which the Service "kubernetes" takes.
const serviceIP = "10.96.0.1"

// startKubernetes starts etcd and the API server at once: the latter waits for the former by itself.
func (b *bootstrap) startKubernetes(context.Context) error {
	peer, err := b.ports.take()
	if err != nil {
		return err
	}
	client, err := b.ports.take()
	if err != nil {
		return err
	}
	etcd := command{name: programEtcd, path: b.bin.Etcd, args: []string{
		"--name=wukong",
		"--data-dir=" + b.dirs.etcd,
		"--listen-client-urls=http://" + loopback(client),
		"--advertise-client-urls=http://" + loopback(client),
		"--listen-peer-urls=http://" + loopback(peer),
		"--initial-advertise-peer-urls=http://" + loopback(peer),
		"--initial-cluster=wukong=http://" + loopback(peer),
		"--unsafe-no-fsync", // the data need not survive a crash of the machine
		"--snapshot-count=100000",
		"--log-level=warn",
	}}
	if _, err := b.supervisor.start(etcd); err != nil {
		return err
	}
	_, err = b.supervisor.start(b.apiServer(client))
	return err
}

func (b *bootstrap) apiServer(etcdPort int) command {
	return command{name: programAPIServer, path: b.bin.KubeAPIServer, args: []string{
		"--etcd-servers=http://" + loopback(etcdPort),
		"--bind-address=127.0.0.1",
		"--secure-port=" + strconv.Itoa(b.apiPort),
		"--tls-cert-file=" + b.cert("apiserver.crt"),
		"--tls-private-key-file=" + b.cert("apiserver.key"),
		"--client-ca-file=" + b.cert("ca.crt"),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + b.cert("service-account.pub"),
		"--service-account-signing-key-file=" + b.cert("service-account.key"),
		"--service-cluster-ip-range=10.96.0.0/12",
		"--endpoint-reconciler-type=none", // a loopback address is not allowed as the API server's endpoint
		"--authorization-mode=RBAC",
		"--allow-privileged=true",
		"--requestheader-client-ca-file=" + b.cert("front-proxy-ca.crt"),
		"--requestheader-allowed-names=front-proxy-client",
		"--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=" + b.cert("front-proxy.crt"),
		"--proxy-client-key-file=" + b.cert("front-proxy.key"),
		"--max-requests-inflight=1000",
		"--max-mutating-requests-inflight=500",
		"--event-ttl=1h",
		"--profiling=false",
		"--v=0",
	}}
}

// startControllerManager starts the controllers that a cluster without real nodes can use.
func (b *bootstrap) startControllerManager(context.Context) error {
	kubeconfig, err := b.access.kubeconfig("kube-controller-manager", identity{
		user: "system:kube-controller-manager", groups: []string{groupMasters},
	})
	if err != nil {
		return err
	}
	_, err = b.supervisor.start(command{name: "kube-controller-manager", path: b.bin.KubeControllerManager, args: []string{
		"--kubeconfig=" + kubeconfig,
		"--leader-elect=false",
		"--secure-port=0",
		"--service-account-private-key-file=" + b.cert("service-account.key"),
		"--root-ca-file=" + b.cert("ca.crt"),
		"--cluster-signing-cert-file=" + b.cert("ca.crt"),
		"--cluster-signing-key-file=" + b.cert("ca.key"),
		// The node is stood in for: it sends no leases to watch over, and attaches nothing.
		"--controllers=*,-node-lifecycle-controller,-taint-eviction-controller,-node-ipam-controller," +
			"-persistentvolume-attach-detach-controller,-service-lb-controller,-node-route-controller",
		"--kube-api-qps=500",
		"--kube-api-burst=1000",
		"--pvclaimbinder-sync-period=2s",
		"--v=0",
	}})
	return err
}
