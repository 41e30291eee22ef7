package validation

import (
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"wukong.io/wukong/pkg/apis/wukong/v1alpha1"
)

// locator gives the path of a member of what is checked. A request's short form
// has no members, so all its errors are at the annotation.
type locator func(names ...string) *field.Path

// under locates members below a path.
func under(path *field.Path) locator {
	return func(names ...string) *field.Path {
		if len(names) == 0 {
			return path
		}
		return path.Child(names[0], names[1:]...)
	}
}

// child locates members below a member.
func (l locator) child(name string) locator {
	return func(names ...string) *field.Path { return l(append([]string{name}, names...)...) }
}

func specPath() *field.Path {
	return field.NewPath("spec")
}

// immutable refuses any change of a job's spec.
func immutable(old, changed any) field.ErrorList {
	if equality.Semantic.DeepEqual(old, changed) {
		return nil
	}
	return field.ErrorList{field.Forbidden(specPath(), "is immutable, as the job may have begun: create another job with the new spec")}
}

const (
	deadlineMin = 60
	deadlineMax = 30 * 24 * 3600
	ttlMax      = 365 * 24 * 3600
)

func jobLimits(at locator, limits *v1alpha1.JobLimits) field.ErrorList {
	errs := between(at("deadlineSeconds"), limits.DeadlineSeconds, deadlineMin, deadlineMax)
	return append(errs, between(at("ttlSecondsAfterFinished"), limits.TTLSecondsAfterFinished, 0, ttlMax)...)
}

// ValidateRollbackJob checks a RollbackJob.
func ValidateRollbackJob(job *v1alpha1.RollbackJob) field.ErrorList {
	return rollbackSpec(under(specPath()), &job.Spec)
}

// ValidateRollbackJobUpdate checks a change of a RollbackJob.
func ValidateRollbackJobUpdate(old, changed *v1alpha1.RollbackJob) field.ErrorList {
	return immutable(&old.Spec, &changed.Spec)
}

func rollbackSpec(at locator, spec *v1alpha1.RollbackJobSpec) field.ErrorList {
	errs := label(at("virtualMachine"), spec.VirtualMachine, "the machine to take back")
	errs = append(errs, subdomain(at("snapshot"), spec.Snapshot, "the VirtualMachineSnapshot to go back to")...)
	errs = append(errs, oneOf(at("start"), spec.Start, "AsBefore", "Never")...)
	return append(errs, jobLimits(at, &spec.JobLimits)...)
}
