package certificate

import (
	"bytes"
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"
)

// backdate allows for clocks that differ.
const backdate = 5 * time.Minute

// Lifetimes say how long things last. A third of a lifetime before its end the
// next certificate is made.
type Lifetimes struct {
	// Authority and Serving are the lifetimes of certificates.
	Authority, Serving time.Duration
	// Settle is how long a new authority is trusted before it signs: the API
	// server reads webhook configurations through a watch.
	Settle time.Duration
	// Interval is how often certificates are looked at. It is short, so that a
	// Secret that another replica renewed, or somebody deleted, is noticed soon.
	Interval time.Duration
}

// DefaultLifetimes are those that suit a cluster.
func DefaultLifetimes() Lifetimes {
	return Lifetimes{
		Authority: 5 * 365 * 24 * time.Hour, Serving: 90 * 24 * time.Hour,
		Settle: time.Minute, Interval: 20 * time.Second,
	}
}

func (l Lifetimes) orDefault() Lifetimes {
	d := DefaultLifetimes()
	return Lifetimes{
		Authority: cmp.Or(l.Authority, d.Authority), Serving: cmp.Or(l.Serving, d.Serving),
		Settle: cmp.Or(l.Settle, d.Settle), Interval: cmp.Or(l.Interval, d.Interval),
	}
}

// pair is a certificate and its key.
type pair struct {
	certPEM, keyPEM []byte
	cert            *x509.Certificate
	key             *ecdsa.PrivateKey
}

// issueAuthority makes a certificate authority.
func issueAuthority(lifetime time.Duration, now time.Time) (pair, error) {
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "wukong-webhook-ca"},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(lifetime),
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	return issue(template, nil)
}

// issueServing makes a serving certificate for some host names and addresses.
func issueServing(authority pair, hosts []string, lifetime time.Duration, now time.Time) (pair, error) {
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: hosts[0]},
		NotBefore:   now.Add(-backdate),
		NotAfter:    now.Add(lifetime),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	return issue(template, &authority)
}

// issue signs a certificate with a new key; by itself if there is no authority.
func issue(template *x509.Certificate, authority *pair) (pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, fmt.Errorf("making a key: %w", err)
	}
	template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return pair{}, fmt.Errorf("making a serial number: %w", err)
	}
	parent, signer := template, key
	if authority != nil {
		parent, signer = authority.cert, authority.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return pair{}, fmt.Errorf("signing a certificate: %w", err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return pair{}, fmt.Errorf("encoding a key: %w", err)
	}
	return parsePair(
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}),
	)
}

// parsePair reads a certificate and its key, and wants them to belong together.
func parsePair(certPEM, keyPEM []byte) (pair, error) {
	certBlock, _ := pem.Decode(certPEM)
	keyBlock, _ := pem.Decode(keyPEM)
	if certBlock == nil || keyBlock == nil {
		return pair{}, errors.New("reading a certificate: found no PEM")
	}
	cert, err := x509.ParseCertificate(certBlock.Bytes)
	if err != nil {
		return pair{}, fmt.Errorf("reading a certificate: %w", err)
	}
	key, err := x509.ParseECPrivateKey(keyBlock.Bytes)
	if err != nil {
		return pair{}, fmt.Errorf("reading a key: %w", err)
	}
	if public, ok := cert.PublicKey.(*ecdsa.PublicKey); !ok || !public.Equal(key.Public()) {
		return pair{}, errors.New("reading a certificate: its key is another's")
	}
	return pair{certPEM: certPEM, keyPEM: keyPEM, cert: cert, key: key}, nil
}

// fresh says whether a certificate has more than a third of its life left.
func (p pair) fresh(now time.Time) bool {
	if p.cert == nil || now.Before(p.cert.NotBefore) {
		return false
	}
	lifetime := p.cert.NotAfter.Sub(p.cert.NotBefore.Add(backdate))
	return now.Before(p.cert.NotAfter.Add(-lifetime / 3))
}

// servesAll says whether a certificate is good for all hosts and signed by an
// authority.
func (p pair) servesAll(hosts []string, authority pair) bool {
	if p.cert == nil || authority.cert == nil || p.cert.CheckSignatureFrom(authority.cert) != nil {
		return false
	}
	for _, host := range hosts {
		if p.cert.VerifyHostname(host) != nil {
			return false
		}
	}
	return true
}

// bundle joins certificates, each once.
func bundle(certs ...[]byte) []byte {
	var out bytes.Buffer
	for _, cert := range certs {
		if len(cert) > 0 && !bytes.Contains(out.Bytes(), cert) {
			out.Write(cert)
		}
	}
	return out.Bytes()
}
