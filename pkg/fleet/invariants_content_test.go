package fleet_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	kubevirtv1 "kubevirt.io/api/core/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
	"sigs.k8s.io/yaml"

	"wukong.io/wukong/pkg/apis/wukong/v1alpha1"
)

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
