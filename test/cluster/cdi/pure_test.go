package cdi

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
)

func TestSizes(t *testing.T) {
	cases := map[string]struct{ image, volume int64 }{
		"CDI makes 1Gi into 1138166334 bytes": {1 << 30, 1138166334},
		"16Mi":                                {16 << 20, 17783849},
		"what is no whole mebibyte is rounded up": {16<<20 - 5, 17783849},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := inflate(tc.image, DefaultOverhead); got != tc.volume {
				t.Errorf("inflate: want %d, got %d", tc.volume, got)
			}
			if got := usable(tc.volume, DefaultOverhead); got < tc.image {
				t.Errorf("a volume of %d holds only %d, want at least %d", tc.volume, got, tc.image)
			}
		})
	}
}

func TestPinned(t *testing.T) {
	const digest = "sha256:0123456789abcdef"
	cases := map[string]string{
		"docker://registry:5000/disks/fedora:42":         "docker://registry:5000/disks/fedora@" + digest,
		"docker://registry:5000/disks/fedora":            "docker://registry:5000/disks/fedora@" + digest,
		"docker://registry/disks/fedora@sha256:deadbeef": "docker://registry/disks/fedora@" + digest,
	}
	for url, want := range cases {
		t.Run(url, func(t *testing.T) {
			if got := pinned(url, digest); got != want {
				t.Errorf("want %q, got %q", want, got)
			}
		})
	}
	if name, err := importName("fedora", digest); err != nil || name != "fedora-0123456789ab" {
		t.Errorf("want fedora-0123456789ab, got %q, %v", name, err)
	}
}

// aClaim is a claim of a DataVolume that is filled by a populator.
func aClaim(kind string, phase corev1.PersistentVolumeClaimPhase, annotations map[string]string) *corev1.PersistentVolumeClaim {
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "disk", Annotations: annotations}}
	claim.Status.Phase = phase
	if kind != "" {
		claim.Spec.DataSourceRef = &corev1.TypedObjectReference{APIGroup: new(group), Kind: kind, Name: "x"}
	}
	return claim
}

func TestPhaseOf(t *testing.T) {
	const pending, bound = corev1.ClaimPending, corev1.ClaimBound
	cases := map[string]struct {
		claim  *corev1.PersistentVolumeClaim
		before cdiv1.DataVolumePhase
		late   bool
		want   cdiv1.DataVolumePhase
	}{
		"no claim yet": {want: cdiv1.Pending},
		"a populated claim that waits for its consumer": {
			claim: aClaim(cdiv1.VolumeImportSourceRef, pending, nil), late: true, want: cdiv1.PendingPopulation,
		},
		"a claim of the older way that waits for its consumer": {
			claim: aClaim("", pending, nil), late: true, want: cdiv1.WaitForFirstConsumer,
		},
		"an importer that is scheduled": {
			claim: aClaim(cdiv1.VolumeImportSourceRef, pending, map[string]string{annPodPhase: "Pending"}), want: cdiv1.ImportScheduled,
		},
		"an importer that runs": {
			claim: aClaim(cdiv1.VolumeImportSourceRef, pending, map[string]string{annPodPhase: "Running"}), want: cdiv1.ImportInProgress,
		},
		"an importer that failed and is tried again": {
			claim:  aClaim(cdiv1.VolumeImportSourceRef, pending, map[string]string{annPodPhase: "Failed"}),
			before: cdiv1.ImportInProgress, want: cdiv1.ImportInProgress,
		},
		"an importer that failed for good": {
			claim: aClaim(cdiv1.VolumeImportSourceRef, pending, map[string]string{annPodPhase: "Failed", annFatalError: "true"}), want: cdiv1.Failed,
		},
		"an upload server that waits": {
			claim: aClaim(cdiv1.VolumeUploadSourceRef, pending, map[string]string{annPodPhase: "Running"}), want: cdiv1.UploadReady,
		},
		"a clone by snapshot": {
			claim: aClaim(cdiv1.VolumeCloneSourceRef, pending, map[string]string{annClonePhase: clonePhaseSnapshot}),
			want:  cdiv1.SnapshotForSmartCloneInProgress,
		},
		"a clone that failed keeps its phase": {
			claim:  aClaim(cdiv1.VolumeCloneSourceRef, pending, map[string]string{annClonePhase: clonePhaseError}),
			before: cdiv1.CSICloneInProgress, want: cdiv1.CSICloneInProgress,
		},
		"a clone that is done": {
			claim: aClaim(cdiv1.VolumeCloneSourceRef, bound, map[string]string{annClonePhase: clonePhaseSucceeded}), want: cdiv1.Succeeded,
		},
		"a claim of the older way that is bound": {claim: aClaim("", bound, nil), want: cdiv1.PVCBound},
		"a claim that lost its volume":           {claim: aClaim("", corev1.ClaimLost, nil), want: cdiv1.Failed},
		"a claim that was filled for it":         {claim: aClaim("", bound, map[string]string{annPopulatedFor: "disk"}), want: cdiv1.Succeeded},
		"a claim that was deleted and made again": {
			claim: aClaim(cdiv1.VolumeImportSourceRef, pending, nil), before: cdiv1.Succeeded, want: cdiv1.Pending,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			dv := &cdiv1.DataVolume{ObjectMeta: metav1.ObjectMeta{Name: "disk"}}
			dv.Spec.Source = &cdiv1.DataVolumeSource{Blank: &cdiv1.DataVolumeBlankImage{}}
			if got := phaseOf(&volume{dv: dv, claim: tc.claim, phase: tc.before}, tc.late); got != tc.want {
				t.Errorf("want %q, got %q", tc.want, got)
			}
		})
	}
}

func TestCRDsHaveTheirRules(t *testing.T) {
	crds, err := CRDs()
	if err != nil {
		t.Fatal(err)
	}
	if len(crds) != 10 {
		t.Errorf("want 10 kinds, got %d", len(crds))
	}
	for _, crd := range crds {
		spec := crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"]
		if want := len(rules(crd.Spec.Names.Kind)); len(spec.XValidations) != want {
			t.Errorf("%s: want %d rules, got %d", crd.Name, want, len(spec.XValidations))
		}
	}
}
