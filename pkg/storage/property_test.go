package storage_test

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"wukong.io/wukong/pkg/storage"
)

// kubevirt transcribes getVolumeSnapshotClassName and getSnapshotPVC of
// kubevirt.io/kubevirt v1.9.0, pkg/storage/snapshot/snapshot.go, without a
// thought of ours.
func kubevirt(class string, facts storage.MapFacts) (names []string, err error) {
	var storageClass *storage.StorageClass
	for i := range facts.Classes {
		if facts.Classes[i].Name == class {
			storageClass = &facts.Classes[i]
		}
	}
	if storageClass == nil {
		return nil, nil
	}
	if profile, exists := facts.Profiles[class]; exists && profile.SnapshotClass != "" {
		for _, candidate := range facts.Snapshotters {
			if candidate.Name == profile.SnapshotClass {
				return []string{candidate.Name}, nil
			}
		}
		return nil, nil
	}
	var matches, defaults []string
	for _, candidate := range facts.Snapshotters {
		if candidate.Driver != storageClass.Provisioner {
			continue
		}
		matches = append(matches, candidate.Name)
		if candidate.Default {
			defaults = append(defaults, candidate.Name)
		}
	}
	switch {
	case len(matches) == 0:
		return nil, nil
	case len(matches) == 1:
		return matches, nil
	case len(defaults) > 0:
		return defaults, nil // whichever the informer lists first
	}
	return nil, fmt.Errorf("%d matching VolumeSnapshotClasses for %s", len(matches), class)
}

// randomFacts draws a small world in which everything collides often.
func randomFacts(random *rand.Rand) storage.MapFacts {
	facts := storage.MapFacts{
		Claims:      map[types.NamespacedName]storage.Claim{},
		Backends:    map[types.NamespacedName][]storage.Claim{},
		DataVolumes: map[types.NamespacedName]storage.DataVolume{},
		Profiles:    map[string]storage.StorageProfile{},
	}
	pick := func(names ...string) string { return names[random.IntN(len(names))] }
	class := func() *string {
		if random.IntN(5) == 0 {
			return nil
		}
		return new(pick("", "a", "b", "c", "gone"))
	}
	for _, name := range []string{"a", "b", "c"} {
		facts.Classes = append(facts.Classes, storage.StorageClass{
			Name: name, Provisioner: pick("d1", "d2", "d3"), Default: random.IntN(3) == 0, VirtDefault: random.IntN(3) == 0, Created: time.Unix(int64(random.IntN(3)), 0),
		})
		if random.IntN(2) == 0 {
			facts.Profiles[name] = storage.StorageProfile{SnapshotClass: pick("", "", "s1", "s9")}
		}
	}
	for i := range random.IntN(5) {
		facts.Snapshotters = append(facts.Snapshotters, storage.SnapshotClass{Name: fmt.Sprintf("s%d", i), Driver: pick("d1", "d2"), Default: random.IntN(4) == 0})
	}
	claim := func(name string) storage.Claim {
		return storage.Claim{
			Name: name, StorageClass: class(), Bound: random.IntN(4) > 0, Deleting: random.IntN(6) == 0,
			DataVolume: pick("", "", "one", "two", "nine"), Created: time.Unix(int64(random.IntN(3)), 0),
		}
	}
	for _, name := range []string{"one", "two", "three"} {
		if random.IntN(3) > 0 {
			facts.Claims[key(name)] = claim(name)
		}
		if random.IntN(2) == 0 {
			facts.DataVolumes[key(name)] = storage.DataVolume{Name: name, Phase: pick("", "Succeeded", "Failed"), API: storage.ClaimAPI(pick("pvc", "storage")), StorageClass: class()}
		}
	}
	for i := range random.IntN(3) {
		facts.Backends[key("web-0")] = append(facts.Backends[key("web-0")], claim(fmt.Sprintf("backend-%d", i)))
	}
	return facts
}

func randomMachine(random *rand.Rand) *kubevirtv1.VirtualMachine {
	changes := []func(*kubevirtv1.VirtualMachine){claim("one"), dataVolume("two"), claim("three"), dataVolume("four"), persistentTPM, persistentEFI, volume(kubevirtv1.VolumeSource{})}
	random.Shuffle(len(changes), func(i, j int) { changes[i], changes[j] = changes[j], changes[i] })
	return machine(changes[:random.IntN(len(changes)+1)]...)
}

// TestDisksAgreesWithKubeVirt draws worlds and compares every verdict with the
// transcription of KubeVirt's own code.
func TestDisksAgreesWithKubeVirt(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	seen := map[storage.Verdict]int{}
	for range 20000 {
		facts := randomFacts(random)
		for _, disk := range storage.Disks(randomMachine(random), facts) {
			if disk.Claim == "" || disk.Verdict == storage.Unknown {
				continue
			}
			seen[disk.Verdict]++
			compare(t, disk, facts)
			if t.Failed() {
				t.Fatalf("facts: %+v", facts)
			}
		}
	}
	for _, verdict := range []storage.Verdict{storage.Snapshotted, storage.LeftOut, storage.Refused, storage.Waiting} {
		if seen[verdict] < 500 {
			t.Errorf("only %d disks were %s: the worlds are too narrow", seen[verdict], verdict)
		}
	}
}

func compare(t *testing.T, disk storage.Disk, facts storage.MapFacts) {
	t.Helper()
	names, err := kubevirt(disk.StorageClass, facts)
	got, exists := facts.Claims[key(disk.Claim)]
	for _, backend := range facts.Backends[key("web-0")] {
		if backend.Name == disk.Claim {
			got, exists = backend, true
		}
	}
	usable := exists && got.Bound && !got.Deleting && (got.DataVolume == "" || facts.DataVolumes[key(got.DataVolume)].Phase == "Succeeded")
	if exists && got.StorageClass != nil && *got.StorageClass != disk.StorageClass {
		t.Errorf("disk is said to be on class %q, its claim is on %q", disk.StorageClass, *got.StorageClass)
	}
	var want string
	switch {
	case disk.Reason == storage.ReasonClaimNotFound:
		want = "Waiting"
		if exists {
			t.Errorf("claim %q exists, and is said not to", disk.Claim)
		}
	case err != nil:
		want = "Refused"
	case len(names) == 0:
		want = "LeftOut"
	case usable:
		want = "Snapshotted"
	case exists && got.Deleting:
		want = "Refused"
	default:
		want = "Waiting"
	}
	if string(disk.Verdict) != want {
		t.Errorf("verdict on %+v is %s, KubeVirt's code says %s (classes %v, error %v)", disk, disk.Verdict, want, names, err)
	}
	if disk.SnapshotClass == "" {
		return
	}
	if !slices.Contains(names, disk.SnapshotClass) {
		t.Errorf("snapshot class is %q, KubeVirt takes one of %v", disk.SnapshotClass, names)
	}
}

func TestDisksDependsOnNoOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		facts, vm := randomFacts(random), randomMachine(random)
		before := storage.Disks(vm, facts)
		random.Shuffle(len(facts.Classes), func(i, j int) { facts.Classes[i], facts.Classes[j] = facts.Classes[j], facts.Classes[i] })
		random.Shuffle(len(facts.Snapshotters), func(i, j int) {
			facts.Snapshotters[i], facts.Snapshotters[j] = facts.Snapshotters[j], facts.Snapshotters[i]
		})
		if diff := cmp.Diff(before, storage.Disks(vm, facts)); diff != "" {
			t.Fatalf("another order of classes gives another answer:\n%s", diff)
		}
	}
}

func TestEveryFindingIsASentence(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for range 5000 {
		facts, vm := randomFacts(random), randomMachine(random)
		disks := storage.Disks(vm, facts)
		for _, use := range uses() {
			judgement := storage.Judge(use, disks)
			findings := slices.Concat(judgement.Refusals, judgement.Warnings)
			for _, finding := range findings {
				names := fmt.Sprintf("disk %q ", finding.Disk.Name)
				if !strings.HasPrefix(finding.Message, names) || !strings.Contains(finding.Message, ": ") || strings.Contains(finding.Message, "\n") || finding.Reason == "" {
					t.Fatalf("finding %q (%s) does not name its disk, or what to do", finding.Message, finding.Reason)
				}
			}
			if storage.Complete(disks) != (len(findings) == 0) && use == storage.UseSnapshot {
				t.Fatalf("Complete is %t beside the findings %v", storage.Complete(disks), storage.Messages(findings))
			}
		}
	}
}

// TestLinksNoClient keeps the package pure: facts come in as values.
func TestLinksNoClient(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatalf("listing dependencies: %v", err)
	}
	for path := range strings.FieldsSeq(string(out)) {
		for _, denied := range []string{"k8s.io/client-go", "sigs.k8s.io/controller-runtime", "helm.sh/helm"} {
			if strings.HasPrefix(path, denied) {
				t.Errorf("links %s", path)
			}
		}
	}
}

func BenchmarkDisks(b *testing.B) {
	facts := world()
	vm := machine(claim("good"), dataVolume("filled"), claim("local"), claim("elected"))
	b.ReportAllocs()
	for b.Loop() {
		storage.Disks(vm, facts)
	}
}
