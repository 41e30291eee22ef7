package certificate

import (
	"crypto/x509"
	"testing"
	"time"
)

//nolint:gochecknoglobals // a fixed time
var start = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

func hosts() []string { return []string{"wukong-webhook.wukong-system.svc", "127.0.0.1"} }

// accepted says whether somebody who trusts what a state says accepts what
// another serves.
func accepted(t *testing.T, trusting, serving state, now time.Time) bool {
	t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(trusting.trusted()) {
		t.Fatal("the state trusts nobody")
	}
	for _, host := range hosts() {
		if _, err := serving.serving.cert.Verify(x509.VerifyOptions{DNSName: host, Roots: roots, CurrentTime: now}); err != nil {
			return false
		}
	}
	return true
}

func mustRenew(t *testing.T, s state, now time.Time) (state, bool) {
	t.Helper()
	next, changed, err := renew(s, hosts(), DefaultLifetimes(), now)
	if err != nil {
		t.Fatal(err)
	}
	return next, changed
}

func TestTheFirstCertificateIsAcceptedAndStays(t *testing.T) {
	first, changed := mustRenew(t, state{}, start)
	if !changed || !accepted(t, first, first, start) {
		t.Fatal("a first certificate must be made, and be accepted")
	}
	if _, changed := mustRenew(t, readState(first.data()), start.Add(time.Hour)); changed {
		t.Error("nothing is due an hour later")
	}
}

// Ten years, a look every twelve hours, with a replica and an API server that
// are one look behind: everything served is accepted at every moment.
func TestNothingServedIsEverRefused(t *testing.T) {
	current, _ := mustRenew(t, state{}, start)
	before, servings, authorities, settled := current, 0, 0, 0
	for now := start; now.Before(start.Add(10 * 365 * 24 * time.Hour)); now = now.Add(12 * time.Hour) {
		next, changed := mustRenew(t, readState(current.data()), now)
		if !changed && settled > 2 {
			continue
		}
		settled++
		if changed {
			settled = 0
		}
		for _, pair := range [][2]state{{next, next}, {next, current}, {current, next}, {before, current}, {current, before}} {
			if !accepted(t, pair[0], pair[1], now) {
				t.Fatalf("at %s a certificate is served that is not accepted", now)
			}
		}
		if string(next.serving.certPEM) != string(current.serving.certPEM) {
			servings++
		}
		if string(next.authority.certPEM) != string(current.authority.certPEM) {
			authorities++
		}
		before, current = current, next
	}
	if servings < 40 || authorities < 2 {
		t.Errorf("got %d serving certificates and %d authorities in ten years, want renewals", servings, authorities)
	}
}

func TestWhatCannotBeReadIsMadeAgain(t *testing.T) {
	first, _ := mustRenew(t, state{}, start)
	for _, key := range []string{keyAuthorityCert, keyAuthorityKey, keyServingCert, keyServingKey} {
		data := first.data()
		data[key] = []byte("broken")
		next, changed := mustRenew(t, readState(data), start)
		if !changed || !accepted(t, next, next, start) {
			t.Errorf("with a broken %s, got no certificate that is accepted", key)
		}
	}
}

func TestOtherHostsNeedAnotherCertificate(t *testing.T) {
	first, _ := mustRenew(t, state{}, start)
	next, changed, err := renew(first, append(hosts(), "other.example.com"), DefaultLifetimes(), start)
	if err != nil || !changed {
		t.Fatalf("got changed %t and error %v, want a new certificate", changed, err)
	}
	if err := next.serving.cert.VerifyHostname("other.example.com"); err != nil {
		t.Error(err)
	}
}
