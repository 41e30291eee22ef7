package certificate

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync/atomic"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// Options say what is certified, and who is told.
type Options struct {
	// Secret holds the certificates.
	Secret types.NamespacedName
	// Hosts the webhook is reached at.
	Hosts []string
	// Mutating and Validating are the names of the webhook configurations
	// whose CA bundle is kept; one that does not exist is passed over.
	Mutating, Validating string
	// Lifetimes say how long certificates live; zero is the default.
	Lifetimes Lifetimes
}

// Rotator keeps the certificates. It is a manager.Runnable, and runs in every
// replica.
type Rotator struct {
	options Options
	client  client.Client
	clock   clock.WithTicker
	serving atomic.Pointer[tls.Certificate]
}

// New gives a rotator. The client must read live: Secrets are not cached.
func New(c client.Client, clk clock.WithTicker, options Options) *Rotator {
	options.Lifetimes = options.Lifetimes.orDefault()
	return &Rotator{options: options, client: c, clock: clk}
}

// NeedLeaderElection implements manager.LeaderElectionRunnable: every replica
// needs the certificate.
func (r *Rotator) NeedLeaderElection() bool { return false }

// Start implements manager.Runnable.
func (r *Rotator) Start(ctx context.Context) error {
	ticker := r.clock.NewTicker(r.options.Lifetimes.Interval)
	defer ticker.Stop()
	for {
		if err := r.Ensure(ctx); err != nil {
			log.FromContext(ctx).Error(err, "Could not renew the webhook's certificate; will try again")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C():
		}
	}
}

// Ensure makes or renews what is due, tells the API server whom to trust, and
// then serves it.
func (r *Rotator) Ensure(ctx context.Context) error {
	current, err := r.stored(ctx)
	if err != nil {
		return err
	}
	// Trust first: nothing may be served that the API server does not accept.
	if err := r.trust(ctx, current.trusted()); err != nil {
		return err
	}
	return r.serve(current)
}

// stored reads the Secret, and renews what is due in it.
func (r *Rotator) stored(ctx context.Context) (state, error) {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: r.options.Secret.Namespace, Name: r.options.Secret.Name}}
	err := r.client.Get(ctx, r.options.Secret, secret)
	missing := apierrors.IsNotFound(err)
	if err != nil && !missing {
		return state{}, fmt.Errorf("reading the certificate's Secret: %w", err)
	}
	next, changed, err := renew(readState(secret.Data), r.options.Hosts, r.options.Lifetimes, r.clock.Now())
	if err != nil || !changed {
		return next, err
	}
	secret.Data = next.data()
	if missing {
		err = r.client.Create(ctx, secret)
	} else {
		err = r.client.Update(ctx, secret) // the resource version makes the first writer win
	}
	if err != nil {
		return state{}, fmt.Errorf("storing the certificate: %w", err)
	}
	return next, nil
}

// trust puts the authorities into the webhook configurations.
func (r *Rotator) trust(ctx context.Context, authorities []byte) error {
	var mutating admissionregistrationv1.MutatingWebhookConfiguration
	found, err := r.find(ctx, r.options.Mutating, &mutating)
	if err != nil {
		return err
	}
	if found {
		before := mutating.DeepCopy()
		for i := range mutating.Webhooks {
			mutating.Webhooks[i].ClientConfig.CABundle = authorities
		}
		if err := r.patch(ctx, &mutating, before); err != nil {
			return err
		}
	}
	var validating admissionregistrationv1.ValidatingWebhookConfiguration
	if found, err = r.find(ctx, r.options.Validating, &validating); err != nil || !found {
		return err
	}
	before := validating.DeepCopy()
	for i := range validating.Webhooks {
		validating.Webhooks[i].ClientConfig.CABundle = authorities
	}
	return r.patch(ctx, &validating, before)
}

func (r *Rotator) find(ctx context.Context, name string, into client.Object) (bool, error) {
	if name == "" {
		return false, nil
	}
	err := r.client.Get(ctx, types.NamespacedName{Name: name}, into)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading webhook configuration %q: %w", name, err)
	}
	return true, nil
}

// patch writes what changed, if anything did.
func (r *Rotator) patch(ctx context.Context, now, before client.Object) error {
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	data, err := patch.Data(now)
	if err != nil {
		return fmt.Errorf("comparing webhook configuration %q: %w", now.GetName(), err)
	}
	if !bytes.Contains(data, []byte("caBundle")) {
		return nil
	}
	if err := r.client.Patch(ctx, now, patch); err != nil {
		return fmt.Errorf("telling the API server of the certificate's authority: %w", err)
	}
	return nil
}

// serve has the certificate served from now on.
func (r *Rotator) serve(s state) error {
	certificate, err := tls.X509KeyPair(s.serving.certPEM, s.serving.keyPEM)
	if err != nil {
		return fmt.Errorf("reading the certificate: %w", err)
	}
	r.serving.Store(&certificate)
	return nil
}

// Certificate gives the certificate to serve, as tls.Config wants it.
func (r *Rotator) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	certificate := r.serving.Load()
	if certificate == nil {
		return nil, errors.New("the certificate has not been made yet")
	}
	return certificate, nil
}
