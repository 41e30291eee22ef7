package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/google/go-cmp/cmp"
	volumesnapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kubevirtv1 "kubevirt.io/api/core/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"wukong.io/wukong/pkg/fleet"
	"wukong.io/wukong/test/stockhelm"
	"wukong.io/wukong/test/world"
)

// twoPools is a fleet of one image with a pool whose disks are kept and one whose disks go.
func twoPools(i image) string {
	return fmt.Sprintf(`
images:
  base:
    importSource: {registry: {url: %q}}
    size: 8Mi
defaults:
  resources: {cpu: 1, memory: 64Mi}
  disks:
    root: {size: 16Mi, source: {image: base}, bootOrder: 1}
pools:
  keep:
    replicas: 2
    template:
      disks:
        data: {size: 8Mi, source: {empty: {}}}
      cloudInit: {user: ops, packages: [nginx]}
    retentionPolicy: {whenDeleted: Retain, whenScaled: Retain}
    services:
      http: {ports: {http: {port: 80}}}
  drop:
    replicas: 2
    retentionPolicy: {whenDeleted: Delete, whenScaled: Delete}
`, i.url)
}

// withBothHelms makes a table over stock helm 3 and 4.
func withBothHelms(description string, body func(ctx SpecContext, helm func() stockhelm.Helm)) {
	// What the suite sets up is not there yet when the tree is built.
	helm3 := func() stockhelm.Helm { return shared.helm3 }
	helm4 := func() stockhelm.Helm { return shared.helm4 }
	DescribeTable(description, body,
		Entry("helm 3", NodeTimeout(2*patience), helm3),
		Entry("helm 4", NodeTimeout(2*patience), helm4),
	)
}

var _ = Describe("A fleet that stock helm installs", func() {
	withBothHelms("runs, and is not changed by the same values", func(ctx SpecContext, helm func() stockhelm.Helm) {
		d := deploy(ctx, helm(), newNamespace(ctx), "same", twoPools(newImage("same")))
		d.running(ctx, "", 4)
		settled(ctx, d)

		before := d.installed(ctx)
		for range 2 {
			d.upgrade(ctx)
		}
		after := d.installed(ctx)
		Expect(slices.Sorted(maps.Keys(after))).To(Equal(slices.Sorted(maps.Keys(before))))
		for id, object := range before {
			again := after[id]
			Expect(again.GetResourceVersion()).To(Equal(object.GetResourceVersion()), "resourceVersion of %s", id)
			Expect(again.GetGeneration()).To(Equal(object.GetGeneration()), "generation of %s", id)
			Expect(again.GetUID()).To(Equal(object.GetUID()), "uid of %s", id)
		}
	})

	withBothHelms("keeps and deletes disks as its retention policy says", func(ctx SpecContext, helm func() stockhelm.Helm) {
		d := deploy(ctx, helm(), newNamespace(ctx), "retain", twoPools(newImage("retain")))
		d.running(ctx, "", 4)
		before := d.disks(ctx)
		Expect(before).To(HaveLen(6))
		note := []byte("written by a guest")
		Expect(shared.world.Write(ctx, d.object("retain-keep-1-data"), 0, note)).To(Succeed())

		By("scaling down")
		d.upgrade(ctx, "pools.keep.replicas=1", "pools.drop.replicas=1")
		d.running(ctx, "", 2)
		wantDisks(ctx, d, "retain-drop-0-root",
			"retain-keep-0-data", "retain-keep-0-root", "retain-keep-1-data", "retain-keep-1-root")

		By("scaling up again")
		d.upgrade(ctx)
		d.running(ctx, "", 4)
		after := d.disks(ctx)
		for name, uid := range before {
			if name == "retain-drop-1-root" {
				Expect(after[name]).NotTo(Equal(uid), "the claim of a disk that went with its machine")
				continue
			}
			Expect(after[name]).To(Equal(uid), "the claim of %s", name)
		}
		Expect(shared.world.Begins(ctx, d.object("retain-keep-1-data"), note)).To(Succeed())

		By("uninstalling")
		d.uninstall(ctx)
		d.running(ctx, "", 0)
		wantDisks(ctx, d, "retain-keep-0-data", "retain-keep-0-root", "retain-keep-1-data", "retain-keep-1-root")

		By("installing again on the disks that stayed")
		_, err := d.helm.Install(ctx, d.release)
		Expect(err).NotTo(HaveOccurred())
		d.running(ctx, "", 4)
		Expect(d.disks(ctx)).To(HaveKeyWithValue("retain-keep-1-data", before["retain-keep-1-data"]))
		Expect(shared.world.Begins(ctx, d.object("retain-keep-1-data"), note)).To(Succeed())
	})

	withBothHelms("is not restarted by another version of the chart", func(ctx SpecContext, helm func() stockhelm.Helm) {
		namespace := newNamespace(ctx)
		i := newImage("bump")
		d := deploy(ctx, helm(), namespace, "bump", twoPools(i))
		d.running(ctx, "", 4)
		instances := d.instances(ctx)
		generations := generationsOf(d.machines(ctx))

		d.release.Chart = laterChart("99.0.0")
		d.upgrade(ctx)
		Expect(generationsOf(d.machines(ctx))).To(Equal(generations))
		for name, machine := range d.machines(ctx) {
			Expect(machine.Labels).To(HaveKeyWithValue("helm.sh/chart", "vm-fleet-99.0.0"), name)
		}

		By("changing the hardware of one pool, which KubeVirt does answer")
		d.upgrade(ctx, "pools.drop.template.devices.tablet=true")
		Eventually(ctx, func() []string { return restarting(d.machines(ctx)) }).Should(Equal([]string{"bump-drop-0", "bump-drop-1"}))
		Expect(d.instances(ctx)).To(Equal(instances))
	})

	It("imports an image once for many machines", func(ctx SpecContext) {
		const machines = 15
		i := newImage("once")
		d := deploy(ctx, shared.helm3, newNamespace(ctx), "once", twoPools(i), fmt.Sprintf("pools.keep.replicas=%d", machines-5), "pools.drop.replicas=5")
		d.running(ctx, "", machines)

		Expect(shared.world.Sources.Downloads(i.name)).To(Equal(1))
		snapshots := &volumesnapshotv1.VolumeSnapshotList{}
		Expect(shared.world.Client.List(ctx, snapshots, client.InNamespace(d.release.Namespace))).To(Succeed())
		Expect(snapshots.Items).To(HaveLen(1))
		volumes := &cdiv1.DataVolumeList{}
		Expect(shared.world.Client.List(ctx, volumes, client.InNamespace(d.release.Namespace))).To(Succeed())
		imports, clones := 0, 0
		for _, volume := range volumes.Items {
			// KubeVirt writes out the reference of a disk that it makes with its machine.
			source := volume.Spec.Source
			switch {
			case source != nil && source.Registry != nil:
				imports++
			case volume.Spec.SourceRef != nil || source != nil && source.Snapshot != nil:
				clones++
				Expect(shared.world.Begins(ctx, client.ObjectKeyFromObject(&volume), i.data)).To(Succeed())
			}
		}
		Expect(imports).To(Equal(1), "imports")
		Expect(clones).To(Equal(machines), "clones")
	}, NodeTimeout(2*patience))

	It("takes another image for new machines, and leaves the disks of the others alone", func(ctx SpecContext) {
		old, young := newImage("rolling-old"), newImage("rolling-new")
		d := deploy(ctx, shared.helm3, newNamespace(ctx), "roll", twoPools(old))
		d.running(ctx, "", 4)
		before := d.disks(ctx)
		instances := d.instances(ctx)

		d.upgrade(ctx, "images.base.importSource.registry.url="+young.url, "pools.keep.replicas=3")
		d.running(ctx, "", 5)
		source := &cdiv1.DataSource{}
		Expect(shared.world.Client.Get(ctx, d.object("roll-base"), source)).To(Succeed())
		Expect(source.Spec.Source.Snapshot).NotTo(BeNil())
		snapshot := &volumesnapshotv1.VolumeSnapshot{}
		Expect(shared.world.Client.Get(ctx, d.object("%s", source.Spec.Source.Snapshot.Name), snapshot)).To(Succeed())
		Expect(shared.world.Begins(ctx, d.object("%s", *snapshot.Spec.Source.PersistentVolumeClaimName), young.data)).To(Succeed())

		after := d.disks(ctx)
		for name, uid := range before {
			Expect(after[name]).To(Equal(uid), "the claim of %s", name)
		}
		Expect(shared.world.Begins(ctx, d.object("roll-keep-0-root"), old.data)).To(Succeed())
		Expect(shared.world.Begins(ctx, d.object("roll-keep-2-root"), young.data)).To(Succeed())
		for name, uid := range instances {
			Expect(d.instances(ctx)).To(HaveKeyWithValue(name, uid))
		}
		Expect(restarting(d.machines(ctx))).To(BeEmpty())
	}, NodeTimeout(2*patience))

	It("is what the engine's manifests make by server-side apply", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		file := twoPools(newImage("apply"))
		d := deploy(ctx, shared.helm3, namespace, "apply", file)
		d.running(ctx, "", 4)
		values, err := fleet.ParseValues([]byte(file))
		Expect(err).NotTo(HaveOccurred())
		engine := rendered(ctx, fleet.Fleet{Namespace: namespace, Name: "apply", Values: values})
		installed := d.installed(ctx)
		Expect(slices.Sorted(maps.Keys(engine))).To(Equal(slices.Sorted(maps.Keys(installed))))
		for id, object := range engine {
			applied := object.DeepCopy()
			err := shared.world.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(applied), client.FieldOwner("engine"), client.ForceOwnership)
			Expect(err).NotTo(HaveOccurred(), id)
			before := installed[id]
			Expect(applied.GetGeneration()).To(Equal(before.GetGeneration()), "generation of %s", id)
			for _, part := range []string{"spec", "data", "stringData"} {
				Expect(cmp.Diff(before.Object[part], applied.Object[part])).To(BeEmpty(), "%s of %s", part, id)
			}
		}
	}, NodeTimeout(2*patience))

	It("has cloud-init in Secrets, and Services that find its Pods", func(ctx SpecContext) {
		d := deploy(ctx, shared.helm4, newNamespace(ctx), "net", twoPools(newImage("net")))
		d.running(ctx, "", 4)
		for name, machine := range d.machines(ctx) {
			if machine.Labels["wukong.io/pool"] != "keep" {
				continue
			}
			secret := &corev1.Secret{}
			Expect(shared.world.Client.Get(ctx, d.object("%s", cloudInitSecret(machine)), secret)).To(Succeed())
			var config map[string]any
			Expect(yaml.Unmarshal(secret.Data["userdata"], &config)).To(Succeed())
			Expect(string(secret.Data["userdata"])).To(HavePrefix("#cloud-config\n"))
			Expect(config).To(HaveKeyWithValue("hostname", name))
			Expect(config).To(HaveKeyWithValue("packages", ConsistOf("nginx")))
			pod := launcher(ctx, d.object("%s", name))
			Expect(pod.Spec.Hostname+"."+pod.Spec.Subdomain).To(Equal(name+".net-keep"), "the name of %s in DNS", name)
		}
		for service, pods := range map[string][]string{
			"net-keep": {"net-keep-0", "net-keep-1"}, "net-keep-http": {"net-keep-0", "net-keep-1"}, "net-drop": {"net-drop-0", "net-drop-1"},
		} {
			Expect(selected(ctx, d.object("%s", service))).To(Equal(pods), "machines behind Service %s", service)
		}
	}, NodeTimeout(2*patience))
})

var _ = Describe("Disks of every source", func() {
	It("hold what their source holds", func(ctx SpecContext) {
		namespace, other := newNamespace(ctx), newNamespace(ctx)
		i := newImage("sources")
		web := world.Image("sources-web", imageSize)
		seed := world.Image("sources-seed", imageSize)
		url := shared.world.Sources.Web("sources-web", web)
		for _, claim := range []client.ObjectKey{clientKey(namespace, "seed"), clientKey(other, "seed"), clientKey(namespace, "share-0"), clientKey(namespace, "share-1")} {
			Expect(shared.world.Claim(ctx, claim, "8Mi", seed)).To(Succeed())
		}
		Expect(shared.world.Snapshot(ctx, clientKey(namespace, "nightly"), "seed")).To(Succeed())
		Expect(shared.world.Machine(ctx, clientKey(namespace, "staging"), "8Mi", seed)).To(Succeed())

		d := deploy(ctx, shared.helm3, namespace, "src", everySource(i.url, url, world.Checksum(web), other))
		d.running(ctx, "", 2)
		for disk, want := range map[string][]byte{
			"root": i.data, "web": web, "seed": seed, "nightly": seed, "staging": seed, "far": seed,
			"blank": make([]byte, imageSize),
		} {
			Expect(shared.world.Begins(ctx, d.object("src-all-1-%s", disk), want)).To(Succeed(), disk)
		}
		pod := launcher(ctx, d.object("src-all-1"))
		Expect(claimsOf(pod)).To(ContainElement("share-1"))
		Expect(claimsOf(pod)).NotTo(ContainElement("share-0"))
	}, NodeTimeout(2*patience))

	It("never become a machine when the checksum is another", func(ctx SpecContext) {
		url := shared.world.Sources.Web("wrong", world.Image("wrong", imageSize))
		namespace := newNamespace(ctx)
		d := deploy(ctx, shared.helm3, namespace, "sum", fmt.Sprintf(`
pools:
  one:
    template:
      resources: {memory: 64Mi}
      disks:
        root: {size: 16Mi, source: {import: {http: {url: %q, checksum: %q}}}}
`, url, world.Checksum([]byte("another"))))
		Eventually(ctx, func() (cdiv1.DataVolumePhase, error) {
			volume := &cdiv1.DataVolume{}
			err := shared.world.Client.Get(ctx, d.object("sum-one-0-root"), volume)
			return volume.Status.Phase, err
		}).Should(Equal(cdiv1.Failed))
		Expect(d.instances(ctx)).NotTo(HaveKey("sum-one-0-root"))
		machine := d.machines(ctx)["sum-one-0"]
		Expect(machine.Status.PrintableStatus).NotTo(Equal(kubevirtv1.VirtualMachineStatusRunning))
	}, NodeTimeout(2*patience))
})

// everySource is a machine with a disk of each source, twice.
func everySource(image, web, checksum, other string) string {
	return fmt.Sprintf(`
images:
  base:
    importSource: {registry: {url: %q}}
    size: 8Mi
pools:
  all:
    replicas: 2
    template:
      resources: {memory: 64Mi}
      disks:
        root: {size: 16Mi, source: {image: base}, bootOrder: 1}
        web: {size: 16Mi, source: {import: {http: {url: %q, checksum: %q}}}}
        share: {source: {pvc: {claimName: share-@@ordinal@@}}}
        seed: {source: {clone: {pvc: {name: seed}}}}
        far: {source: {clone: {pvc: {namespace: %q, name: seed}}}}
        nightly: {source: {clone: {snapshot: {name: nightly}}}}
        staging: {source: {clone: {virtualMachine: {name: staging, disk: root}}}}
        blank: {size: 8Mi, source: {empty: {}}}
`, image, web, checksum, other)
}

// settled waits until nothing about the release changes any more on its own.
func settled(ctx context.Context, d deployment) {
	GinkgoHelper()
	Eventually(ctx, func() error {
		for name, machine := range d.machines(ctx) {
			if !machine.Status.Ready {
				return fmt.Errorf("machine %s is not ready", name)
			}
		}
		for id, object := range d.installed(ctx) {
			if phase, found, _ := unstructured.NestedString(object.Object, "status", "phase"); found && phase != string(cdiv1.Succeeded) {
				return fmt.Errorf("%s is %s", id, phase)
			}
		}
		return nil
	}).Should(Succeed())
}

// wantDisks waits until just these disks are left.
func wantDisks(ctx context.Context, d deployment, names ...string) {
	GinkgoHelper()
	Eventually(ctx, func() []string { return d.diskNames(ctx) }).Should(ConsistOf(names))
}

func generationsOf(machines map[string]kubevirtv1.VirtualMachine) map[string]int64 {
	generations := map[string]int64{}
	for name, machine := range machines {
		generations[name] = machine.Generation
	}
	return generations
}

// restarting gives the machines that ask for a restart.
func restarting(machines map[string]kubevirtv1.VirtualMachine) []string {
	var names []string
	for name, machine := range machines {
		if asksForRestart(machine) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// laterChart copies the chart with another version.
func laterChart(version string) string {
	GinkgoHelper()
	chart, err := stockhelm.CopyChart("vm-fleet", GinkgoT().TempDir(), version)
	Expect(err).NotTo(HaveOccurred())
	return chart
}

// cloudInitSecret is the Secret that a machine's cloud-init volume names.
func cloudInitSecret(machine kubevirtv1.VirtualMachine) string {
	for _, volume := range machine.Spec.Template.Spec.Volumes {
		if volume.CloudInitNoCloud != nil && volume.CloudInitNoCloud.UserDataSecretRef != nil {
			return volume.CloudInitNoCloud.UserDataSecretRef.Name
		}
	}
	return ""
}

// selected gives the machines whose Pods a Service selects.
func selected(ctx context.Context, key client.ObjectKey) ([]string, error) {
	service := &corev1.Service{}
	if err := shared.world.Client.Get(ctx, key, service); err != nil {
		return nil, err
	}
	if len(service.Spec.Selector) == 0 {
		return nil, errors.New("the service selects nothing")
	}
	pods := &corev1.PodList{}
	if err := shared.world.Client.List(ctx, pods, client.InNamespace(key.Namespace), client.MatchingLabels(service.Spec.Selector)); err != nil {
		return nil, err
	}
	var machines []string
	for _, pod := range pods.Items {
		machines = append(machines, pod.Labels["wukong.io/vm"])
	}
	slices.Sort(machines)
	return machines, nil
}

// launcher is the Pod of a running machine.
func launcher(ctx context.Context, machine client.ObjectKey) corev1.Pod {
	GinkgoHelper()
	pods := &corev1.PodList{}
	Expect(shared.world.Client.List(ctx, pods, client.InNamespace(machine.Namespace), client.MatchingLabels{"wukong.io/vm": machine.Name})).To(Succeed())
	Expect(pods.Items).To(HaveLen(1))
	return pods.Items[0]
}

func claimsOf(pod corev1.Pod) []string {
	var claims []string
	for _, volume := range pod.Spec.Volumes {
		if volume.PersistentVolumeClaim != nil {
			claims = append(claims, volume.PersistentVolumeClaim.ClaimName)
		}
	}
	return claims
}
