package e2e

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/rand"
	kubevirtv1 "kubevirt.io/api/core/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"wukong.io/wukong/pkg/fleet"
	"wukong.io/wukong/test/stockhelm"
	"wukong.io/wukong/test/world"
)

// imageSize is the size of every image: small, as copies are compared byte for byte.
const imageSize = 4 << 20

// newNamespace makes a namespace for one spec, and removes it after that.
func newNamespace(ctx context.Context) string {
	GinkgoHelper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "e2e-"}}
	Expect(shared.world.Client.Create(ctx, namespace)).To(Succeed())
	DeferCleanup(func(ctx SpecContext) {
		Expect(client.IgnoreNotFound(shared.world.Client.Delete(ctx, namespace))).To(Succeed())
	}, NodeTimeout(patience))
	return namespace.Name
}

// image is a golden image of one spec alone, so that its downloads are the spec's.
type image struct {
	name string
	data []byte
	url  string
}

// newImage puts an image into the registry.
func newImage(label string) image {
	GinkgoHelper()
	label = fmt.Sprintf("%s-%s", label, rand.String(5))
	data := world.Image(label, imageSize)
	url, err := shared.world.Sources.Push(label, data)
	Expect(err).NotTo(HaveOccurred())
	return image{name: label, data: data, url: url}
}

// deployment is a fleet that stock helm installs.
type deployment struct {
	helm    stockhelm.Helm
	release stockhelm.Release
}

// deploy installs a fleet file with stock helm.
func deploy(ctx context.Context, helm stockhelm.Helm, namespace, name, file string, set ...string) deployment {
	GinkgoHelper()
	d := deployment{helm: helm, release: stockhelm.Release{Namespace: namespace, Name: name, Values: writeFile(file), Set: set}}
	_, err := helm.Install(ctx, d.release)
	Expect(err).NotTo(HaveOccurred())
	return d
}

func writeFile(content string) string {
	GinkgoHelper()
	path := filepath.Join(GinkgoT().TempDir(), "fleet.yaml")
	Expect(os.WriteFile(path, []byte(content), 0o600)).To(Succeed())
	return path
}

// upgrade installs the fleet again, with some values set anew.
func (d deployment) upgrade(ctx context.Context, set ...string) {
	GinkgoHelper()
	Expect(d.tryUpgrade(ctx, set...)).To(Succeed())
}

func (d deployment) tryUpgrade(ctx context.Context, set ...string) error {
	release := d.release
	release.Set = append(slices.Clone(release.Set), set...)
	_, err := d.helm.Upgrade(ctx, release)
	return err
}

func (d deployment) uninstall(ctx context.Context) {
	GinkgoHelper()
	_, err := d.helm.Uninstall(ctx, d.release)
	Expect(err).NotTo(HaveOccurred())
}

func (d deployment) key() client.ObjectKey {
	return client.ObjectKey{Namespace: d.release.Namespace, Name: d.release.Name}
}

// object is the key of an object in the fleet's namespace.
func (d deployment) object(format string, args ...any) client.ObjectKey {
	return client.ObjectKey{Namespace: d.release.Namespace, Name: fmt.Sprintf(format, args...)}
}

// running waits until KubeVirt reports all machines of a pool Running, and that there are as many.
func (d deployment) running(ctx context.Context, pool string, want int) {
	GinkgoHelper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	Expect(shared.world.Running(ctx, d.key(), pool, want, nil)).To(Succeed())
}

// disks gives the claims of the fleet's disks with their UIDs.
func (d deployment) disks(ctx context.Context) map[string]types.UID {
	GinkgoHelper()
	claims := &corev1.PersistentVolumeClaimList{}
	Expect(shared.world.Client.List(ctx, claims, client.InNamespace(d.release.Namespace))).To(Succeed())
	disks := map[string]types.UID{}
	for _, name := range d.diskNames(ctx) {
		at := slices.IndexFunc(claims.Items, func(claim corev1.PersistentVolumeClaim) bool { return claim.Name == name })
		Expect(at).To(BeNumerically(">=", 0), "the claim of disk %s", name)
		disks[name] = claims.Items[at].UID
	}
	return disks
}

// diskNames gives the DataVolumes of the fleet's disks that are not being deleted.
func (d deployment) diskNames(ctx context.Context) []string {
	GinkgoHelper()
	volumes := &cdiv1.DataVolumeList{}
	Expect(shared.world.Client.List(ctx, volumes, client.InNamespace(d.release.Namespace),
		client.MatchingLabels{"wukong.io/fleet": d.release.Name}, client.HasLabels{"wukong.io/disk"})).To(Succeed())
	names := []string{}
	for _, volume := range volumes.Items {
		names = append(names, volume.Name)
	}
	slices.Sort(names)
	return names
}

// machines gives the fleet's machines by name, and instances what runs.
func (d deployment) machines(ctx context.Context) map[string]kubevirtv1.VirtualMachine {
	GinkgoHelper()
	machines, err := shared.world.Machines(ctx, d.key())
	Expect(err).NotTo(HaveOccurred())
	return machines
}

func (d deployment) instances(ctx context.Context) map[string]types.UID {
	GinkgoHelper()
	instances, err := shared.world.Instances(ctx, d.key())
	Expect(err).NotTo(HaveOccurred())
	uids := map[string]types.UID{}
	for name, instance := range instances {
		uids[name] = instance.UID
	}
	return uids
}

func asksForRestart(machine kubevirtv1.VirtualMachine) bool {
	return slices.ContainsFunc(machine.Status.Conditions, func(c kubevirtv1.VirtualMachineCondition) bool {
		return c.Type == kubevirtv1.VirtualMachineRestartRequired && c.Status == corev1.ConditionTrue
	})
}

// installed gives the live objects of the release by identity.
func (d deployment) installed(ctx context.Context) map[string]unstructured.Unstructured {
	GinkgoHelper()
	manifest, err := d.helm.Run(ctx, "get", "manifest", d.release.Name, "--namespace", d.release.Namespace)
	Expect(err).NotTo(HaveOccurred())
	live := map[string]unstructured.Unstructured{}
	for id, object := range objects(manifest) {
		found := unstructured.Unstructured{}
		found.SetGroupVersionKind(object.GroupVersionKind())
		Expect(shared.world.Client.Get(ctx, client.ObjectKeyFromObject(&object), &found)).To(Succeed())
		live[id] = found
	}
	return live
}

// objects reads manifests, by identity.
func objects(manifests string) map[string]unstructured.Unstructured {
	GinkgoHelper()
	list, err := stockhelm.Objects([]byte(manifests))
	Expect(err).NotTo(HaveOccurred())
	byID := make(map[string]unstructured.Unstructured, len(list))
	for _, object := range list {
		id := identity(&object)
		Expect(byID).NotTo(HaveKey(id), "an object that is rendered twice")
		byID[id] = object
	}
	return byID
}

func identity(object *unstructured.Unstructured) string {
	return fmt.Sprintf("%s %s/%s", object.GroupVersionKind().String(), object.GetNamespace(), object.GetName())
}

// rendered gives what the engine makes of a fleet file, by identity.
func rendered(ctx context.Context, f fleet.Fleet) map[string]unstructured.Unstructured {
	GinkgoHelper()
	manifests, err := shared.renderer.Manifests(ctx, f, fleet.Options{})
	Expect(err).NotTo(HaveOccurred())
	return objects(string(manifests))
}

// admit sends objects through admission and validation of the real servers without storing them, and gives
// the refusals.
func admit(ctx context.Context, all map[string]unstructured.Unstructured) []string {
	var refusals []string
	for _, id := range slices.Sorted(maps.Keys(all)) {
		object := all[id]
		err := shared.world.Client.Create(ctx, object.DeepCopy(), client.DryRunAll, client.FieldValidation(metav1.FieldValidationStrict))
		if err != nil {
			refusals = append(refusals, fmt.Sprintf("%s: %v", id, err))
		}
	}
	return refusals
}

// sameObjects is a failure that shows what differs.
func sameObjects(have, want map[string]unstructured.Unstructured, description string) {
	GinkgoHelper()
	if diff := cmp.Diff(want, have); diff != "" {
		Fail(fmt.Sprintf("%s (-want +got):\n%s", description, strings.TrimSpace(diff)))
	}
}

func clientKey(namespace, name string) client.ObjectKey {
	return client.ObjectKey{Namespace: namespace, Name: name}
}
