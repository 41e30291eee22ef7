package preflight

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"wukong.io/wukong/pkg/cli/manifest"
)

func parse(t *testing.T, text string) []*unstructured.Unstructured {
	t.Helper()
	objects, err := manifest.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

func TestCollect(t *testing.T) {
	needs := Collect(parse(t, `
apiVersion: cdi.kubevirt.io/v1beta1
kind: DataVolume
metadata: {name: shop-os-1, namespace: ns, labels: {wukong.io/image: os}}
spec:
  source: {http: {url: x, secretRef: login, certConfigMap: ca}}
  storage: {storageClassName: fast}
---
apiVersion: snapshot.storage.k8s.io/v1
kind: VolumeSnapshot
metadata: {name: shop-os-1, namespace: ns, labels: {wukong.io/image: os}}
spec: {source: {persistentVolumeClaimName: shop-os-1}}
---
apiVersion: cdi.kubevirt.io/v1beta1
kind: DataSource
metadata: {name: shop-os, namespace: ns}
---
apiVersion: cdi.kubevirt.io/v1beta1
kind: DataVolume
metadata: {name: shop-a-root, namespace: ns}
spec: {sourceRef: {kind: DataSource, name: shop-os, namespace: ns}, storage: {}}
---
apiVersion: cdi.kubevirt.io/v1beta1
kind: DataVolume
metadata: {name: shop-a-seed, namespace: ns}
spec: {source: {pvc: {name: seed, namespace: golden}}, storage: {storageClassName: fast}}
---
apiVersion: kubevirt.io/v1
kind: VirtualMachine
metadata: {name: shop-a, namespace: ns}
spec:
  instancetype: {name: u1.small}
  preference: {name: mine, kind: virtualmachinepreference}
  template:
    spec:
      accessCredentials: [{sshPublicKey: {source: {secret: {secretName: keys}}}}]
      networks: [{name: a, multus: {networkName: lan}}, {name: b, multus: {networkName: infra/wan}}, {name: c, pod: {}}]
      volumes:
      - {name: root, dataVolume: {name: shop-a-root}}
      - {name: tools, persistentVolumeClaim: {claimName: tools}}
      - {name: own, persistentVolumeClaim: {claimName: shop-a-root}}
      - {name: init, cloudInitNoCloud: {secretRef: {name: shop-a-cloudinit}}}
      - {name: sysprep, sysprep: {configMap: {name: answers}}}
---
apiVersion: v1
kind: Secret
metadata: {name: shop-a-cloudinit, namespace: ns}
---
apiVersion: wukong.io/v1alpha1
kind: CloneJob
metadata: {name: shop-b, namespace: ns}
spec: {source: {virtualMachine: {name: golden}}}
`), "ns")

	want := Needs{
		Namespace: "ns",
		Classes:   map[string]string{"fast": "DataVolume shop-os-1", "": "DataVolume shop-a-root"},
		Images:    []Image{{Name: "os", Class: "fast"}},
		Sources:   map[string]string{"golden": "DataVolume shop-a-seed"},
		References: map[manifest.Key]string{
			{Kind: "Secret", Namespace: "ns", Name: "login"}:                                                     "DataVolume shop-os-1",
			{Kind: "ConfigMap", Namespace: "ns", Name: "ca"}:                                                     "DataVolume shop-os-1",
			{Kind: "PersistentVolumeClaim", Namespace: "golden", Name: "seed"}:                                   "DataVolume shop-a-seed",
			{Group: "instancetype.kubevirt.io", Kind: "VirtualMachineClusterInstancetype", Name: "u1.small"}:     "VirtualMachine shop-a",
			{Group: "instancetype.kubevirt.io", Kind: "VirtualMachinePreference", Namespace: "ns", Name: "mine"}: "VirtualMachine shop-a",
			{Group: "k8s.cni.cncf.io", Kind: "NetworkAttachmentDefinition", Namespace: "ns", Name: "lan"}:        "VirtualMachine shop-a",
			{Group: "k8s.cni.cncf.io", Kind: "NetworkAttachmentDefinition", Namespace: "infra", Name: "wan"}:     "VirtualMachine shop-a",
			{Kind: "Secret", Namespace: "ns", Name: "keys"}:                                                      "VirtualMachine shop-a",
			{Kind: "PersistentVolumeClaim", Namespace: "ns", Name: "tools"}:                                      "VirtualMachine shop-a",
			{Kind: "ConfigMap", Namespace: "ns", Name: "answers"}:                                                "VirtualMachine shop-a",
			{Group: "kubevirt.io", Kind: "VirtualMachine", Namespace: "ns", Name: "golden"}:                      "CloneJob shop-b",
		},
	}
	needs.Kinds = nil
	if diff := cmp.Diff(want, needs); diff != "" {
		t.Errorf("needs differ (-want +got):\n%s", diff)
	}
}

func TestDecide(t *testing.T) {
	kind := func(group, name string) schema.GroupVersionKind {
		return schema.GroupVersionKind{Group: group, Version: "v1", Kind: name}
	}
	fast, late := Class{Provisioner: "csi.a", Default: true}, Class{Provisioner: "csi.b"}
	key := manifest.Key{Kind: "Secret", Namespace: "ns", Name: "keys"}
	cases := map[string]struct {
		needs Needs
		facts Facts
		fatal bool
		says  []string // of the one finding; none if empty
	}{
		"all is there": {
			needs: Needs{Classes: map[string]string{"": "DataVolume d", "late": "DataVolume d"}, Images: []Image{{Name: "os"}}},
			facts: Facts{Classes: map[string]Class{"fast": fast, "late": late}, SnapshotClasses: map[string]SnapshotClass{"snap": {"csi.a", true}}},
		},
		"a kind is missing": {
			facts: Facts{MissingKinds: []schema.GroupVersionKind{kind("cdi.kubevirt.io", "DataVolume"), kind("cdi.kubevirt.io", "DataSource")}},
			fatal: true, says: []string{"DataVolume, DataSource of cdi.kubevirt.io", "install CDI"},
		},
		"a storage class is missing": {
			needs: Needs{Classes: map[string]string{"gold": "DataVolume d"}},
			facts: Facts{Classes: map[string]Class{"fast": fast, "late": late}},
			fatal: true, says: []string{"DataVolume d", `"gold"`, "fast, late"},
		},
		"there is no default class": {
			needs: Needs{Classes: map[string]string{"": "DataVolume d"}},
			facts: Facts{Classes: map[string]Class{"late": late}},
			fatal: true, says: []string{"DataVolume d", "no default", "storageClassName", "late"},
		},
		"storage classes could not be read": {
			needs: Needs{Classes: map[string]string{"gold": "DataVolume d"}},
			facts: Facts{Unknown: []string{"storage classes could not be checked"}},
			says:  []string{"could not be checked"},
		},
		"an image on storage that cannot snapshot": {
			needs: Needs{Images: []Image{{Name: "os", Class: "late"}}},
			facts: Facts{Classes: map[string]Class{"fast": fast, "late": late}, SnapshotClasses: map[string]SnapshotClass{"snap": {"csi.a", true}}},
			fatal: true, says: []string{`image "os"`, `"late"`, `"csi.b"`, "images.os.cloneFrom to PersistentVolumeClaim", "one that can: fast"},
		},
		"an image whose snapshot class is not the default": {
			needs: Needs{Images: []Image{{Name: "os"}}},
			facts: Facts{Classes: map[string]Class{"fast": fast}, SnapshotClasses: map[string]SnapshotClass{"snap": {"csi.a", false}}},
			fatal: true, says: []string{`image "os"`, "no default VolumeSnapshotClass", "kubectl annotate volumesnapshotclass snap snapshot.storage.kubernetes.io/is-default-class=true"},
		},
		"an image whose driver has two defaults": {
			needs: Needs{Images: []Image{{Name: "os"}}},
			facts: Facts{Classes: map[string]Class{"fast": fast}, SnapshotClasses: map[string]SnapshotClass{"a": {"csi.a", true}, "b": {"csi.a", true}}},
			fatal: true, says: []string{`image "os"`, "several default", "a, b"},
		},
		"an image that names its snapshot class": {
			needs: Needs{Images: []Image{{Name: "os", SnapshotClass: "snap"}}},
			facts: Facts{Classes: map[string]Class{"fast": fast}, SnapshotClasses: map[string]SnapshotClass{"snap": {"csi.a", false}}},
		},
		"an image that names a snapshot class that is not there": {
			needs: Needs{Images: []Image{{Name: "os", SnapshotClass: "none"}}},
			facts: Facts{Classes: map[string]Class{"fast": fast}, SnapshotClasses: map[string]SnapshotClass{"snap": {"csi.a", true}}},
			fatal: true, says: []string{`image "os"`, `"none"`, "there are snap"},
		},
		"a namespace that is cloned from is missing": {
			needs: Needs{Sources: map[string]string{"golden": "DataVolume d"}},
			facts: Facts{MissingSources: []string{"golden"}},
			fatal: true, says: []string{"DataVolume d", `namespace "golden"`},
		},
		"a reference that is not there yet": {
			needs: Needs{References: map[manifest.Key]string{key: "VirtualMachine a"}},
			facts: Facts{Missing: []manifest.Key{key}},
			says:  []string{`Secret "keys" in namespace "ns" does not exist yet`, "VirtualMachine a needs it"},
		},
		"a feature gate is off": {
			needs: Needs{Kinds: []schema.GroupVersionKind{kind("wukong.io", "CloneJob"), kind("snapshot.kubevirt.io", "VirtualMachineSnapshot")}},
			facts: Facts{Gates: map[string]bool{}},
			says:  []string{"feature gate Snapshot is off", "CloneJob needs it"},
		},
		"a feature gate is on": {
			needs: Needs{Kinds: []schema.GroupVersionKind{kind("wukong.io", "CloneJob")}},
			facts: Facts{Gates: map[string]bool{"Snapshot": true}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			check(t, Decide(tc.needs, tc.facts), tc.fatal, tc.says)
		})
	}
}

// check wants one finding with all the words, or none.
func check(t *testing.T, findings []Finding, fatal bool, says []string) {
	t.Helper()
	if len(says) == 0 {
		if len(findings) != 0 {
			t.Errorf("found %v, want nothing", findings)
		}
		return
	}
	if len(findings) != 1 {
		t.Fatalf("found %v, want one finding", findings)
	}
	if findings[0].Fatal != fatal {
		t.Errorf("found fatal %t, want %t", findings[0].Fatal, fatal)
	}
	for _, text := range says {
		if !strings.Contains(findings[0].Message, text) {
			t.Errorf("does not say %q: %s", text, findings[0].Message)
		}
	}
}

func TestManyMissingReferencesAreSummedUp(t *testing.T) {
	var facts Facts
	for i := range 12 {
		facts.Missing = append(facts.Missing, manifest.Key{Kind: "PersistentVolumeClaim", Namespace: "ns", Name: fmt.Sprintf("data-%d", i)})
	}
	findings := Decide(Needs{References: map[manifest.Key]string{}}, facts)
	if len(findings) != shownMissing+1 || !strings.Contains(findings[shownMissing].Message, "7 more") {
		t.Errorf("want %d findings and a sum of 7 more, found %v", shownMissing, findings)
	}
}

func TestImmutable(t *testing.T) {
	disk := func(size, rest string) string {
		return "{apiVersion: cdi/v1, kind: DataVolume, metadata: {name: a-root" + rest + "}, spec: {source: {http: {url: x}}, storage: {resources: {requests: {storage: " + size + "}}}}}\n"
	}
	const owned = ", ownerReferences: [{kind: VirtualMachine, name: a}]"
	const template = "{apiVersion: kubevirt.io/v1, kind: VirtualMachine, metadata: {name: a}, spec: {dataVolumeTemplates: [{metadata: {name: a-root}}]}}\n"
	cases := map[string]struct {
		wanted, live string
		says         []string
	}{
		"a new disk":            {wanted: disk("1Gi", "")},
		"the same disk":         {wanted: disk("1Gi", ""), live: disk("1024Mi", "")},
		"a smaller disk":        {wanted: disk("1Gi", ""), live: disk("2Gi", ""), says: []string{`"a-root" cannot shrink from 2Gi to 1Gi`}},
		"a larger disk":         {wanted: disk("3Gi", ""), live: disk("2Gi", ""), says: []string{`"a-root" cannot grow from 2Gi to 3Gi`, "kubectl patch pvc a-root", `"storage":"3Gi"`}},
		"another source":        {wanted: strings.Replace(disk("1Gi", ""), "url: x", "url: z", 1), live: disk("1Gi", ""), says: []string{`source.http.url from "x" to "z"`}},
		"a machine's own stays": {wanted: template, live: disk("1Gi", owned)},
		"kept disks become the machine's own": {
			wanted: template, live: disk("1Gi", ""), says: []string{`"a-root"`, "retentionPolicy Retain", "to Delete"},
		},
		"the machine's own disks become kept ones": {
			wanted: disk("1Gi", ""), live: disk("1Gi", owned), says: []string{`"a-root"`, "retentionPolicy Delete", "to Retain"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			live := map[string]*unstructured.Unstructured{}
			for _, object := range parse(t, tc.live) {
				live[object.GetName()] = object
			}
			check(t, Immutable(parse(t, tc.wanted), live), true, tc.says)
		})
	}
}

// machines makes pools of machines.
func machines(pools map[string]int) []*unstructured.Unstructured {
	var list []*unstructured.Unstructured
	for pool, count := range pools {
		for i := range count {
			list = append(list, &unstructured.Unstructured{Object: map[string]any{
				"kind":     "VirtualMachine",
				"metadata": map[string]any{"name": fmt.Sprintf("%s-%d", pool, i), "labels": map[string]any{"wukong.io/pool": pool}},
			}})
		}
	}
	return list
}

func TestSampleShowsAllOfASmallFleetAndOneOfEachPoolOfALargeOne(t *testing.T) {
	if got := len(sample(machines(map[string]int{"a": 3, "b": 4}))); got != 7 {
		t.Errorf("small fleet: found %d, want all 7", got)
	}
	if got := len(sample(machines(map[string]int{"a": 300, "b": 400}))); got != 2 {
		t.Errorf("large fleet: found %d, want one of each pool", got)
	}
}

func TestJudge(t *testing.T) {
	resource := schema.GroupResource{Group: "kubevirt.io", Resource: "virtualmachines"}
	source := parse(t, "{apiVersion: cdi/v1, kind: DataSource, metadata: {name: shop-os}}")
	pool := machines(map[string]int{"a": 2})
	cases := map[string]struct {
		refusals []error
		says     []string
	}{
		"admitted":                      {refusals: []error{nil, nil}},
		"there already":                 {refusals: []error{apierrors.NewAlreadyExists(resource, "a-0"), nil}},
		"refused, alike for all":        {refusals: []error{errors.New("a-0: too little memory"), errors.New("a-1: too little memory")}, says: []string{`"a-0"`, "too little memory"}},
		"misses what the fleet makes":   {refusals: []error{errors.New(`datasources "shop-os" not found`), nil}},
		"misses what nobody makes":      {refusals: []error{errors.New(`instancetype "u1.none" not found`), nil}, says: []string{"u1.none"}},
		"may not be made by the person": {refusals: []error{apierrors.NewForbidden(resource, "a-0", errors.New("no")), nil}, says: []string{"forbidden"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) { check(t, judge(pool, tc.refusals, source), true, tc.says) })
	}
}

func TestEnabledGates(t *testing.T) {
	cases := map[string]struct {
		version         string
		listed, deleted []any
		want            map[string]bool
	}{
		"1.8 has what is listed":       {version: "v1.8.0", listed: []any{"Snapshot"}, want: map[string]bool{"Snapshot": true}},
		"1.9 has both":                 {version: "v1.9.0", want: map[string]bool{"Snapshot": true, "VMExport": true}},
		"1.9 with one turned off":      {version: "v1.9.1", deleted: []any{"Snapshot"}, want: map[string]bool{"Snapshot": false, "VMExport": true}},
		"1.9, listed beats turned off": {version: "v1.9.1", listed: []any{"Snapshot"}, deleted: []any{"Snapshot"}, want: map[string]bool{"Snapshot": true, "VMExport": true}},
		"a version nobody can read":    {version: "devel", want: map[string]bool{}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := enabledGates(map[string]any{
				"status": map[string]any{"observedKubeVirtVersion": tc.version},
				"spec": map[string]any{"configuration": map[string]any{"developerConfiguration": map[string]any{
					"featureGates": tc.listed, "disabledFeatureGates": tc.deleted,
				}}},
			})
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("gates differ (-want +got):\n%s", diff)
			}
		})
	}
}
