package preflight

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"wukong.io/wukong/pkg/cli/compare"
	"wukong.io/wukong/pkg/cli/manifest"
)

// Immutable finds changes of disks that the cluster would refuse halfway
// through an upgrade: CDI takes no change of a DataVolume's spec, and a disk
// cannot pass between being the machine's own and standing alone. live are the
// DataVolumes of the fleet by name.
func Immutable(wanted []*unstructured.Unstructured, live map[string]*unstructured.Unstructured) []Finding {
	var findings []Finding
	for _, object := range wanted {
		switch object.GetKind() {
		case "DataVolume":
			if disk := live[object.GetName()]; disk != nil {
				findings = append(findings, changedDisk(object, disk)...)
			}
		case "VirtualMachine":
			findings = append(findings, adoptedDisks(object, live)...)
		}
	}
	return findings
}

func changedDisk(wanted, live *unstructured.Unstructured) []Finding {
	if ownedByMachine(live) {
		return []Finding{switched(wanted.GetName(), "Delete", "Retain")}
	}
	differences := compare.Spec(wanted, live)
	if len(differences) == 0 {
		return nil
	}
	return []Finding{{Fatal: true, Message: changeMessage(wanted.GetName(), differences)}}
}

func ownedByMachine(dv *unstructured.Unstructured) bool {
	for _, owner := range dv.GetOwnerReferences() {
		if owner.Kind == "VirtualMachine" {
			return true
		}
	}
	return false
}

// adoptedDisks finds disks a machine is to make itself that stand alone
// already.
func adoptedDisks(vm *unstructured.Unstructured, live map[string]*unstructured.Unstructured) []Finding {
	var findings []Finding
	for _, template := range items(vm.Object, "spec", "dataVolumeTemplates") {
		name, _ := get[string](template, "metadata", "name")
		if disk := live[name]; disk != nil && !ownedByMachine(disk) {
			findings = append(findings, switched(name, "Retain", "Delete"))
		}
	}
	return findings
}

func switched(disk, before, after string) Finding {
	return Finding{Fatal: true, Message: fmt.Sprintf("disk %q was made with retentionPolicy %s and cannot change to %s while it exists: "+
		"keep %s for this pool, or move to a new pool with %s and delete the old one", disk, before, after, before, after)}
}

// sizePath is where a DataVolume says how large it is, below storage or pvc.
const sizePath = ".resources.requests.storage"

func changeMessage(disk string, differences []compare.Difference) string {
	if size, ok := onlySize(differences); ok {
		return sizeMessage(disk, size)
	}
	changes := make([]string, len(differences))
	for i, d := range differences {
		changes[i] = fmt.Sprintf("%s from %s to %s", d.Path, value(d.Live), value(d.Wanted))
	}
	slices.Sort(changes)
	return fmt.Sprintf("disk %q exists, and what it is made from and where cannot be changed: found %s; "+
		"undo the change, or give the disk another name, which makes a new disk beside the old one", disk, strings.Join(changes, ", "))
}

func onlySize(differences []compare.Difference) (compare.Difference, bool) {
	if len(differences) == 1 && strings.HasSuffix(differences[0].Path, sizePath) {
		return differences[0], true
	}
	return compare.Difference{}, false
}

func sizeMessage(disk string, d compare.Difference) string {
	live, errLive := resource.ParseQuantity(fmt.Sprint(d.Live))
	wanted, errWanted := resource.ParseQuantity(fmt.Sprint(d.Wanted))
	if errLive == nil && errWanted == nil && wanted.Cmp(live) < 0 {
		return fmt.Sprintf("disk %q cannot shrink from %s to %s: set the size back to %s", disk, &live, &wanted, &live)
	}
	return fmt.Sprintf("disk %q cannot grow from %v to %v through its DataVolume: set the size back to %v and grow its claim, if the storage class allows it: "+
		`kubectl patch pvc %s --type merge -p '{"spec":{"resources":{"requests":{"storage":"%v"}}}}'`, disk, d.Live, d.Wanted, d.Live, disk, d.Wanted)
}

func value(v any) string {
	if v == nil {
		return "nothing"
	}
	if _, isMap := v.(map[string]any); isMap {
		return "other settings"
	}
	return fmt.Sprintf("%q", fmt.Sprint(v))
}

// Fatal gives the findings that stop an installation.
func Fatal(findings []Finding) []Finding {
	return slices.DeleteFunc(slices.Clone(findings), func(f Finding) bool { return !f.Fatal })
}

// ByName indexes objects of one kind.
func ByName(objects map[manifest.Key]*unstructured.Unstructured) map[string]*unstructured.Unstructured {
	byName := make(map[string]*unstructured.Unstructured, len(objects))
	for key, object := range objects {
		byName[key.Name] = object
	}
	return byName
}
