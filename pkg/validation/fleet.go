package validation

import (
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"wukong.io/wukong/pkg/apis/wukong/v1alpha1"
)

// ValidateWukong checks what of a fleet leads out of the cluster or runs on a
// schedule: the sources of its images and disks, the targets of its exports,
// its snapshot policies. Everything else is checked where the fleet is
// expanded, by pkg/fleet.
func ValidateWukong(fleet *v1alpha1.Wukong, policy *Policy) field.ErrorList {
	var errs field.ErrorList
	spec := &fleet.Spec
	for _, key := range slices.Sorted(maps.Keys(spec.Images)) {
		image := spec.Images[key]
		path := keyOf(specPath().Child("images"), key)
		if image.ImportSource != nil {
			errs = append(errs, importSource(under(path.Child("importSource")), image.ImportSource, policy)...)
		}
		if image.Schedule != "" {
			_, problems := parseSchedule(path.Child("schedule"), image.Schedule)
			errs = append(errs, problems...)
		}
	}
	errs = append(errs, templateImports(specPath().Child("defaults"), spec.Defaults, policy)...)
	for _, key := range slices.Sorted(maps.Keys(spec.Pools)) {
		pool := spec.Pools[key]
		errs = append(errs, fleetPool(keyOf(specPath().Child("pools"), key), &pool, policy)...)
	}
	return limitErrors(specPath(), errs)
}

func fleetPool(path *field.Path, pool *v1alpha1.Pool, policy *Policy) field.ErrorList {
	errs := templateImports(path.Child("template"), pool.Template, policy)
	for _, ordinal := range slices.Sorted(maps.Keys(pool.Overrides)) {
		override := pool.Overrides[ordinal]
		errs = append(errs, templateImports(keyOf(path.Child("overrides"), ordinal), &override, policy)...)
	}
	if pool.SnapshotPolicy != nil {
		errs = append(errs, poolSnapshotPolicy(path.Child("snapshotPolicy"), pool.SnapshotPolicy)...)
	}
	if pool.ExportTarget != nil {
		at := under(path.Child("exportTarget"))
		problems := exportTarget(at, pool.ExportTarget, true)
		if len(problems) == 0 {
			problems = destination(at, pool.ExportTarget, policy)
		}
		errs = append(errs, problems...)
	}
	if pool.CloneSource != nil {
		errs = append(errs, cloneChoices(under(path.Child("cloneSource")), pool.CloneSource)...)
	}
	return errs
}

func poolSnapshotPolicy(path *field.Path, spec *v1alpha1.SnapshotPolicySpec) field.ErrorList {
	errs := snapshotPolicySpec(under(path), spec)
	const isPool = "must not be set in a pool: the policy selects the pool's machines"
	if spec.Selector != nil {
		errs = append(errs, field.Forbidden(path.Child("selector"), isPool))
	}
	if len(spec.VirtualMachines) > 0 {
		errs = append(errs, field.Forbidden(path.Child("virtualMachines"), isPool))
	}
	return errs
}

func templateImports(path *field.Path, template *v1alpha1.MachineTemplate, policy *Policy) field.ErrorList {
	if template == nil {
		return nil
	}
	var errs field.ErrorList
	for _, key := range slices.Sorted(maps.Keys(template.Disks)) {
		disk := template.Disks[key]
		if disk.Source != nil && disk.Source.Import != nil {
			at := under(keyOf(path.Child("disks"), key).Child("source", "import"))
			errs = append(errs, importSource(at, disk.Source.Import, policy)...)
		}
	}
	return errs
}
