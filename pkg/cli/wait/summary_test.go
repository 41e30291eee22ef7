package wait

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	clocktesting "k8s.io/utils/clock/testing"

	"wukong.io/wukong/pkg/cli/manifest"
)

// fleetText is a fleet of one image and two machines, as it is rendered.
const fleetText = `
apiVersion: cdi.kubevirt.io/v1beta1
kind: DataVolume
metadata: {name: shop-os-1, namespace: ns, labels: {wukong.io/image: os}}
---
apiVersion: snapshot.storage.k8s.io/v1
kind: VolumeSnapshot
metadata: {name: shop-os-1, namespace: ns, labels: {wukong.io/image: os}}
spec: {source: {persistentVolumeClaimName: shop-os-1}}
---
apiVersion: cdi.kubevirt.io/v1beta1
kind: DataSource
metadata: {name: shop-os, namespace: ns}
spec: {source: {snapshot: {name: shop-os-1, namespace: ns}}}
---
apiVersion: cdi.kubevirt.io/v1beta1
kind: DataVolume
metadata: {name: shop-a-root, namespace: ns}
spec: {sourceRef: {kind: DataSource, name: shop-os}}
---
apiVersion: kubevirt.io/v1
kind: VirtualMachine
metadata: {name: shop-a, namespace: ns}
spec: {template: {spec: {volumes: [{name: root, dataVolume: {name: shop-a-root}}]}}}
---
apiVersion: kubevirt.io/v1
kind: VirtualMachine
metadata: {name: shop-b, namespace: ns}
spec:
  dataVolumeTemplates: [{metadata: {name: shop-b-root}, spec: {sourceRef: {kind: DataSource, name: shop-os, namespace: ns}}}]
  template: {spec: {volumes: [{name: root, dataVolume: {name: shop-b-root}}]}}
`

// live makes the world of the fleet: the state of each object by its kind and
// name.
func live(t *testing.T, states map[string]string) World {
	t.Helper()
	objects, err := manifest.Parse([]byte(fleetText))
	if err != nil {
		t.Fatal(err)
	}
	world := World{}
	for _, object := range objects {
		state, known := states[object.GetKind()+" "+object.GetName()]
		if !known {
			continue
		}
		status := map[string]any{"phase": state, "printableStatus": state}
		if state == "ReadyToUse" {
			status["readyToUse"] = true
		}
		spec := map[string]any{"runStrategy": "Always"}
		if state == "Stopped" {
			spec["runStrategy"] = "Halted"
		}
		world[manifest.KeyOf(object, "")] = &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": object.GetAPIVersion(), "kind": object.GetKind(),
			"metadata": map[string]any{"name": object.GetName(), "namespace": "ns"},
			"spec":     spec, "status": status,
		}}
	}
	return world
}

func TestEvaluate(t *testing.T) {
	cases := map[string]struct {
		states map[string]string
		want   map[string]State
	}{
		"nothing is there yet": {
			states: nil,
			want: map[string]State{
				"DataVolume shop-os-1": Pending, "VolumeSnapshot shop-os-1": Pending, "DataVolume shop-a-root": Pending,
				"VirtualMachine shop-a": Pending, "VirtualMachine shop-b": Pending,
			},
		},
		"everything is well": {
			states: map[string]string{
				"DataVolume shop-os-1": "Succeeded", "VolumeSnapshot shop-os-1": "ReadyToUse", "DataVolume shop-a-root": "Succeeded",
				"VirtualMachine shop-a": "Running", "VirtualMachine shop-b": "Running",
			},
			want: map[string]State{
				"DataVolume shop-os-1": Ready, "VolumeSnapshot shop-os-1": Ready, "DataVolume shop-a-root": Ready,
				"VirtualMachine shop-a": Ready, "VirtualMachine shop-b": Ready,
			},
		},
		"an image that fails blocks all that comes from it": {
			states: map[string]string{
				"DataVolume shop-os-1": "Failed", "VolumeSnapshot shop-os-1": "", "DataVolume shop-a-root": "Pending",
				"VirtualMachine shop-a": "Provisioning", "VirtualMachine shop-b": "Provisioning",
			},
			want: map[string]State{
				"DataVolume shop-os-1": Failed, "VolumeSnapshot shop-os-1": Blocked, "DataVolume shop-a-root": Blocked,
				"VirtualMachine shop-a": Blocked, "VirtualMachine shop-b": Blocked,
			},
		},
		"what fails because of an image is blocked by it": {
			states: map[string]string{
				"DataVolume shop-os-1": "Failed", "VolumeSnapshot shop-os-1": "", "DataVolume shop-a-root": "Pending",
				"VirtualMachine shop-a": "ErrorUnschedulable", "VirtualMachine shop-b": "DataVolumeError",
			},
			want: map[string]State{
				"DataVolume shop-os-1": Failed, "VolumeSnapshot shop-os-1": Blocked, "DataVolume shop-a-root": Blocked,
				"VirtualMachine shop-a": Blocked, "VirtualMachine shop-b": Blocked,
			},
		},
		"what fails by itself is not": {
			states: map[string]string{
				"DataVolume shop-os-1": "Succeeded", "VolumeSnapshot shop-os-1": "ReadyToUse", "DataVolume shop-a-root": "Succeeded",
				"VirtualMachine shop-a": "ErrorUnschedulable", "VirtualMachine shop-b": "Running",
			},
			want: map[string]State{
				"DataVolume shop-os-1": Ready, "VolumeSnapshot shop-os-1": Ready, "DataVolume shop-a-root": Ready,
				"VirtualMachine shop-a": Failing, "VirtualMachine shop-b": Ready,
			},
		},
		"an image that waits for its upload holds all that comes from it": {
			states: map[string]string{
				"DataVolume shop-os-1": "UploadReady", "VolumeSnapshot shop-os-1": "", "DataVolume shop-a-root": "Pending",
				"VirtualMachine shop-a": "Provisioning", "VirtualMachine shop-b": "Provisioning",
			},
			want: map[string]State{
				"DataVolume shop-os-1": Held, "VolumeSnapshot shop-os-1": Held, "DataVolume shop-a-root": Held,
				"VirtualMachine shop-a": Held, "VirtualMachine shop-b": Held,
			},
		},
		"a disk may wait for a halted machine, and not for one that is to run": {
			states: map[string]string{
				"DataVolume shop-os-1": "Succeeded", "VolumeSnapshot shop-os-1": "ReadyToUse", "DataVolume shop-a-root": "WaitForFirstConsumer",
				"VirtualMachine shop-a": "Stopped", "VirtualMachine shop-b": "Starting",
			},
			want: map[string]State{
				"DataVolume shop-os-1": Ready, "VolumeSnapshot shop-os-1": Ready, "DataVolume shop-a-root": Ready,
				"VirtualMachine shop-a": Ready, "VirtualMachine shop-b": Pending,
			},
		},
		"an image must not wait for a first consumer": {
			states: map[string]string{"DataVolume shop-os-1": "WaitForFirstConsumer"},
			want: map[string]State{
				"DataVolume shop-os-1": Pending, "VolumeSnapshot shop-os-1": Pending, "DataVolume shop-a-root": Pending,
				"VirtualMachine shop-a": Pending, "VirtualMachine shop-b": Pending,
			},
		},
	}
	objects, err := manifest.Parse([]byte(fleetText))
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := map[string]State{}
			for _, item := range Evaluate(NewPlan(objects, "ns"), live(t, tc.states)).Items {
				got[item.Key.Kind+" "+item.Key.Name] = item.Verdict.State
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("states differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMachinesThatLeaveAreWaitedFor(t *testing.T) {
	machine := func(name string, deleted bool) *unstructured.Unstructured {
		vm := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "metadata": map[string]any{"name": name, "namespace": "ns"},
		}}
		if deleted {
			vm.SetDeletionTimestamp(new(metav1.Now()))
		}
		return vm
	}
	world := World{}
	for _, vm := range []*unstructured.Unstructured{machine("goes", true), machine("stays-and-is-not-ours", false)} {
		world[manifest.KeyOf(vm, "")] = vm
	}
	summary := Evaluate(NewPlan(nil, "ns"), world)
	if len(summary.Items) != 1 || summary.Items[0].Key.Name != "goes" || summary.Items[0].Verdict.State != Pending {
		t.Errorf("found %v, want the machine that goes, pending", summary.Items)
	}
}

func TestWhenAWaitEnds(t *testing.T) {
	cases := map[string]struct {
		states      []State
		after       time.Duration
		wantOver    bool
		wantErr     error
		wantEarlier bool // over at the first look already
	}{
		"all ready":                             {states: []State{Ready, Ready}, wantOver: true, wantEarlier: true},
		"nothing to wait for":                   {states: nil, wantOver: true, wantEarlier: true},
		"one pending":                           {states: []State{Ready, Pending}, after: time.Hour},
		"one failed, others on their way":       {states: []State{Failed, Pending}, after: time.Hour},
		"one failed, others blocked":            {states: []State{Failed, Blocked}, wantOver: true, wantEarlier: true, wantErr: ErrNotReady},
		"one failing for a moment":              {states: []State{Failing, Ready}, after: patience - time.Second},
		"one failing for long":                  {states: []State{Failing, Ready}, after: patience, wantOver: true, wantErr: ErrNotReady},
		"one held, which is what was asked for": {states: []State{Held, Ready}, wantOver: true, wantEarlier: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var summary Summary
			for _, state := range tc.states {
				summary.Items = append(summary.Items, Item{Verdict: Verdict{State: state}})
			}
			clock := clocktesting.NewFakePassiveClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
			watch := newStopwatch(clock)
			if over, _ := watch.decide(summary); over != tc.wantEarlier {
				t.Errorf("at the first look: over is %t, want %t", over, tc.wantEarlier)
			}
			clock.SetTime(clock.Now().Add(tc.after))
			over, err := watch.decide(summary)
			if over != tc.wantOver || !errors.Is(err, tc.wantErr) {
				t.Errorf("found over %t and %v, want %t and %v", over, err, tc.wantOver, tc.wantErr)
			}
		})
	}
}

func TestARecoveryStartsPatienceAnew(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	watch := newStopwatch(clock)
	failing := Summary{Items: []Item{{Verdict: Verdict{State: Failing}}}}
	starting := Summary{Items: []Item{{Verdict: Verdict{State: Pending}}}}
	for _, summary := range []Summary{failing, starting, failing} {
		clock.SetTime(clock.Now().Add(patience - time.Second))
		if over, err := watch.decide(summary); over {
			t.Fatalf("over with %v, though it had recovered meanwhile", err)
		}
	}
}

func TestWithPutsImagesFirst(t *testing.T) {
	summary := Summary{Items: []Item{
		{Key: manifest.Key{Kind: "VirtualMachine", Name: "b"}},
		{Key: manifest.Key{Kind: "VirtualMachine", Name: "a"}},
		{Key: manifest.Key{Kind: "VolumeSnapshot", Name: "z"}, Image: "os"},
	}}
	var got []string
	for _, item := range summary.With(Pending) {
		got = append(got, item.Key.Name)
	}
	if diff := cmp.Diff([]string{"z", "a", "b"}, got); diff != "" {
		t.Errorf("order differs (-want +got):\n%s", diff)
	}
}
