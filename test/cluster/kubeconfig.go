package cluster

import (
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// The limits of the clients that this package hands out: a test waits for the control plane, never for its own client.
const (
	clientQPS   = 1000
	clientBurst = 2000
)

// Groups and users that the control plane's own programs go by.
const (
	groupMasters         = "system:masters"
	groupServiceAccounts = "system:serviceaccounts"
)

// identity is who a client certificate says its holder is.
type identity struct {
	user   string
	groups []string
}

// serviceAccount is the identity of a program that runs as a ServiceAccount, with its roles and no other rights.
func serviceAccount(namespace, name string) identity {
	return identity{
		user:   "system:serviceaccount:" + namespace + ":" + name,
		groups: []string{groupServiceAccounts, groupServiceAccounts + ":" + namespace},
	}
}

// access makes configurations with which clients reach the API server.
type access struct {
	url   string
	ca    *authority
	certs string
}

// config returns a client configuration that authenticates by a certificate of the identity.
func (a access) config(id identity) (*rest.Config, error) {
	pair, err := a.ca.issue(leaf{commonName: id.user, organisations: id.groups})
	if err != nil {
		return nil, err
	}
	return &rest.Config{
		Host: a.url,
		TLSClientConfig: rest.TLSClientConfig{
			CAData:   a.ca.Cert,
			CertData: pair.Cert,
			KeyData:  pair.Key,
		},
		QPS:   clientQPS,
		Burst: clientBurst,
	}, nil
}

// kubeconfig writes a file named after the program, and returns its path.
func (a access) kubeconfig(program string, id identity) (string, error) {
	config, err := a.config(id)
	if err != nil {
		return "", fmt.Errorf("making a certificate for %s: %w", program, err)
	}
	path := filepath.Join(a.certs, program+".kubeconfig")
	return path, writeKubeconfig(path, config)
}

func writeKubeconfig(path string, config *rest.Config) error {
	const name = "wukong"
	file := clientcmdapi.NewConfig()
	file.Clusters[name] = &clientcmdapi.Cluster{Server: config.Host, CertificateAuthorityData: config.CAData}
	file.AuthInfos[name] = &clientcmdapi.AuthInfo{ClientCertificateData: config.CertData, ClientKeyData: config.KeyData}
	file.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	file.CurrentContext = name
	content, err := clientcmd.Write(*file)
	if err != nil {
		return fmt.Errorf("encoding a kubeconfig: %w", err)
	}
	return os.WriteFile(path, content, 0o600)
}
