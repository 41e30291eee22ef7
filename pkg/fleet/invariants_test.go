package fleet_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	kubevirtv1 "kubevirt.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"wukong.io/wukong/pkg/apis/wukong/v1alpha1"
	"wukong.io/wukong/pkg/fleet"
	"wukong.io/wukong/test/fleettest"
)

// How many fleets each invariant is tested on.
const (
	manyFleets = 10_000
	someFleets = 300
)

// sample is one random fleet, rendered.
type sample struct {
	seed     uint64
	renderer *fleet.Renderer
	fleet    fleet.Fleet
	objects  []fleet.Object
}

// invariant is a property of every fleet. It says how a fleet breaks it.
type invariant struct {
	name  string
	check func(t *testing.T, s sample) error
}

// invariants are those of the design, E1 to E7.
func invariants() []invariant {
	return []invariant{
		{"E1 names are unique and can be read back", checkNames},
		{"E1 MAC and IP addresses and UUIDs are unique", checkIdentities},
		{"E1 a change elsewhere changes no byte of a machine", checkOthersUnchanged},
		{"E2 two renders are equal", checkTwice},
		{"E2 a window is that part of the whole", checkWindow},
		{"E3 values are encoded", checkEncoded},
		{"E5 retained and deleted disks are never mixed", checkRetention},
		{"E6 an image is imported once", checkImports},
		{"E7 no restart for a chart or a size", checkTemplates},
	}
}

func TestInvariants(t *testing.T) {
	renderer, err := fleet.New()
	if err != nil {
		t.Fatal(err)
	}
	count := uint64(manyFleets)
	if testing.Short() {
		count = someFleets
	}
	list := invariants()
	broken := make([]breaches, len(list))
	forEachSeed(count, func(seed uint64) {
		s, err := newSample(t, renderer, seed)
		if err != nil {
			t.Errorf("seed %d: %v", seed, err)
			return
		}
		for i, inv := range list {
			if err := inv.check(t, s); err != nil {
				broken[i].add(fmt.Sprintf("seed %d: %v", seed, err))
			}
		}
	})
	for i, inv := range list {
		t.Run(inv.name, func(t *testing.T) { broken[i].report(t, count) })
	}
}

// forEachSeed calls a function for the seeds 0 to count-1 on all cores. What it
// makes is small and short-lived, so garbage is collected rarely.
func forEachSeed(count uint64, visit func(seed uint64)) {
	defer debug.SetGCPercent(debug.SetGCPercent(800))
	var next atomic.Uint64
	var wait sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			for seed := next.Add(1) - 1; seed < count; seed = next.Add(1) - 1 {
				visit(seed)
			}
		})
	}
	wait.Wait()
}

// breaches are the ways in which fleets break an invariant.
type breaches struct {
	mutex sync.Mutex
	list  []string
}

func (b *breaches) add(breach string) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.list = append(b.list, breach)
}

// report fails with the first few.
func (b *breaches) report(t *testing.T, count uint64) {
	t.Helper()
	slices.Sort(b.list)
	for i, breach := range b.list {
		if i == 5 {
			break
		}
		t.Error(breach)
	}
	if len(b.list) > 0 {
		t.Errorf("%d of %d fleets break it", len(b.list), count)
	}
}

func newSample(t *testing.T, renderer *fleet.Renderer, seed uint64) (sample, error) {
	t.Helper()
	s := sample{seed: seed, renderer: renderer, fleet: fleettest.Fleet(seed)}
	var err error
	s.objects, err = s.render(t, s.fleet, fleet.Options{})
	return s, err
}

func (s sample) render(t *testing.T, f fleet.Fleet, options fleet.Options) ([]fleet.Object, error) {
	t.Helper()
	options.Parallelism = 1 // the seeds are side by side already
	return s.renderer.Render(t.Context(), f, options)
}

// pools gives the pools of the fleet.
func (s sample) pools() map[string]any {
	pools, _ := s.fleet.Values["pools"].(map[string]any)
	return pools
}

// identity names an object.
func identity(o fleet.Object) string {
	gvk := o.GetObjectKind().GroupVersionKind()
	return fmt.Sprintf("%s %s/%s", gvk.GroupKind(), o.GetNamespace(), o.GetName())
}

// text gives an object's bytes.
func text(o fleet.Object) string {
	data, err := json.Marshal(o)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// byIdentity gives the bytes of objects by their identity.
func byIdentity(objects []fleet.Object) map[string]string {
	texts := make(map[string]string, len(objects))
	for _, o := range objects {
		texts[identity(o)] = text(o)
	}
	return texts
}

//nolint:gochecknoglobals // compiled once
var machineName = regexp.MustCompile(`^(.+)-(\d+)$`)

// checkNames reads each machine's pool and ordinal back from its name, and the
// disk's key from a disk's.
func checkNames(_ *testing.T, s sample) error {
	seen := map[string]bool{}
	for _, o := range s.objects {
		id := identity(o)
		if seen[id] {
			return fmt.Errorf("two objects are called %s", id)
		}
		seen[id] = true
		machine, ok := o.GetLabels()[v1alpha1.LabelVM]
		if !ok {
			continue
		}
		if len(machine) > 63 || len(o.GetName()) > 63 && o.GetObjectKind().GroupVersionKind().Kind == "DataVolume" {
			return fmt.Errorf("%s is longer than 63 characters", id)
		}
		rest, ok := strings.CutPrefix(machine, s.fleet.Name+"-")
		match := machineName.FindStringSubmatch(rest)
		if !ok || match == nil {
			return fmt.Errorf("the name %q cannot be read back", machine)
		}
		if _, ok := s.pools()[match[1]]; !ok || match[1] != o.GetLabels()[v1alpha1.LabelPool] || match[2] != o.GetLabels()[v1alpha1.LabelOrdinal] {
			return fmt.Errorf("the name %q reads as pool %q, ordinal %s, but the labels are %v", machine, match[1], match[2], o.GetLabels())
		}
		if disk, ok := o.GetLabels()[v1alpha1.LabelDisk]; ok && o.GetName() != machine+"-"+disk {
			return fmt.Errorf("disk %q of %q is called %q", disk, machine, o.GetName())
		}
	}
	return nil
}

// checkIdentities looks for two machines with one address.
func checkIdentities(_ *testing.T, s sample) error {
	owners := map[string]string{}
	claim := func(kind, value, owner string) error {
		key := kind + " " + strings.ToLower(value)
		if other, taken := owners[key]; taken {
			return fmt.Errorf("%s belongs to %s and %s", key, other, owner)
		}
		owners[key] = owner
		return nil
	}
	for _, vm := range machines(s.objects) {
		firmware := vm.Spec.Template.Spec.Domain.Firmware
		errs := []error{claim("uuid", string(firmware.UUID), vm.Name), claim("serial", firmware.Serial, vm.Name)}
		for _, nic := range vm.Spec.Template.Spec.Domain.Devices.Interfaces {
			errs = append(errs, claim("mac", nic.MacAddress, vm.Name+"/"+nic.Name))
		}
		if err := errors.Join(errs...); err != nil {
			return err
		}
	}
	for _, secret := range ofType[*corev1.Secret](s.objects) {
		for _, address := range addresses(secret) {
			if err := claim("ip", address, secret.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

//nolint:gochecknoglobals // compiled once
var addressLine = regexp.MustCompile(`(?m)^    - '?"?([0-9a-f.:]+/\d+)`)

// addresses gives the static addresses in a machine's network data.
func addresses(secret *corev1.Secret) []string {
	var found []string
	for _, match := range addressLine.FindAllStringSubmatch(secret.StringData["networkdata"], -1) {
		found = append(found, match[1])
	}
	return found
}

func machines(objects []fleet.Object) []*kubevirtv1.VirtualMachine {
	return ofType[*kubevirtv1.VirtualMachine](objects)
}

func ofType[T fleet.Object](objects []fleet.Object) []T {
	var found []T
	for _, o := range objects {
		if typed, ok := o.(T); ok {
			found = append(found, typed)
		}
	}
	return found
}

// checkOthersUnchanged changes one pool, adds a pool and an image, and looks
// at the machines of the other pools, and at those that the pool keeps.
func checkOthersUnchanged(t *testing.T, s sample) error {
	t.Helper()
	changed, pool := change(s)
	objects, err := s.render(t, changed, fleet.Options{})
	if err != nil {
		return fmt.Errorf("after the change: %w", err)
	}
	after := byIdentity(objects)
	for _, o := range s.objects {
		machine, ok := o.GetLabels()[v1alpha1.LabelVM]
		if !ok {
			continue
		}
		now, exists := after[identity(o)]
		if !exists && o.GetLabels()[v1alpha1.LabelPool] == pool && gone(changed, pool, o) {
			continue
		}
		if now != text(o) {
			return fmt.Errorf("after a change of pool %q, %s of machine %q was\n%s\nand is\n%s", pool, identity(o), machine, text(o), now)
		}
	}
	return nil
}

// change gives a fleet with another size of one pool, one pool more and one
// image more.
func change(s sample) (changed fleet.Fleet, pool string) {
	changed = s.fleet
	changed.Values = clone(s.fleet.Values)
	pools := changed.Values["pools"].(map[string]any)
	keys := slices.Sorted(maps.Keys(pools))
	pool = keys[s.seed%uint64(len(keys))]
	old := pools[pool].(map[string]any)
	if s.seed%3 == 0 {
		old["replicas"] = int64(replicas(old) + 2)
	} else {
		old["replicas"] = int64(max(0, replicas(old)-1))
		delete(old, "overrides")
		if overrides, ok := s.pools()[pool].(map[string]any)["overrides"].(map[string]any); ok {
			old["overrides"] = kept(overrides, start(old)+replicas(old))
		}
	}
	pools["zz"] = map[string]any{"replicas": int64(1), "template": map[string]any{
		"resources": map[string]any{"memory": "1Gi"},
		"disks":     map[string]any{"zzd": map[string]any{"source": map[string]any{"image": "zzi"}, "bootOrder": int64(60)}},
	}}
	images, _ := changed.Values["images"].(map[string]any)
	images = maps.Clone(images)
	if images == nil {
		images = map[string]any{}
	}
	images["zzi"] = map[string]any{"importSource": map[string]any{"upload": map[string]any{}}, "size": "1Gi"}
	changed.Values["images"] = images
	return changed, pool
}

// kept gives the overrides of the machines before an ordinal.
func kept(overrides map[string]any, end int) map[string]any {
	left := map[string]any{}
	for ordinal, override := range overrides {
		if n, err := strconv.Atoi(ordinal); err == nil && n < end {
			left[ordinal] = override
		}
	}
	return left
}

// gone says whether a pool is now too small for an object's machine.
func gone(f fleet.Fleet, pool string, o fleet.Object) bool {
	p := f.Values["pools"].(map[string]any)[pool].(map[string]any)
	ordinal, err := strconv.Atoi(o.GetLabels()[v1alpha1.LabelOrdinal])
	return err == nil && ordinal >= start(p)+replicas(p)
}

func replicas(pool map[string]any) int {
	if n, ok := pool["replicas"].(int64); ok {
		return int(n)
	}
	return 1
}

func start(pool map[string]any) int {
	ordinals, _ := pool["ordinals"].(map[string]any)
	n, _ := ordinals["start"].(int64)
	return int(n)
}

// clone gives a deep copy.
func clone(values map[string]any) map[string]any {
	out := make(map[string]any, len(values))
	for key, value := range values {
		if inner, ok := value.(map[string]any); ok {
			value = clone(inner)
		}
		out[key] = value
	}
	return out
}

// checkTwice renders the fleet again, this time from its file. The other
// invariants render every fleet again too, changed or in part; this one is for
// the way from a file.
func checkTwice(t *testing.T, s sample) error {
	t.Helper()
	if s.seed%4 != 0 {
		return nil
	}
	file, err := yaml.Marshal(s.fleet.Values)
	if err != nil {
		return err
	}
	again := s.fleet
	if again.Values, err = fleet.ParseValues(file); err != nil {
		return err
	}
	objects, err := s.render(t, again, fleet.Options{})
	if err != nil {
		return err
	}
	return sameObjects(s.objects, objects)
}

func sameObjects(want, got []fleet.Object) error {
	if len(want) != len(got) {
		return fmt.Errorf("got %d objects, want %d", len(got), len(want))
	}
	for i := range want {
		if a, b := text(want[i]), text(got[i]); a != b {
			return fmt.Errorf("object %d is\n%s\nand was\n%s", i, b, a)
		}
	}
	return nil
}

// checkWindow renders some machines of one pool alone.
func checkWindow(t *testing.T, s sample) error {
	t.Helper()
	keys := slices.Sorted(maps.Keys(s.pools()))
	key := keys[s.seed%uint64(len(keys))]
	pool := s.pools()[key].(map[string]any)
	count := replicas(pool)
	first := int(s.seed/7) % (count + 1)
	window := fleet.Window{Pool: key, Start: start(pool) + first, Count: (count - first + 1) / 2}
	got, err := s.render(t, s.fleet, fleet.Options{Window: &window})
	if err != nil {
		return fmt.Errorf("window %+v: %w", window, err)
	}
	var want []fleet.Object
	for _, o := range s.objects {
		ordinal, err := strconv.Atoi(o.GetLabels()[v1alpha1.LabelOrdinal])
		if err == nil && o.GetLabels()[v1alpha1.LabelPool] == key && ordinal >= window.Start && ordinal < window.Start+window.Count {
			want = append(want, o)
		}
	}
	if err := sameObjects(want, got); err != nil {
		return fmt.Errorf("window %+v: %w", window, err)
	}
	return nil
}
