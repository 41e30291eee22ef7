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
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
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

// checkEncoded looks for texts, which the generator makes as hostile as can
// be, where they belong and unchanged.
func checkEncoded(_ *testing.T, s sample) error {
	for _, vm := range machines(s.objects) {
		want := wantAnnotations(s, vm)
		for key, value := range want {
			if vm.Annotations[key] != value {
				return fmt.Errorf("annotation %s of %s is %q, want %q", key, vm.Name, vm.Annotations[key], value)
			}
		}
		if err := checkCommands(s, vm); err != nil {
			return err
		}
	}
	return nil
}

// wantAnnotations merges the annotations a machine must have, in the plainest way.
func wantAnnotations(s sample, vm *kubevirtv1.VirtualMachine) map[string]string {
	want := map[string]string{}
	layers := layersOf(s, vm)
	for _, layer := range layers {
		annotations, _ := layer["annotations"].(map[string]any)
		for key, value := range annotations {
			want[key] = value.(string)
		}
	}
	for _, layer := range layers {
		patch, _ := layer["patch"].(map[string]any)
		metadata, _ := patch["metadata"].(map[string]any)
		annotations, _ := metadata["annotations"].(map[string]any)
		for key, value := range annotations {
			want[key] = value.(string)
		}
	}
	return want
}

// layersOf gives the templates of a machine, from the defaults to its override.
func layersOf(s sample, vm *kubevirtv1.VirtualMachine) []map[string]any {
	pool := s.pools()[vm.Labels[v1alpha1.LabelPool]].(map[string]any)
	defaults, _ := s.fleet.Values["defaults"].(map[string]any)
	template, _ := pool["template"].(map[string]any)
	overrides, _ := pool["overrides"].(map[string]any)
	override, _ := overrides[vm.Labels[v1alpha1.LabelOrdinal]].(map[string]any)
	return []map[string]any{defaults, template, override}
}

// checkCommands reads the commands back from a machine's cloud-init.
func checkCommands(s sample, vm *kubevirtv1.VirtualMachine) error {
	template := layersOf(s, vm)[1]
	cloudInit, _ := template["cloudInit"].(map[string]any)
	commands, ok := cloudInit["bootCommands"].([]any)
	if !ok {
		return nil
	}
	for _, secret := range ofType[*corev1.Secret](s.objects) {
		if secret.Name != vm.Name+"-cloudinit" {
			continue
		}
		var config struct {
			BootCmd []string `json:"bootcmd"`
		}
		if err := yaml.Unmarshal([]byte(secret.StringData["userdata"]), &config); err != nil {
			return fmt.Errorf("reading the user data of %s: %w\n%s", vm.Name, err, secret.StringData["userdata"])
		}
		for i, command := range commands {
			if i >= len(config.BootCmd) || config.BootCmd[i] != command {
				return fmt.Errorf("the boot commands of %s are %q, want %q", vm.Name, config.BootCmd, commands)
			}
		}
		return nil
	}
	return fmt.Errorf("machine %s has no cloud-init Secret", vm.Name)
}

// checkRetention compares each machine's disks with its pool's policy.
func checkRetention(_ *testing.T, s sample) error {
	standalone := map[string]*cdiv1.DataVolume{}
	for _, volume := range ofType[*cdiv1.DataVolume](s.objects) {
		if _, ok := volume.Labels[v1alpha1.LabelVM]; ok {
			standalone[volume.Name] = volume
		}
	}
	used := map[string]bool{}
	for _, vm := range machines(s.objects) {
		if err := checkMachineDisks(s, vm, standalone, used); err != nil {
			return err
		}
	}
	for name := range standalone {
		if !used[name] {
			return fmt.Errorf("no machine has the disk %s", name)
		}
	}
	return nil
}

func checkMachineDisks(s sample, vm *kubevirtv1.VirtualMachine, standalone map[string]*cdiv1.DataVolume, used map[string]bool) error {
	pool := s.pools()[vm.Labels[v1alpha1.LabelPool]].(map[string]any)
	policy, _ := pool["retentionPolicy"].(map[string]any)
	retain := policy["whenDeleted"] != "Delete"
	templates := map[string]bool{}
	for _, template := range vm.Spec.DataVolumeTemplates {
		templates[template.Name] = true
	}
	if retain && len(templates) > 0 {
		return fmt.Errorf("%s retains its disks, and has dataVolumeTemplates", vm.Name)
	}
	for _, volume := range vm.Spec.Template.Spec.Volumes {
		if volume.DataVolume == nil {
			continue
		}
		name := volume.DataVolume.Name
		disk, alone := standalone[name]
		if alone == templates[name] || alone != retain {
			return fmt.Errorf("%s of %s (retain: %t): standalone %t, template %t", name, vm.Name, retain, alone, templates[name])
		}
		if alone && disk.Annotations["helm.sh/resource-policy"] != "keep" {
			return fmt.Errorf("helm would delete %s", name)
		}
		used[name] = true
		delete(templates, name)
	}
	if len(templates) > 0 {
		return fmt.Errorf("no volume of %s uses %v", vm.Name, templates)
	}
	return nil
}

// checkImports counts what brings an image in.
func checkImports(_ *testing.T, s sample) error {
	imports := map[string]int{}
	for _, o := range s.objects {
		image, ok := o.GetLabels()[v1alpha1.LabelImage]
		kind := o.GetObjectKind().GroupVersionKind().Kind
		if ok && (kind == "DataVolume" || kind == "DataImportCron") {
			imports[image]++
		}
	}
	images, _ := s.fleet.Values["images"].(map[string]any)
	for key, image := range images {
		want := 1
		if _, existing := image.(map[string]any)["dataSource"]; existing {
			want = 0
		}
		if imports[key] != want {
			return fmt.Errorf("image %q is imported %d times, want %d", key, imports[key], want)
		}
	}
	return checkClones(s)
}

// checkClones checks that a machine's disk from an image is a clone.
func checkClones(s sample) error {
	for _, vm := range machines(s.objects) {
		disks := map[string]any{}
		for _, layer := range layersOf(s, vm) {
			more, _ := layer["disks"].(map[string]any)
			for key, disk := range more {
				if source, ok := disk.(map[string]any)["source"].(map[string]any); ok {
					disks[vm.Name+"-"+key] = source["image"]
				}
			}
		}
		for name, spec := range dataVolumes(s, vm) {
			fromImage := disks[name] != nil
			if clone := spec.SourceRef != nil; clone != fromImage {
				return fmt.Errorf("disk %s is from an image: %t; it has a sourceRef: %t", name, fromImage, clone)
			}
		}
	}
	return nil
}

// dataVolumes gives the specs of a machine's disks by their names.
func dataVolumes(s sample, vm *kubevirtv1.VirtualMachine) map[string]cdiv1.DataVolumeSpec {
	specs := map[string]cdiv1.DataVolumeSpec{}
	for _, template := range vm.Spec.DataVolumeTemplates {
		specs[template.Name] = template.Spec
	}
	for _, volume := range ofType[*cdiv1.DataVolume](s.objects) {
		if volume.Labels[v1alpha1.LabelVM] == vm.Name {
			specs[volume.Name] = volume.Spec
		}
	}
	return specs
}

// checkTemplates looks for what changes with the chart or with who installs it
// in what KubeVirt compares to decide about restarts. That the pool's size does
// not stand there is part of checkOthersUnchanged, and test/conformance renders
// with another version of the chart.
func checkTemplates(_ *testing.T, s sample) error {
	for _, vm := range machines(s.objects) {
		template := vm.Spec.Template
		for key := range template.ObjectMeta.Labels {
			if strings.HasPrefix(key, "helm.sh/") || strings.HasPrefix(key, "app.kubernetes.io/") || key == v1alpha1.LabelOrdinal {
				return fmt.Errorf("spec.template of %s has the label %s, which changes", vm.Name, key)
			}
		}
		if len(template.ObjectMeta.Annotations) > 0 && !patched(s, vm) {
			return fmt.Errorf("spec.template of %s has annotations: %v", vm.Name, template.ObjectMeta.Annotations)
		}
	}
	return nil
}

// patched says whether the user patches a machine.
func patched(s sample, vm *kubevirtv1.VirtualMachine) bool {
	return slices.ContainsFunc(layersOf(s, vm), func(layer map[string]any) bool { return layer["patch"] != nil })
}
