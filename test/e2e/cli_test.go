package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/utils/clock"
	kubevirtv1 "kubevirt.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"wukong.io/wukong/pkg/cli"
	"wukong.io/wukong/test/cluster"
)

// terminal is where somebody types wukong.
type terminal struct {
	namespace string
	// as is who types; the administrator if empty.
	as string
}

// answer is what a command leaves behind.
type answer struct {
	code           int
	stdout, stderr string
}

// wukong runs a command as a shell would.
func (t terminal) wukong(ctx SpecContext, args ...string) answer {
	GinkgoHelper()
	var stdout, stderr bytes.Buffer
	command := cli.New(
		genericiooptions.IOStreams{In: strings.NewReader(""), Out: &stdout, ErrOut: &stderr},
		cli.Options{Program: "wukong", Clock: clock.RealClock{}, Getenv: func(string) string { return "" }},
	)
	// The cache is a folder of the spec's: ports are used again by other clusters.
	global := []string{"--kubeconfig", shared.kubeconfig, "--cache-dir", GinkgoT().TempDir(), "--namespace", t.namespace}
	if t.as != "" {
		global = append(global, "--as", t.as)
	}
	command.SetArgs(slices.Concat(args[:1], global, args[1:]))
	err := command.ExecuteContext(ctx)
	if err != nil {
		fmt.Fprintln(&stderr, err)
	}
	got := answer{code: cli.ExitCode(err), stdout: stdout.String(), stderr: stderr.String()}
	AddReportEntry("wukong "+args[0], fmt.Sprintf("code %d\n%s\n%s", got.code, got.stdout, got.stderr), ReportEntryVisibilityFailureOrVerbose)
	return got
}

// succeeds runs a command that must succeed.
func (t terminal) succeeds(ctx SpecContext, args ...string) answer {
	GinkgoHelper()
	got := t.wukong(ctx, args...)
	Expect(got.code).To(BeZero(), "stdout:\n%s\nstderr:\n%s", got.stdout, got.stderr)
	return got
}

// refused runs a command that must make nothing, and say why.
func (t terminal) refused(ctx SpecContext, why []string, args ...string) {
	GinkgoHelper()
	got := t.wukong(ctx, args...)
	Expect(got.code).To(Equal(3), "stdout:\n%s\nstderr:\n%s", got.stdout, got.stderr)
	Expect(got.stdout).To(BeEmpty())
	for _, text := range why {
		Expect(got.stderr).To(ContainSubstring(text))
	}
}

// machine reads a machine of the terminal's namespace.
func (t terminal) machine(ctx SpecContext, name string) *kubevirtv1.VirtualMachine {
	GinkgoHelper()
	vm := &kubevirtv1.VirtualMachine{}
	Expect(shared.world.Client.Get(ctx, clientKey(t.namespace, name), vm)).To(Succeed())
	return vm
}

// untouched wants no release and no machine in the namespace.
func (t terminal) untouched(ctx SpecContext) {
	GinkgoHelper()
	for _, list := range []client.ObjectList{&kubevirtv1.VirtualMachineList{}, &corev1.SecretList{}} {
		Expect(shared.world.Client.List(ctx, list, client.InNamespace(t.namespace))).To(Succeed())
		Expect(apimeta.LenList(list)).To(BeZero(), "%T", list)
	}
}

// shopFile is a fleet of three pools: machines that run from an image, one that is halted and whose disk waits
// for it, and one whose disks are its own.
func shopFile(url string) string {
	return fmt.Sprintf(`
images:
  os:
    importSource: {registry: {url: %q}}
    size: 8Mi
pools:
  web:
    replicas: 2
    template:
      resources: {cpu: 1, memory: 512Mi}
      disks:
        root: {size: 16Mi, source: {image: os}, bootOrder: 1}
      cloudInit: {user: ops}
  store:
    replicas: 1
    template:
      runStrategy: Halted
      resources: {cpu: 1, memory: 1024Mi}
      disks:
        data: {size: 8Mi, source: {empty: {}}, storageClassName: %s}
  lab:
    replicas: 1
    retentionPolicy: {whenDeleted: Delete, whenScaled: Delete}
    template:
      instancetype: {name: u1.medium}
      preference: {name: fedora}
      disks:
        root: {size: 16Mi, source: {image: os}, bootOrder: 1}
`, url, cluster.ClassLate)
}

// statusReport is what the specs read of status.
type statusReport struct {
	Machines, Ready int
	KeptDisks       []string
	Pools           []struct {
		Name   string
		States map[string]int
	}
	Images []struct {
		Name  string
		Ready bool
	}
}

// status reads how a fleet is.
func (t terminal) status(ctx SpecContext, fleet string) statusReport {
	GinkgoHelper()
	got := t.succeeds(ctx, "status", fleet, "-o", "json")
	var report statusReport
	Expect(json.Unmarshal([]byte(got.stdout), &report)).To(Succeed(), got.stdout)
	return report
}

var _ = Describe("The CLI", func() {
	var here terminal

	BeforeEach(func(ctx SpecContext) {
		here = terminal{namespace: newNamespace(ctx)}
	}, NodeTimeout(patience))

	It("brings a fleet up, changes it and takes it down", NodeTimeout(2*patience), func(ctx SpecContext) {
		file := writeFile(shopFile(newImage("cli").url))

		By("showing what would be made")
		before := here.wukong(ctx, "diff", "shop", "-f", file, "-o", "table")
		Expect(before.code).To(Equal(1))
		Expect(before.stdout).To(MatchRegexp(`(?m)^create +VirtualMachine +shop-web-0 `))
		Expect(before.stdout).NotTo(MatchRegexp(`(?m)^(update|delete|release) `))
		here.untouched(ctx)

		By("checking the cluster in a dry run")
		here.succeeds(ctx, "install", "shop", "-f", file, "--dry-run")
		here.untouched(ctx)

		By("installing and waiting")
		here.succeeds(ctx, "install", "shop", "-f", file)
		for _, name := range []string{"shop-web-0", "shop-web-1", "shop-lab-0"} {
			Expect(here.machine(ctx, name).Status.PrintableStatus).To(Equal(kubevirtv1.VirtualMachineStatusRunning), name)
		}
		Expect(here.machine(ctx, "shop-store-0").Status.PrintableStatus).To(Equal(kubevirtv1.VirtualMachineStatusStopped))

		By("finding nothing to change")
		clean := here.wukong(ctx, "diff", "shop", "-f", file)
		Expect(clean).To(Equal(answer{code: 0, stdout: "", stderr: "No differences.\n"}))

		By("showing how it is")
		status := here.status(ctx, "shop")
		Expect(status.Machines).To(Equal(4))
		Expect(status.Ready).To(Equal(4))
		Expect(status.KeptDisks).To(BeEmpty())
		Expect(status.Images).To(HaveLen(1))
		Expect(status.Images[0].Ready).To(BeTrue())
		Expect(here.succeeds(ctx, "status", "shop", "-o", "wide").stdout).To(MatchRegexp(`shop-web-0 +Running +true +\S+ +\d+\.\d+`))

		By("being a release of stock helm")
		listed, err := shared.helm3.Run(ctx, "list", "--namespace", here.namespace, "-o", "json")
		Expect(err).NotTo(HaveOccurred())
		Expect(listed).To(And(ContainSubstring(`"name":"shop"`), ContainSubstring(`"status":"deployed"`)))

		By("refusing to install it twice")
		here.refused(ctx, []string{"installed already", "wukong upgrade shop"}, "install", "shop", "-f", file)

		By("showing an upgrade")
		smaller := []string{"shop", "-f", file, "--set", "pools.web.replicas=1", "--set", "pools.store.template.resources.memory=2Gi"}
		change := here.wukong(ctx, append([]string{"diff"}, smaller...)...)
		Expect(change.code).To(Equal(1))
		Expect(change.stdout).To(MatchRegexp(`\n- +guest: (1Gi|1024Mi)\n\+ +guest: 2Gi\n`))
		Expect(change.stdout).To(ContainSubstring("--- live/VirtualMachine/shop-web-1\n+++ /dev/null\n"))
		Expect(change.stdout).To(ContainSubstring("# DataVolume shop-web-1-root leaves the fleet and is kept\n"))
		Expect(change.stdout).NotTo(ContainSubstring("shop-web-0"))

		By("upgrading, which restarts nothing")
		running := here.machine(ctx, "shop-web-0").ResourceVersion
		here.succeeds(ctx, append([]string{"upgrade"}, smaller...)...)
		Expect(here.machine(ctx, "shop-web-0").ResourceVersion).To(Equal(running))
		status = here.status(ctx, "shop")
		Expect(status.KeptDisks).To(ConsistOf("shop-web-1-root"))
		Expect(here.wukong(ctx, append([]string{"diff"}, smaller...)...).code).To(BeZero())

		By("uninstalling")
		gone := here.succeeds(ctx, "uninstall", "shop", "-o", "name")
		Expect(strings.Fields(gone.stdout)).To(ConsistOf("datavolume.cdi.kubevirt.io/shop-web-0-root", "datavolume.cdi.kubevirt.io/shop-store-0-data"))
		Expect(gone.stderr).To(ContainSubstring("kubectl delete datavolume"))
		left := &kubevirtv1.VirtualMachineList{}
		Expect(shared.world.Client.List(ctx, left, client.InNamespace(here.namespace))).To(Succeed())
		Expect(left.Items).To(BeEmpty())

		By("having the disks again")
		here.succeeds(ctx, "upgrade", "--install", "shop", "-f", file)
		status = here.status(ctx, "shop")
		Expect(status.KeptDisks).To(BeEmpty())
		Expect(status.Ready).To(Equal(4))
	})

	It("sees what somebody changed by hand, and shows no secret", NodeTimeout(patience), func(ctx SpecContext) {
		file := writeFile(shopFile(newImage("drift").url))
		here.succeeds(ctx, "install", "shop", "-f", file)

		vm := here.machine(ctx, "shop-web-0")
		halted := client.MergeFrom(vm.DeepCopy())
		vm.Spec.RunStrategy = new(kubevirtv1.RunStrategyHalted)
		vm.Labels["seen"] = "by-nobody"
		Expect(shared.world.Client.Patch(ctx, vm, halted)).To(Succeed())
		secret := &corev1.Secret{}
		Expect(shared.world.Client.Get(ctx, clientKey(here.namespace, "shop-web-0-cloudinit"), secret)).To(Succeed())
		secret.Data["userdata"] = []byte("hunter2")
		Expect(shared.world.Client.Update(ctx, secret)).To(Succeed())

		got := here.wukong(ctx, "diff", "shop", "-f", file)
		Expect(got.code).To(Equal(1))
		Expect(got.stdout).To(And(ContainSubstring("-  runStrategy: Halted\n+  runStrategy: Always\n"), ContainSubstring("*** (before)")))
		Expect(got.stdout).NotTo(Or(ContainSubstring("hunter2"), ContainSubstring("aHVudGVyMg"), ContainSubstring("by-nobody"), ContainSubstring("cloud-config")))
		Expect(got.stderr).To(ContainSubstring("2 objects: 2 to update"))
	})

	It("warns of a change that waits for a restart", NodeTimeout(patience), func(ctx SpecContext) {
		file := writeFile(shopFile(newImage("restart").url))
		here.succeeds(ctx, "install", "shop", "-f", file)
		got := here.succeeds(ctx, "upgrade", "shop", "-f", file, "--set", "pools.web.template.resources.memory=768Mi")
		Expect(got.stderr).To(ContainSubstring("warning: VirtualMachine shop-web-0: a restart is required"))
	})

	It("ends the wait when an image cannot be imported, and says why", NodeTimeout(patience), func(ctx SpecContext) {
		file := writeFile(shopFile("docker://" + strings.TrimPrefix(shared.world.Sources.Web("x", nil), "http://")))
		got := here.wukong(ctx, "install", "shop", "-f", file)
		Expect(got.code).To(Equal(4), "stderr:\n%s", got.stderr)
		Expect(got.stderr).To(MatchRegexp(`(?m)^Fail(ing|ed) +DataVolume +shop-os-\S+ `))
		Expect(got.stderr).To(MatchRegexp(`(?m)^Blocked +VirtualMachine +shop-web-0 .*waits for (VolumeSnapshot|DataVolume) shop-os-`))
		Expect(got.stderr).To(ContainSubstring("mend the causes"))
	})

	It("ends the wait when the time is up", NodeTimeout(patience), func(ctx SpecContext) {
		file := writeFile(shopFile("docker://" + strings.TrimPrefix(shared.world.Sources.Web("x", nil), "http://")))
		got := here.wukong(ctx, "install", "shop", "-f", file, "--timeout", "2s")
		Expect(got.code).To(Equal(5), "stderr:\n%s", got.stderr)
		Expect(got.stderr).To(ContainSubstring("was not ready within 2s"))
	})

	It("makes nothing where the cluster cannot take the fleet", NodeTimeout(patience), func(ctx SpecContext) {
		file := writeFile(shopFile(newImage("refused").url))
		refusals := map[string]struct {
			set string
			why []string
		}{
			"a storage class that is not there": {
				set: "pools.store.template.disks.data.storageClassName=gold", why: []string{`storage class "gold"`, cluster.ClassFast},
			},
			"an image on storage without snapshots": {
				set: "images.os.storageClassName=" + cluster.ClassNoSnapshot,
				why: []string{`image "os"`, cluster.ClassNoSnapshot, cluster.DriverNoSnapshot, "cloneFrom to PersistentVolumeClaim"},
			},
			"a machine that KubeVirt refuses": {
				set: "pools.lab.template.instancetype.name=u1.nano", why: []string{`VirtualMachine "shop-lab-0"`, "preference requires 2Gi"},
			},
			"an instancetype that is not there": {
				set: "pools.lab.template.instancetype.name=u9.none", why: []string{`VirtualMachine "shop-lab-0"`, `"u9.none" does not exist`},
			},
			"a clone from a namespace that is not there": {
				set: "pools.store.template.disks.seed.source.clone.pvc.namespace=nowhere,pools.store.template.disks.seed.source.clone.pvc.name=seed",
				why: []string{"shop-store-0-seed", `namespace "nowhere"`},
			},
		}
		for name, tc := range refusals {
			By("refusing " + name)
			here.refused(ctx, append(tc.why, "nothing was made"), "install", "shop", "-f", file, "--set", tc.set)
		}
		By("refusing a namespace that is not there")
		terminal{namespace: here.namespace + "-x"}.refused(ctx, []string{"--create-namespace"}, "install", "shop", "-f", file)
		By("refusing a fleet that is invalid")
		Expect(here.wukong(ctx, "install", "shop", "-f", file, "--set", "pools.web.replicas=-1").code).To(Equal(1))
		here.untouched(ctx)
	})

	It("refuses a change that a disk cannot take", NodeTimeout(patience), func(ctx SpecContext) {
		file := writeFile(shopFile(newImage("disks").url))
		here.succeeds(ctx, "install", "shop", "-f", file)
		upgrade := []string{"upgrade", "shop", "-f", file, "--set"}
		here.refused(ctx, []string{"shop-web-0-root", "cannot shrink from 16Mi to 8Mi"}, append(upgrade, "pools.web.template.disks.root.size=8Mi")...)
		here.refused(ctx, []string{"shop-web-0-root", "cannot grow from 16Mi to 32Mi", "kubectl patch pvc"}, append(upgrade, "pools.web.template.disks.root.size=32Mi")...)
		here.refused(ctx, []string{"shop-store-0-data", "storage.storageClassName", cluster.ClassFast}, append(upgrade, "pools.store.template.disks.data.storageClassName="+cluster.ClassFast)...)
		here.refused(ctx, []string{"shop-web-0-root", "retentionPolicy Retain", "to Delete"},
			append(upgrade, "pools.web.retentionPolicy.whenDeleted=Delete,pools.web.retentionPolicy.whenScaled=Delete")...)
		Expect(here.wukong(ctx, "diff", "shop", "-f", file).code).To(BeZero())
	})

	It("works for somebody who may do nothing outside of the namespace", NodeTimeout(patience), func(ctx SpecContext) {
		here.as = "alice"
		grant(ctx, here.namespace, here.as)
		file := writeFile(shopFile(newImage("alice").url))
		got := here.succeeds(ctx, "install", "shop", "-f", file)
		Expect(got.stderr).To(ContainSubstring("storage classes could not be checked: you may not list them"))
		Expect(here.wukong(ctx, "diff", "shop", "-f", file).code).To(BeZero())
		Expect(here.succeeds(ctx, "status").stdout).To(MatchRegexp(`shop +4 +4 `))
		here.succeeds(ctx, "uninstall", "shop")
	})

	It("names the fleets there are", NodeTimeout(patience), func(ctx SpecContext) {
		file := writeFile("pools: {node: {replicas: 0, template: {resources: {cpu: 1, memory: 1Gi}, disks: {a: {size: 1Mi, source: {empty: {}}}}}}}")
		Expect(here.succeeds(ctx, "status").stderr).To(ContainSubstring("No fleets"))
		here.succeeds(ctx, "install", "lonely", "-f", file, "--set", "pools.node.replicas=1", "--set", "pools.node.template.runStrategy=Halted")
		got := here.wukong(ctx, "status", "lonel")
		Expect(got.code).To(Equal(1))
		Expect(got.stderr).To(And(ContainSubstring(`did you mean "lonely"?`), ContainSubstring("There are: lonely")))
		Expect(here.wukong(ctx, "__complete", "status", "").stdout).To(ContainSubstring("lonely\n"))
	})
})

// grant gives a user everything in one namespace and nothing outside of it.
func grant(ctx SpecContext, namespace, user string) {
	GinkgoHelper()
	role := &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "everything"},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{"*"}, Resources: []string{"*"}, Verbs: []string{"*"}}},
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "everything"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}
	Expect(shared.world.Client.Create(ctx, role)).To(Succeed())
	Expect(shared.world.Client.Create(ctx, binding)).To(Succeed())
}
