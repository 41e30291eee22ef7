package wait_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"wukong.io/wukong/pkg/cli/wait"
)

// thing makes an object of a kind from its spec and status.
func thing(kind string, spec, status map[string]any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "x/v1", "kind": kind, "metadata": map[string]any{"name": "it", "namespace": "ns", "generation": int64(2)},
		"spec": spec, "status": status,
	}}
}

// condition makes a list of one condition.
func condition(kind, status, reason, message string) []any {
	return []any{map[string]any{"type": kind, "status": status, "reason": reason, "message": message}}
}

func TestMachineReadinessByRunStrategyAndStatus(t *testing.T) {
	const (
		pending = wait.Pending
		ready   = wait.Ready
		failing = wait.Failing
	)
	strategies := []string{"Always", "Halted", "Manual", "Once", "RerunOnFailure"}
	// A row is a printable status, its columns are the strategies.
	table := map[string][5]wait.State{
		"":                        {pending, pending, pending, pending, pending},
		"Stopped":                 {pending, ready, ready, pending, pending},
		"Provisioning":            {pending, pending, pending, pending, pending},
		"Starting":                {pending, pending, pending, pending, pending},
		"Running":                 {ready, pending, ready, ready, ready},
		"Paused":                  {ready, pending, ready, ready, ready},
		"Migrating":               {ready, pending, ready, ready, ready},
		"Stopping":                {pending, pending, pending, pending, pending},
		"Terminating":             {pending, pending, pending, pending, pending},
		"WaitingForVolumeBinding": {pending, ready, pending, pending, pending},
		"CrashLoopBackOff":        {failing, failing, failing, failing, failing},
		"ErrorUnschedulable":      {failing, failing, failing, failing, failing},
		"ErrImagePull":            {failing, failing, failing, failing, failing},
		"ImagePullBackOff":        {failing, failing, failing, failing, failing},
		"ErrorPvcNotFound":        {failing, failing, failing, failing, failing},
		"DataVolumeError":         {failing, failing, failing, failing, failing},
		"Unknown":                 {pending, pending, pending, pending, pending},
	}
	for status, row := range table {
		for i, strategy := range strategies {
			t.Run(strategy+" and "+status, func(t *testing.T) {
				vm := thing("VirtualMachine", map[string]any{"runStrategy": strategy}, map[string]any{"printableStatus": status})
				if got := wait.Assess(vm, false).State; got != row[i] {
					t.Errorf("found %s, want %s", got, row[i])
				}
			})
		}
	}
}

func TestMachineVerdicts(t *testing.T) {
	always := map[string]any{"runStrategy": "Always"}
	cases := map[string]struct {
		spec, status map[string]any
		want         wait.Verdict
	}{
		"a restart that is required is a warning": {
			spec:   always,
			status: map[string]any{"printableStatus": "Running", "conditions": condition("RestartRequired", "True", "", "cpu changed")},
			want:   wait.Verdict{State: wait.Ready, Reason: "Running", Warning: "a restart is required before the change takes effect: cpu changed"},
		},
		"a machine that is paused is ready and says so": {
			spec:   always,
			status: map[string]any{"printableStatus": "Paused"},
			want:   wait.Verdict{State: wait.Ready, Reason: "Paused", Warning: "the machine is paused"},
		},
		"KubeVirt has not seen the change": {
			spec:   always,
			status: map[string]any{"printableStatus": "Running", "desiredGeneration": int64(1)},
			want:   wait.Verdict{State: wait.Pending, Reason: "Running", Message: "KubeVirt has not seen the latest change yet"},
		},
		"KubeVirt has seen the change": {
			spec:   always,
			status: map[string]any{"printableStatus": "Running", "desiredGeneration": int64(2)},
			want:   wait.Verdict{State: wait.Ready, Reason: "Running"},
		},
		"a readiness probe that fails": {
			spec:   map[string]any{"runStrategy": "Always", "template": map[string]any{"spec": map[string]any{"readinessProbe": map[string]any{}}}},
			status: map[string]any{"printableStatus": "Running", "conditions": condition("Ready", "False", "GuestNotReady", "refused")},
			want:   wait.Verdict{State: wait.Pending, Reason: "Running", Message: "the readiness probe has not succeeded: refused"},
		},
		"a readiness probe that succeeds": {
			spec:   map[string]any{"runStrategy": "Always", "template": map[string]any{"spec": map[string]any{"readinessProbe": map[string]any{}}}},
			status: map[string]any{"printableStatus": "Running", "conditions": condition("Ready", "True", "", "")},
			want:   wait.Verdict{State: wait.Ready, Reason: "Running"},
		},
		"without a probe Ready does not matter": {
			spec:   always,
			status: map[string]any{"printableStatus": "Running", "conditions": condition("Ready", "False", "GuestNotReady", "")},
			want:   wait.Verdict{State: wait.Ready, Reason: "Running"},
		},
		"the old field running": {
			spec:   map[string]any{"running": true},
			status: map[string]any{"printableStatus": "Stopped"},
			want:   wait.Verdict{State: wait.Pending, Reason: "Stopped", Message: "waiting to be started"},
		},
		"a machine of Once that has ended": {
			spec:   map[string]any{"runStrategy": "Once"},
			status: map[string]any{"printableStatus": "Stopped", "created": true},
			want:   wait.Verdict{State: wait.Ready, Reason: "Stopped"},
		},
		"a machine of RerunOnFailure that has ended": {
			spec:   map[string]any{"runStrategy": "RerunOnFailure"},
			status: map[string]any{"printableStatus": "Stopped", "runStrategy": "RerunOnFailure"},
			want:   wait.Verdict{State: wait.Ready, Reason: "Stopped"},
		},
		"no node will have it": {
			spec:   always,
			status: map[string]any{"printableStatus": "ErrorUnschedulable", "conditions": condition("PodScheduled", "False", "Unschedulable", "0/3 nodes are available")},
			want:   wait.Verdict{State: wait.Failing, Reason: "ErrorUnschedulable", Message: "0/3 nodes are available"},
		},
		"KubeVirt could not make it": {
			spec:   always,
			status: map[string]any{"printableStatus": "Stopped", "conditions": condition("Failure", "True", "FailedCreate", "exceeded quota")},
			want:   wait.Verdict{State: wait.Failing, Reason: "FailedCreate", Message: "exceeded quota"},
		},
		"it crashes again and again": {
			spec:   always,
			status: map[string]any{"printableStatus": "CrashLoopBackOff", "startFailure": map[string]any{"consecutiveFailCount": int64(4)}},
			want:   wait.Verdict{State: wait.Failing, Reason: "CrashLoopBackOff", Message: "failed to start 4 times in a row"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, wait.Assess(thing("VirtualMachine", tc.spec, tc.status), false)); diff != "" {
				t.Errorf("verdict differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestVolumeReadinessByPhase(t *testing.T) {
	// The columns are: a machine is to run with the disk; none is for now.
	table := map[string][2]wait.State{
		"":                                  {wait.Pending, wait.Pending},
		"Pending":                           {wait.Pending, wait.Pending},
		"PVCBound":                          {wait.Pending, wait.Pending},
		"ImportScheduled":                   {wait.Pending, wait.Pending},
		"ImportInProgress":                  {wait.Pending, wait.Pending},
		"CloneScheduled":                    {wait.Pending, wait.Pending},
		"CloneInProgress":                   {wait.Pending, wait.Pending},
		"CloneFromSnapshotSourceInProgress": {wait.Pending, wait.Pending},
		"UploadScheduled":                   {wait.Pending, wait.Pending},
		"UploadReady":                       {wait.Held, wait.Held},
		"WaitForFirstConsumer":              {wait.Pending, wait.Ready},
		"PendingPopulation":                 {wait.Pending, wait.Ready},
		"Succeeded":                         {wait.Ready, wait.Ready},
		"Failed":                            {wait.Failed, wait.Failed},
		"Unknown":                           {wait.Pending, wait.Pending},
	}
	for phase, row := range table {
		for i, idle := range []bool{false, true} {
			got := wait.Assess(thing("DataVolume", nil, map[string]any{"phase": phase}), idle)
			if got.State != row[i] {
				t.Errorf("phase %q, idle %t: found %s, want %s", phase, idle, got.State, row[i])
			}
		}
	}
}

func TestOtherVerdicts(t *testing.T) {
	cases := map[string]struct {
		kind         string
		spec, status map[string]any
		want         wait.Verdict
	}{
		"an import tells its progress": {
			kind:   "DataVolume",
			status: map[string]any{"phase": "ImportInProgress", "progress": "43.21%"},
			want:   wait.Verdict{State: wait.Pending, Reason: "ImportInProgress", Progress: "43.21%"},
		},
		"an import that cannot tell": {
			kind:   "DataVolume",
			status: map[string]any{"phase": "ImportInProgress", "progress": "N/A"},
			want:   wait.Verdict{State: wait.Pending, Reason: "ImportInProgress"},
		},
		"an importer that fails and is restarted": {
			kind: "DataVolume",
			status: map[string]any{
				"phase": "ImportInProgress", "restartCount": int64(3),
				"conditions": condition("Running", "False", "Error", "404 Not Found"),
			},
			want: wait.Verdict{State: wait.Failing, Reason: "Error", Message: "404 Not Found (restarted 3 times)"},
		},
		"an import that failed for good": {
			kind:   "DataVolume",
			status: map[string]any{"phase": "Failed", "conditions": condition("Running", "False", "Error", "checksum mismatch")},
			want:   wait.Verdict{State: wait.Failed, Reason: "DataVolumeFailed", Message: "checksum mismatch"},
		},
		"a snapshot on its way": {
			kind: "VolumeSnapshot",
			want: wait.Verdict{State: wait.Pending, Reason: "Snapshotting"},
		},
		"a snapshot that is there": {
			kind:   "VolumeSnapshot",
			status: map[string]any{"readyToUse": true},
			want:   wait.Verdict{State: wait.Ready, Reason: "ReadyToUse"},
		},
		"a snapshot that fails": {
			kind:   "VolumeSnapshot",
			status: map[string]any{"readyToUse": false, "error": map[string]any{"message": "no space"}},
			want:   wait.Verdict{State: wait.Failing, Reason: "SnapshotError", Message: "no space"},
		},
		"a machine's snapshot past its deadline": {
			kind:   "VirtualMachineSnapshot",
			status: map[string]any{"phase": "Failed", "error": map[string]any{"message": "deadline exceeded"}},
			want:   wait.Verdict{State: wait.Failed, Reason: "SnapshotFailed", Message: "deadline exceeded"},
		},
		"a schedule that has imported": {
			kind:   "DataImportCron",
			status: map[string]any{"conditions": condition("UpToDate", "True", "UpToDate", "")},
			want:   wait.Verdict{State: wait.Ready, Reason: "UpToDate"},
		},
		"a schedule that imports": {
			kind:   "DataImportCron",
			status: map[string]any{"conditions": condition("UpToDate", "False", "ImportProgressing", "Import is progressing")},
			want:   wait.Verdict{State: wait.Pending, Reason: "ImportProgressing", Message: "Import is progressing"},
		},
		"a clone nobody has begun": {
			kind: "CloneJob",
			want: wait.Verdict{State: wait.Pending, Reason: "NotStarted", Message: "the Wukong controller has not begun"},
		},
		"a clone half done": {
			kind:   "CloneJob",
			status: map[string]any{"phase": "Restoring", "progress": map[string]any{"percent": int64(50)}},
			want:   wait.Verdict{State: wait.Pending, Reason: "Restoring", Progress: "50%"},
		},
		"a clone that failed": {
			kind:   "CloneJob",
			status: map[string]any{"phase": "Failed", "conditions": condition("Ready", "False", "SourceNotFound", "no such machine")},
			want:   wait.Verdict{State: wait.Failed, Reason: "SourceNotFound", Message: "no such machine"},
		},
		"a Wukong object of an older generation": {
			kind:   "Wukong",
			status: map[string]any{"observedGeneration": int64(1), "conditions": condition("Ready", "True", "AllReady", "")},
			want:   wait.Verdict{State: wait.Pending, Reason: "NotStarted", Message: "the Wukong controller has not seen the latest change yet"},
		},
		"a Wukong object that is ready": {
			kind:   "Wukong",
			status: map[string]any{"observedGeneration": int64(2), "conditions": condition("Ready", "True", "AllReady", "")},
			want:   wait.Verdict{State: wait.Ready, Reason: "AllReady"},
		},
		"a Wukong object that has stalled": {
			kind:   "Wukong",
			status: map[string]any{"observedGeneration": int64(2), "conditions": condition("Stalled", "True", "NameConflict", "x")},
			want:   wait.Verdict{State: wait.Failing, Reason: "NameConflict", Message: "x"},
		},
		"a Wukong object half way": {
			kind: "Wukong",
			status: map[string]any{
				"observedGeneration": int64(2), "replicas": int64(4), "readyReplicas": int64(1),
				"conditions": condition("Ready", "False", "MachinesNotReady", "1 of 4"),
			},
			want: wait.Verdict{State: wait.Pending, Reason: "MachinesNotReady", Message: "1 of 4", Progress: "25%"},
		},
		"what has no readiness is ready": {
			kind: "Service",
			want: wait.Verdict{State: wait.Ready, Reason: "Exists"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, wait.Assess(thing(tc.kind, tc.spec, tc.status), false)); diff != "" {
				t.Errorf("verdict differs (-want +got):\n%s", diff)
			}
		})
	}
}
