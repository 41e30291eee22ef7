package cdi

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// endpoint is the one address on which this process is CDI's webhook, its API server and its upload proxy.
type endpoint struct {
	port   int
	bundle []byte
	// direct reads past the cache, which would be behind an object that was made a moment ago.
	direct client.Client
}

func (p endpoint) url() string { return fmt.Sprintf("https://127.0.0.1:%d", p.port) }

// setupServer serves the three and registers them.
func setupServer(ctx context.Context, e *env) error {
	direct, err := client.New(e.manager.GetConfig(), client.Options{Scheme: e.Scheme(), Mapper: e.manager.GetRESTMapper()})
	if err != nil {
		return err
	}
	certificate, bundle, err := selfSigned(e.clock.Now())
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	address, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		return errors.Join(fmt.Errorf("%T is no TCP address", listener.Addr()), listener.Close())
	}
	e.endpoint = endpoint{port: address.Port, bundle: bundle, direct: direct}
	mux := http.NewServeMux()
	mux.Handle(webhookPath, &admission.Webhook{Handler: &gate{client: direct, decoder: admission.NewDecoder(e.Scheme())}})
	newUploads(e).handle(mux)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() {
		config := &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
		_ = server.Serve(tls.NewListener(listener, config)) // it ends with the context, which closes the server
	}()
	context.AfterFunc(ctx, func() { _ = server.Close() })
	return errors.Join(registerWebhook(ctx, e.endpoint), registerUploads(ctx, e.endpoint))
}

// selfSigned is a certificate that is its own authority.
func selfSigned(now time.Time) (tls.Certificate, []byte, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: serviceName},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		DNSNames: []string{"localhost", serviceName + "." + serviceNamespace + ".svc"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	var bundle bytes.Buffer
	if err := pem.Encode(&bundle, &pem.Block{Type: "CERTIFICATE", Bytes: der}); err != nil {
		return tls.Certificate{}, nil, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, bundle.Bytes(), nil
}
