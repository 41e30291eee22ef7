package cluster

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// probeTimeout is how long one question to a program may take.
const probeTimeout = 5 * time.Second

// kubeVirtObjects are what virt-operator would install, by what has to be created when.
type kubeVirtObjects struct {
	definitions []*unstructured.Unstructured
	types       []*unstructured.Unstructured // instance types and preferences
	webhooks    []*unstructured.Unstructured
	apiServices []*unstructured.Unstructured
	rest        []*unstructured.Unstructured // roles, bindings, accounts, priority class
}

func (b *bootstrap) readKubeVirt() error {
	objects, err := readList(b.bin.KubeVirtManifests)
	if err != nil {
		return err
	}
	k := &b.kubevirt
	k.definitions, objects = ofKind(objects, "CustomResourceDefinition")
	k.types, objects = ofKind(objects, "VirtualMachineClusterInstancetype", "VirtualMachineClusterPreference")
	k.webhooks, objects = ofKind(objects, "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration")
	k.apiServices, k.rest = ofKind(objects, "APIService")
	return nil
}

// startKubeVirt starts virt-api and virt-controller, which read the KubeVirt object and their roles at once.
func (b *bootstrap) startKubeVirt(ctx context.Context) error {
	if err := b.writeKubeVirtCertificates(); err != nil {
		return err
	}
	if err := b.installKubeVirt(ctx); err != nil {
		return err
	}
	// Types are created before the webhooks that would look at every one of them.
	return together(b.startVirtAPI, b.startVirtController, func(ctx context.Context) error {
		return createAll(ctx, b.client, b.kubevirt.types...)
	})(ctx)
}

// writeKubeVirtCertificates makes the certificates that virt-operator would keep in Secrets.
func (b *bootstrap) writeKubeVirtCertificates() error {
	serving, err := b.ca.issue(leaf{commonName: "virt-api.kubevirt.pod.cluster.local", hosts: []string{
		"127.0.0.1", "localhost", "virt-api", "virt-api.kubevirt", "virt-api.kubevirt.svc",
	}})
	if err != nil {
		return err
	}
	handlerClient, err := b.ca.issue(leaf{commonName: "kubevirt.io:system:client:virt-handler"})
	if err != nil {
		return err
	}
	for name, pair := range map[string]keyPair{
		"virt-api": serving, "virt-handler-client": handlerClient,
	} {
		if err := pair.write(b.dirs.certs, name); err != nil {
			return fmt.Errorf("writing the certificate %q: %w", name, err)
		}
	}
	for _, name := range []string{"exportca", "backupca"} {
		if err := b.ca.write(filepath.Join(b.dirs.kubevirt, name), "tls"); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
	}
	return nil
}

// installKubeVirt creates the KubeVirt object and all that needs no webhook.
func (b *bootstrap) installKubeVirt(ctx context.Context) error {
	bundle := map[string]string{"ca-bundle": string(b.ca.Cert)}
	objects := []client.Object{
		configMap("kubevirt-ca", bundle),
		configMap("kubevirt-export-ca", bundle),
		configMap("kubevirt-backup-ca", bundle),
		virtAPIService(),
	}
	for _, object := range b.kubevirt.rest {
		objects = append(objects, object)
	}
	if err := createAll(ctx, b.client, objects...); err != nil {
		return err
	}
	return b.createKubeVirt(ctx)
}

// virtAPIService is where the API server's aggregator finds virt-api: a Service may not have loopback endpoints, but it may
// be another name for localhost.
func virtAPIService() *corev1.Service {
	return &corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: metav1.ObjectMeta{Namespace: KubeVirtNamespace, Name: "virt-api"},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "localhost"},
	}
}

// createKubeVirt creates the KubeVirt object as deployed: while its phase is empty, its configuration is not looked at.
func (b *bootstrap) createKubeVirt(ctx context.Context) error {
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "kubevirt.io/v1",
		"kind":       "KubeVirt",
		"metadata":   map[string]any{"namespace": KubeVirtNamespace, "name": "kubevirt"},
		"spec": map[string]any{
			"configuration": map[string]any{
				"developerConfiguration": map[string]any{"featureGates": b.featureGates(), "useEmulation": true},
				// The default of 5 requests a second makes tests that start machines wait for nothing.
				"apiConfiguration":        rateLimit(),
				"controllerConfiguration": rateLimit(),
			},
		},
	}}
	if err := create(ctx, b.client, object); err != nil {
		return err
	}
	object.Object["status"] = map[string]any{
		"phase":                   "Deployed",
		"observedKubeVirtVersion": kubeVirtVersion,
		"targetKubeVirtVersion":   kubeVirtVersion,
		"operatorVersion":         kubeVirtVersion,
		"defaultArchitecture":     "amd64",
	}
	if err := b.client.Status().Update(ctx, object); err != nil {
		return fmt.Errorf("setting the status of the KubeVirt object: %w", err)
	}
	return nil
}

// featureGates are those asked for. Without its certificate authority virt-controller dies of the first export, so that gate
// stays closed where there is none, and virt-api refuses exports.
func (b *bootstrap) featureGates() []any {
	const exportGate = "VMExport"
	gates := b.options.FeatureGates
	if gates == nil {
		gates = DefaultFeatureGates()
	}
	listed := make([]any, 0, len(gates))
	for _, gate := range gates {
		if gate != exportGate || b.mountErr == nil {
			listed = append(listed, gate)
		}
	}
	return listed
}

func rateLimit() map[string]any {
	bucket := map[string]any{"qps": int64(400), "burst": int64(800)}
	return map[string]any{"restClient": map[string]any{"rateLimiter": map[string]any{"tokenBucketRateLimiter": bucket}}}
}

func (b *bootstrap) startVirtAPI(context.Context) error {
	kubeconfig, err := b.access.kubeconfig("virt-api", serviceAccount(KubeVirtNamespace, "kubevirt-apiserver"))
	if err != nil {
		return err
	}
	_, err = b.supervisor.start(command{name: "virt-api", path: b.bin.VirtAPI, env: kubeVirtEnvironment(), args: []string{
		"--kubeconfig=" + kubeconfig,
		"--listen=127.0.0.1",
		"--port=" + strconv.Itoa(b.virtPort),
		"--console-server-port=" + strconv.Itoa(b.handlerPort),
		"--tls-cert-file=" + b.cert("virt-api.crt"),
		"--tls-key-file=" + b.cert("virt-api.key"),
		"--handler-cert-file=" + b.cert("virt-handler-client.crt"),
		"--handler-key-file=" + b.cert("virt-handler-client.key"),
	}})
	return err
}

func kubeVirtEnvironment() []string {
	return []string{"POD_NAMESPACE=" + KubeVirtNamespace, "KUBEVIRT_VERSION=" + kubeVirtVersion}
}

// startVirtController runs virt-controller as the ServiceAccount whose status updates virt-api lets through.
func (b *bootstrap) startVirtController(context.Context) error {
	kubeconfig, err := b.access.kubeconfig("virt-controller", serviceAccount(KubeVirtNamespace, "kubevirt-controller"))
	if err != nil {
		return err
	}
	c := command{name: "virt-controller", path: b.bin.VirtController, env: kubeVirtEnvironment(), args: []string{
		"--kubeconfig=" + kubeconfig,
		"--listen=127.0.0.1",
		"--port=" + strconv.Itoa(b.controllerPort),
		"--prom-cert-file=" + b.cert("virt-api.crt"),
		"--prom-key-file=" + b.cert("virt-api.key"),
		"--launcher-image=quay.io/kubevirt/virt-launcher:" + kubeVirtVersion,
		"--exporter-image=" + exporterImage + ":" + kubeVirtVersion,
	}}
	if b.mountErr == nil {
		if c, err = withExportCA(c, b.dirs.kubevirt); err != nil {
			return err
		}
	}
	_, err = b.supervisor.start(c)
	return err
}

// registerVirtAPI registers virt-api once it answers, and waits until the whole way through it works.
func (b *bootstrap) registerVirtAPI(ctx context.Context) error {
	probe := insecureClient()
	err := eventually(ctx, "virt-api", func(ctx context.Context) error {
		_, err := get(ctx, probe, "https://"+loopback(b.virtPort)+"/apis/subresources.kubevirt.io/v1/healthz")
		return err
	})
	if err != nil {
		return err
	}
	if err := b.pointAtVirtAPI(); err != nil {
		return err
	}
	objects := slices.Concat(b.kubevirt.webhooks, b.kubevirt.apiServices)
	if err := createAll(ctx, b.client, objects...); err != nil {
		return err
	}
	return together(b.awaitAPIServices, b.awaitAdmission)(ctx)
}

// pointAtVirtAPI makes the webhooks and the API services reach a process instead of a Service.
func (b *bootstrap) pointAtVirtAPI() error {
	bundle := base64.StdEncoding.EncodeToString(b.ca.Cert)
	for _, configuration := range b.kubevirt.webhooks {
		hooks, _, err := unstructured.NestedSlice(configuration.Object, "webhooks")
		if err != nil {
			return fmt.Errorf("reading the webhooks of %q: %w", configuration.GetName(), err)
		}
		for _, hook := range hooks {
			hook, ok := hook.(map[string]any)
			if !ok {
				return fmt.Errorf("reading the webhooks of %q: found %T", configuration.GetName(), hook)
			}
			path, _, err := unstructured.NestedString(hook, "clientConfig", "service", "path")
			if err != nil {
				return fmt.Errorf("reading a webhook's path: %w", err)
			}
			url := "https://" + loopback(b.virtPort) + "/" + strings.TrimPrefix(path, "/")
			hook["clientConfig"] = map[string]any{"url": url, "caBundle": bundle}
		}
		if err := unstructured.SetNestedSlice(configuration.Object, hooks, "webhooks"); err != nil {
			return err
		}
	}
	for _, service := range b.kubevirt.apiServices {
		err := errors.Join(
			unstructured.SetNestedField(service.Object, int64(b.virtPort), "spec", "service", "port"),
			unstructured.SetNestedField(service.Object, bundle, "spec", "caBundle"),
		)
		if err != nil {
			return err
		}
	}
	return nil
}

// awaitAPIServices waits until start, stop and the other subresources are served.
func (b *bootstrap) awaitAPIServices(ctx context.Context) error {
	for _, service := range b.kubevirt.apiServices {
		key := client.ObjectKeyFromObject(service)
		err := eventually(ctx, "the API service "+key.Name, func(ctx context.Context) error {
			live := &unstructured.Unstructured{}
			live.SetGroupVersionKind(service.GroupVersionKind())
			if err := b.client.Get(ctx, key, live); err != nil {
				return err
			}
			return wantCondition(live, "Available")
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func wantCondition(object *unstructured.Unstructured, name string) error {
	conditions, _, err := unstructured.NestedSlice(object.Object, "status", "conditions")
	if err != nil {
		return fmt.Errorf("reading conditions: %w", err)
	}
	for _, condition := range conditions {
		condition, ok := condition.(map[string]any)
		if !ok || condition["type"] != name {
			continue
		}
		if condition["status"] != "True" {
			return fmt.Errorf("%s is %v: %v", name, condition["status"], condition["message"])
		}
		return nil
	}
	return fmt.Errorf("there is no condition %s yet", name)
}

// awaitAdmission waits until virt-api's mutator and validator both look at a VM. The first sets a machine's firmware, the
// second refuses a machine with neither run strategy.
func (b *bootstrap) awaitAdmission(ctx context.Context) error {
	return eventually(ctx, "virt-api's webhooks", func(ctx context.Context) error {
		good := probeMachine(map[string]any{"runStrategy": "Halted"})
		if err := b.client.Create(ctx, good, client.DryRunAll); err != nil {
			return err
		}
		if _, found, _ := unstructured.NestedString(good.Object, "spec", "template", "spec", "architecture"); !found {
			return errors.New("the mutating webhook is not called yet")
		}
		if err := b.client.Create(ctx, probeMachine(nil), client.DryRunAll); err == nil {
			return errors.New("the validating webhook is not called yet")
		}
		return nil
	})
}

func probeMachine(spec map[string]any) *unstructured.Unstructured {
	domain := map[string]any{"devices": map[string]any{}, "memory": map[string]any{"guest": "64Mi"}}
	full := map[string]any{"template": map[string]any{"spec": map[string]any{"domain": domain}}}
	maps.Copy(full, spec)
	machine := &unstructured.Unstructured{Object: map[string]any{"spec": full}}
	machine.SetGroupVersionKind(schema.GroupVersionKind{Group: "kubevirt.io", Version: "v1", Kind: "VirtualMachine"})
	machine.SetNamespace(KubeVirtNamespace)
	machine.SetName("wukong-probe")
	return machine
}

func (b *bootstrap) awaitVirtController(ctx context.Context) error {
	probe := insecureClient()
	return eventually(ctx, "virt-controller to lead", func(ctx context.Context) error {
		answer, err := get(ctx, probe, "https://"+loopback(b.controllerPort)+"/leader")
		if err != nil {
			return err
		}
		if compact := strings.Join(strings.Fields(answer), ""); !strings.Contains(compact, `"leader":"true"`) {
			return fmt.Errorf("it answers %s", compact)
		}
		return nil
	})
}

// insecureClient asks programs on this machine how they are.
func insecureClient() *http.Client {
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // asks only for health, and on loopback
		DisableKeepAlives: true,
	}
	return &http.Client{Transport: transport, Timeout: probeTimeout}
}
