package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	mutatingName   = "mutating.wukong.io"
	validatingName = "validating.wukong.io"
	// ourMutating and ourValidating are the hooks that see machines.
	ourMutating   = "virtualmachines.mutating.wukong.io"
	ourValidating = "virtualmachines.validating.wukong.io"
	// noopSuffix takes the place of wukong.io in the names of the no-op hooks.
	noopSuffix = "noop.example.com"
	// machinesPath ends the paths of those hooks.
	machinesPath = "/virtualmachines"
	// settleTimeout bounds how long the API server takes to see other hooks.
	settleTimeout = 30 * time.Second
)

// setting is one of the things compared: what is registered, and which hooks
// the API server's counters know it by.
type setting struct {
	name                 string
	objects              []client.Object
	mutating, validating string
	policies             bool
}

// check makes sure that the setting was in place: its hooks were called for
// every request, and nobody else's.
func (s setting) check(spent counters, requests float64) error {
	for _, hook := range []string{ourMutating, ourValidating, noopName(ourMutating), noopName(ourValidating)} {
		called, wanted := spent.count[hook], hook == s.mutating || hook == s.validating
		if wanted && called < requests {
			return fmt.Errorf("the hook %s was called %.0f times for %.0f requests", hook, called, requests)
		}
		if !wanted && called > 0 {
			return fmt.Errorf("the hook %s was called %.0f times while it was not registered", hook, called)
		}
	}
	return nil
}

func noopName(hook string) string { return strings.TrimSuffix(hook, "wukong.io") + noopSuffix }

// settings are all that is compared.
type settings struct {
	all  []setting
	noop *httptest.Server
}

func (s settings) close() { s.noop.Close() }

// settings reads what the chart has registered, and derives the no-op webhook
// from it: the same rules and conditions, and nothing but yes.
func (s *stage) settings(ctx context.Context) (settings, error) {
	var mutating admissionregistrationv1.MutatingWebhookConfiguration
	var validating admissionregistrationv1.ValidatingWebhookConfiguration
	var bindings admissionregistrationv1.ValidatingAdmissionPolicyBindingList
	err := errors.Join(
		s.client.Get(ctx, types.NamespacedName{Name: mutatingName}, &mutating),
		s.client.Get(ctx, types.NamespacedName{Name: validatingName}, &validating),
		s.client.List(ctx, &bindings, client.MatchingLabels{"app.kubernetes.io/part-of": "wukong"}))
	if err != nil {
		return settings{}, fmt.Errorf("reading what charts/wukong has registered: %w", err)
	}
	if len(bindings.Items) == 0 {
		return settings{}, errors.New("reading what charts/wukong has registered: found no binding of a policy")
	}
	ours := setting{name: "ours", mutating: ourMutating, validating: ourValidating, policies: true, objects: []client.Object{&mutating, &validating}}
	for i := range bindings.Items {
		ours.objects = append(ours.objects, &bindings.Items[i])
	}
	server := httptest.NewTLSServer(http.HandlerFunc(allow))
	noop := setting{
		name: "the no-op webhook", mutating: noopName(ourMutating), validating: noopName(ourValidating),
		objects: noopObjects(server, &mutating, &validating),
	}
	return settings{noop: server, all: []setting{{name: "no webhook"}, noop, ours}}, nil
}

func noopObjects(server *httptest.Server, mutating *admissionregistrationv1.MutatingWebhookConfiguration, validating *admissionregistrationv1.ValidatingWebhookConfiguration) []client.Object {
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	redirect := func(name *string, config *admissionregistrationv1.WebhookClientConfig) bool {
		if config.URL == nil || !strings.HasSuffix(*config.URL, machinesPath) {
			return false
		}
		*name = noopName(*name)
		*config = admissionregistrationv1.WebhookClientConfig{URL: new(server.URL + machinesPath), CABundle: authority}
		return true
	}
	m := &admissionregistrationv1.MutatingWebhookConfiguration{}
	m.Name = noopName(mutatingName)
	for _, hook := range mutating.DeepCopy().Webhooks {
		if redirect(&hook.Name, &hook.ClientConfig) {
			m.Webhooks = append(m.Webhooks, hook)
		}
	}
	v := &admissionregistrationv1.ValidatingWebhookConfiguration{}
	v.Name = noopName(validatingName)
	for _, hook := range validating.DeepCopy().Webhooks {
		if redirect(&hook.Name, &hook.ClientConfig) {
			v.Webhooks = append(v.Webhooks, hook)
		}
	}
	return []client.Object{m, v}
}

// allow is the least a webhook can do: it says yes to everything.
func allow(w http.ResponseWriter, r *http.Request) {
	var review struct {
		Request struct {
			UID types.UID `json:"uid"`
		} `json:"request"`
	}
	var body bytes.Buffer
	if _, err := body.ReadFrom(r.Body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if err := json.Unmarshal(body.Bytes(), &review); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	answer := admissionv1.AdmissionReview{Response: &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true}}
	answer.APIVersion, answer.Kind = "admission.k8s.io/v1", "AdmissionReview"
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer) // the API server notices
}

// enter registers what a setting has and nothing else, and waits until the API
// server acts on it.
func (s *stage) enter(ctx context.Context, setting setting) error {
	err := errors.Join(
		s.client.DeleteAllOf(ctx, &admissionregistrationv1.ValidatingAdmissionPolicyBinding{}, client.MatchingLabels{"app.kubernetes.io/part-of": "wukong"}))
	for _, name := range []string{mutatingName, noopName(mutatingName)} {
		hook := &admissionregistrationv1.MutatingWebhookConfiguration{}
		hook.Name = name
		err = errors.Join(err, client.IgnoreNotFound(s.client.Delete(ctx, hook)))
	}
	for _, name := range []string{validatingName, noopName(validatingName)} {
		hook := &admissionregistrationv1.ValidatingWebhookConfiguration{}
		hook.Name = name
		err = errors.Join(err, client.IgnoreNotFound(s.client.Delete(ctx, hook)))
	}
	for _, object := range setting.objects {
		object, ok := object.DeepCopyObject().(client.Object)
		if !ok {
			return fmt.Errorf("%T is no object", object)
		}
		object.SetResourceVersion("")
		object.SetUID("")
		err = errors.Join(err, s.client.Create(ctx, object))
	}
	if err != nil {
		return err
	}
	return s.settled(ctx, setting)
}

// settled changes a machine until the counters show the setting's hooks, and
// its policies, and no others.
func (s *stage) settled(ctx context.Context, setting setting) error {
	var last error
	for began := time.Now(); time.Since(began) < settleTimeout; time.Sleep(200 * time.Millisecond) {
		before, err := s.counters(ctx)
		if err != nil {
			return err
		}
		if err := s.update(ctx); err != nil {
			return err
		}
		after, err := s.counters(ctx)
		if err != nil {
			return err
		}
		spent := after.minus(before)
		if last = setting.check(spent, 1); last != nil {
			continue
		}
		if evaluated := spent.policies > 0; evaluated == setting.policies {
			return nil
		}
		last = fmt.Errorf("policies evaluated: found %t, want %t", spent.policies > 0, setting.policies)
	}
	return last
}
