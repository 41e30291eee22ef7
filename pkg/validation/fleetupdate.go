package validation

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"wukong.io/wukong/pkg/apis/wukong/v1alpha1"
)

// ValidateWukongUpdate refuses edits of a fleet that KubeVirt and CDI would
// silently ignore for machines that exist: the source, class or mode of a disk,
// a size that shrinks, a switch of the retention policy or of what machines are
// made from. Each error says what would do it. A pool that keeps no machine may
// change in every way.
func ValidateWukongUpdate(old, changed *v1alpha1.WukongSpec) field.ErrorList {
	var errs field.ErrorList
	for _, change := range poolChanges(old, changed) {
		errs = append(errs, change.origin()...)
		errs = append(errs, change.retention()...)
		if change.old.CloneSource == nil && change.changed.CloneSource == nil {
			change.eachDisk(func(disk diskChange) { errs = append(errs, disk.refusals()...) })
		}
	}
	return limitErrors(specPath(), errs)
}

// WukongUpdateWarnings names edits of a fleet that are of use, but do not reach
// machines that exist by themselves: a disk that grows, an image that changes.
func WukongUpdateWarnings(old, changed *v1alpha1.WukongSpec) []string {
	var warnings []string
	for _, change := range poolChanges(old, changed) {
		if change.old.CloneSource != nil || change.changed.CloneSource != nil {
			continue
		}
		change.eachDisk(func(disk diskChange) { warnings = append(warnings, disk.warnings(old, changed)...) })
	}
	return warnings
}

// poolChange is a pool before and after an edit, with the ordinals of the
// machines it keeps.
type poolChange struct {
	path                  *field.Path
	oldDefaults, defaults *v1alpha1.MachineTemplate
	old, changed          v1alpha1.Pool
	first, last           int64
}

// poolChanges lists the pools that keep machines, in the order of their keys.
func poolChanges(old, changed *v1alpha1.WukongSpec) []poolChange {
	var changes []poolChange
	for _, key := range slices.Sorted(maps.Keys(changed.Pools)) {
		before, ok := old.Pools[key]
		if !ok {
			continue
		}
		change := poolChange{
			path: keyOf(specPath().Child("pools"), key), oldDefaults: old.Defaults, defaults: changed.Defaults,
			old: before, changed: changed.Pools[key],
		}
		oldFirst, oldLast := ordinals(&before)
		first, last := ordinals(&change.changed)
		change.first, change.last = max(oldFirst, first), min(oldLast, last)
		if change.first <= change.last {
			changes = append(changes, change)
		}
	}
	return changes
}

func ordinals(pool *v1alpha1.Pool) (first, last int64) {
	replicas := int64(1)
	if pool.Replicas != nil {
		replicas = int64(*pool.Replicas)
	}
	if pool.Ordinals != nil {
		first = int64(pool.Ordinals.Start)
	}
	return first, first + replicas - 1
}

// machines says which machines are kept, and what one or several of them do.
func (c poolChange) machines(one, several string) string {
	if c.first == c.last {
		return fmt.Sprintf("machine %d %s", c.first, one)
	}
	return fmt.Sprintf("machines %d to %d %s", c.first, c.last, several)
}

func (c poolChange) origin() field.ErrorList {
	at := c.path.Child("cloneSource")
	newPool := ": name the pool anew to make machines from it, and remove this one"
	switch {
	case c.old.CloneSource == nil && c.changed.CloneSource == nil:
		return nil
	case c.old.CloneSource == nil:
		return field.ErrorList{field.Forbidden(at, "cannot be set on a pool with a template, whose "+c.machines("would not become a clone", "would not become clones")+newPool)}
	case c.changed.CloneSource == nil:
		return field.ErrorList{field.Forbidden(at, "cannot be taken from a pool of clones, whose "+c.machines("would", "would")+" not be made from a template"+newPool)}
	case equality.Semantic.DeepEqual(c.old.CloneSource, c.changed.CloneSource):
		return nil
	}
	return field.ErrorList{field.Forbidden(at, "cannot change while the pool has machines, as "+c.machines("would stay a clone", "would stay clones")+" of the old source"+newPool)}
}

func (c poolChange) retention() field.ErrorList {
	before, after := whenDeleted(&c.old), whenDeleted(&c.changed)
	if before == after {
		return nil
	}
	return field.ErrorList{field.Invalid(c.path.Child("retentionPolicy", "whenDeleted"), string(after),
		fmt.Sprintf("must stay %s, as the disks of %s made in another way than with %s and would be left as they are: "+
			"add a pool with %s whose disks clone these, by source.clone.virtualMachine, and remove this pool when it runs", before, c.machines("are", "are"), after, after))}
}

func whenDeleted(pool *v1alpha1.Pool) v1alpha1.RetentionType {
	if pool.RetentionPolicy == nil {
		return v1alpha1.RetentionRetain
	}
	return cmp.Or(pool.RetentionPolicy.WhenDeleted, v1alpha1.RetentionRetain)
}

// eachDisk visits the disks that machines keep: those of the template, where a
// machine has no override of its own, and those of each override.
func (c poolChange) eachDisk(visit func(diskChange)) {
	overridden := c.overridden()
	oldBase := mergeDisks(c.oldDefaults, c.old.Template)
	base := mergeDisks(c.defaults, c.changed.Template)
	kept := c.last - c.first + 1
	if kept > int64(len(overridden)) {
		c.visitDisks(oldBase, base, c.layer, visit)
	}
	for _, ordinal := range overridden {
		before, after := c.old.Overrides[ordinal], c.changed.Overrides[ordinal]
		own := func(key string) *field.Path {
			if _, ok := after.Disks[key]; !ok {
				return c.layer(key)
			}
			return keyOf(c.path.Child("overrides").Key(ordinal).Child("disks"), key)
		}
		// What the override only inherits has been visited with the template.
		inherited := kept > int64(len(overridden))
		c.visitDisks(overlay(oldBase, before.Disks), overlay(base, after.Disks), own, func(disk diskChange) {
			_, wasOwn := before.Disks[disk.key]
			_, isOwn := after.Disks[disk.key]
			if wasOwn || isOwn || !inherited {
				visit(disk)
			}
		})
	}
}

// overridden lists the ordinals of kept machines that have an override before
// or after, in their order.
func (c poolChange) overridden() []string {
	numbers := map[int64]string{}
	for _, overrides := range []map[string]v1alpha1.MachineTemplate{c.old.Overrides, c.changed.Overrides} {
		for ordinal := range overrides {
			number, err := strconv.ParseInt(ordinal, 10, 64)
			if err == nil && number >= c.first && number <= c.last {
				numbers[number] = ordinal
			}
		}
	}
	list := make([]string, 0, len(numbers))
	for _, number := range slices.Sorted(maps.Keys(numbers)) {
		list = append(list, numbers[number])
	}
	return list
}

// layer says where a disk stands: in the pool's template or in the defaults.
func (c poolChange) layer(key string) *field.Path {
	if c.changed.Template != nil {
		if _, ok := c.changed.Template.Disks[key]; ok {
			return keyOf(c.path.Child("template", "disks"), key)
		}
	}
	return keyOf(specPath().Child("defaults", "disks"), key)
}

func (c poolChange) visitDisks(old, changed map[string]v1alpha1.Disk, path func(string) *field.Path, visit func(diskChange)) {
	for _, key := range slices.Sorted(maps.Keys(changed)) {
		if before, ok := old[key]; ok {
			visit(diskChange{key: key, path: path(key), old: before, changed: changed[key], has: c.machines("has", "have"), keeps: c.machines("keeps its disk", "keep their disks")})
		}
	}
}

// mergeDisks merges the disks of a template over those of the defaults.
func mergeDisks(defaults, template *v1alpha1.MachineTemplate) map[string]v1alpha1.Disk {
	merged := map[string]v1alpha1.Disk{}
	for _, layer := range []*v1alpha1.MachineTemplate{defaults, template} {
		if layer != nil {
			merged = overlay(merged, layer.Disks)
		}
	}
	return merged
}

// overlay merges disks as the templates of charts/vm-library do, for what a
// disk's DataVolume is made of: what the layer above names wins, and its source
// displaces the whole source below.
func overlay(base, over map[string]v1alpha1.Disk) map[string]v1alpha1.Disk {
	merged := maps.Clone(base)
	for key, disk := range over {
		below := merged[key]
		if disk.Source != nil {
			below.Source = disk.Source
		}
		if disk.Size != nil {
			below.Size = disk.Size
		}
		if disk.StorageClassName != nil {
			below.StorageClassName = disk.StorageClassName
		}
		if disk.AccessModes != nil {
			below.AccessModes = disk.AccessModes
		}
		below.VolumeMode = cmp.Or(disk.VolumeMode, below.VolumeMode)
		merged[key] = below
	}
	return merged
}
