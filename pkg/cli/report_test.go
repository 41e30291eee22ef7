package cli

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wukong.io/wukong/pkg/cli/manifest"
	"wukong.io/wukong/pkg/cli/wait"
)

const reportObjects = `
apiVersion: kubevirt.io/v1
kind: VirtualMachine
metadata: {name: shop-web-10, namespace: ns, creationTimestamp: "2026-01-01T00:00:00Z", labels: {wukong.io/fleet: shop, wukong.io/pool: web}}
spec: {runStrategy: Always}
status: {printableStatus: ErrorUnschedulable, conditions: [{type: PodScheduled, status: "False", message: no node has room}]}
---
apiVersion: kubevirt.io/v1
kind: VirtualMachine
metadata: {name: shop-web-9, namespace: ns, creationTimestamp: "2026-01-01T00:01:00Z", labels: {wukong.io/fleet: shop, wukong.io/pool: web}}
spec: {runStrategy: Always}
status: {printableStatus: Running}
---
apiVersion: kubevirt.io/v1
kind: VirtualMachineInstance
metadata: {name: shop-web-9, namespace: ns, labels: {wukong.io/fleet: shop, wukong.io/pool: web}}
status: {nodeName: node-1, interfaces: [{ipAddress: 10.0.0.9}, {name: none}, {ipAddress: "fd00::9"}]}
---
apiVersion: kubevirt.io/v1
kind: VirtualMachine
metadata: {name: shop-store-0, namespace: ns, labels: {wukong.io/fleet: shop, wukong.io/pool: store}}
spec: {runStrategy: Halted}
status: {printableStatus: Stopped}
---
apiVersion: cdi.kubevirt.io/v1beta1
kind: DataVolume
metadata: {name: shop-os-1, namespace: ns, labels: {wukong.io/fleet: shop, wukong.io/image: os}}
status: {phase: Succeeded, progress: 100.0%}
---
apiVersion: snapshot.storage.k8s.io/v1
kind: VolumeSnapshot
metadata: {name: shop-os-1, namespace: ns, labels: {wukong.io/fleet: shop, wukong.io/image: os}}
status: {readyToUse: false}
---
apiVersion: cdi.kubevirt.io/v1beta1
kind: DataVolume
metadata: {name: shop-web-9-root, namespace: ns, labels: {wukong.io/fleet: shop, wukong.io/vm: shop-web-9}}
status: {phase: Succeeded}
---
apiVersion: cdi.kubevirt.io/v1beta1
kind: DataVolume
metadata: {name: shop-web-11-root, namespace: ns, labels: {wukong.io/fleet: shop, wukong.io/vm: shop-web-11}}
status: {phase: Succeeded}
`

func TestFleetReport(t *testing.T) {
	objects, err := manifest.Parse([]byte(reportObjects))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 1, 1, 2, 0, 0, 0, time.UTC)
	var text strings.Builder
	report := newFleetReport("shop", "ns", now, objects)
	if err := report.WriteWide(&text); err != nil {
		t.Fatal(err)
	}
	golden := `FLEET   MACHINES   READY   FAILURES   IMAGES   KEPT DISKS   AGE
shop    3          2       1          0/1      1            120m

FAILING          NAME          REASON               MESSAGE
VirtualMachine   shop-web-10   ErrorUnschedulable   no node has room

POOL    MACHINES   READY   STATES
store   1          1       1 Stopped
web     2          1       1 ErrorUnschedulable, 1 Running

IMAGE   READY   STATE          PROGRESS
os      false   Snapshotting   -

MACHINE        STATUS               READY   NODE     ADDRESS            AGE    NOTE
shop-store-0   Stopped              true    -        -                  -
shop-web-9     Running              true    node-1   10.0.0.9,fd00::9   119m
shop-web-10    ErrorUnschedulable   false   -        -                  120m

KEPT DISK
shop-web-11-root
`
	if diff := cmp.Diff(golden, text.String()); diff != "" {
		t.Errorf("report differs (-want +got):\n%s", diff)
	}
	want := []string{"virtualmachine.kubevirt.io/shop-store-0", "virtualmachine.kubevirt.io/shop-web-9", "virtualmachine.kubevirt.io/shop-web-10"}
	if diff := cmp.Diff(want, report.Names()); diff != "" {
		t.Errorf("names differ (-want +got):\n%s", diff)
	}
}

func TestCompareNumbered(t *testing.T) {
	want := []string{"a", "a-1", "a-2", "a-10", "a-10-root", "a-100", "b-3", "b-20"}
	got := slices.Clone(want)
	slices.Sort(got)
	slices.SortFunc(got, compareNumbered)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("order differs (-want +got):\n%s", diff)
	}
}

func TestNearest(t *testing.T) {
	words := []string{"classroom", "windows", "pvc"}
	for word, want := range map[string]string{"clasroom": "classroom", "window": "windows", "pcv": "", "pv": "pvc", "zebra": "", "": ""} {
		if got := nearest(word, words); got != want {
			t.Errorf("%q: found %q, want %q", word, got, want)
		}
	}
}

func TestTasks(t *testing.T) {
	item := func(kind, name, image string, verdict wait.Verdict) wait.Item {
		return wait.Item{Key: manifest.Key{Kind: kind, Name: name}, Image: image, Verdict: verdict}
	}
	got := tasks(wait.Summary{Items: []wait.Item{
		item("DataVolume", "os-1", "os", wait.Verdict{State: wait.Pending, Reason: "ImportInProgress", Progress: "43.21%"}),
		item("VolumeSnapshot", "os-1", "os", wait.Verdict{State: wait.Pending}),
		item("DataVolume", "done-1", "done", wait.Verdict{State: wait.Ready}),
		item("DataVolume", "a-root", "", wait.Verdict{State: wait.Ready}),
		item("DataVolume", "b-root", "", wait.Verdict{State: wait.Pending}),
		item("VirtualMachine", "a", "", wait.Verdict{State: wait.Ready}),
		item("VirtualMachine", "b", "", wait.Verdict{State: wait.Failing}),
		item("Wukong", "large", "", wait.Verdict{State: wait.Pending, Reason: "MachinesNotReady", Progress: "10%"}),
	}})
	var lines []string
	for _, task := range got {
		lines = append(lines, task.String())
	}
	want := []string{"image os 43% (ImportInProgress)", "disks 1/2", "machines 1/2 (1 failing)", "fleet large 10% (MachinesNotReady)"}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("tasks differ (-want +got):\n%s", diff)
	}
}
