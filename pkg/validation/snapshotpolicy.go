package validation

import (
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"wukong.io/wukong/pkg/apis/wukong/v1alpha1"
)

const (
	policyMachinesMax = 1000
	retentionMax      = 1000
	failedMax         = 100
	staggerMax        = 86400
	startDeadlineMax  = 604800
)

// ValidateSnapshotPolicy checks a SnapshotPolicy.
func ValidateSnapshotPolicy(policy *v1alpha1.SnapshotPolicy) field.ErrorList {
	at := under(specPath())
	errs := snapshotPolicySpec(at, &policy.Spec)
	errs = append(errs, policySelection(at, &policy.Spec)...)
	return limitErrors(specPath(), errs)
}

// ValidateSnapshotPolicyUpdate checks a change of a SnapshotPolicy, all of which
// may change.
func ValidateSnapshotPolicyUpdate(_, changed *v1alpha1.SnapshotPolicy) field.ErrorList {
	return ValidateSnapshotPolicy(changed)
}

func policySelection(at locator, spec *v1alpha1.SnapshotPolicySpec) field.ErrorList {
	var errs field.ErrorList
	if spec.Selector != nil {
		if _, err := metav1.LabelSelectorAsSelector(spec.Selector); err != nil {
			errs = append(errs, field.Invalid(at("selector"), show(err.Error()), "must be a label selector"))
		}
	}
	path := at("virtualMachines")
	if len(spec.VirtualMachines) > policyMachinesMax {
		return append(errs, field.TooMany(path, len(spec.VirtualMachines), policyMachinesMax))
	}
	seen := map[string]bool{}
	for i, name := range spec.VirtualMachines {
		errs = append(errs, label(path.Index(i), name, "a machine")...)
		if seen[name] {
			errs = append(errs, duplicate(path.Index(i), name))
		}
		seen[name] = true
	}
	return errs
}

// snapshotPolicySpec checks what a policy and a pool have in common.
func snapshotPolicySpec(at locator, spec *v1alpha1.SnapshotPolicySpec) field.ErrorList {
	schedule, errs := parseSchedule(at("schedule"), spec.Schedule)
	errs = append(errs, timeZone(at("timeZone"), spec.TimeZone)...)
	errs = append(errs, oneOf(at("concurrencyPolicy"), spec.ConcurrencyPolicy, "Forbid", "Allow")...)
	errs = append(errs, oneOf(at("consistency"), spec.Consistency, "Required", "Preferred", "CrashConsistent")...)
	errs = append(errs, oneOf(at("whenDeleted"), spec.WhenDeleted, v1alpha1.RetentionRetain, v1alpha1.RetentionDelete)...)
	errs = append(errs, between(at("startingDeadlineSeconds"), spec.StartingDeadlineSeconds, 0, startDeadlineMax)...)
	errs = append(errs, between(at("staggerWindowSeconds"), spec.StaggerWindowSeconds, 0, staggerMax)...)
	errs = append(errs, stagger(at, spec, schedule)...)
	if spec.Retention != nil {
		errs = append(errs, retention(at.child("retention"), spec.Retention)...)
	}
	return errs
}

// stagger refuses a window in which the next run begins.
func stagger(at locator, spec *v1alpha1.SnapshotPolicySpec, schedule cron.Schedule) field.ErrorList {
	if schedule == nil || spec.StaggerWindowSeconds == nil || *spec.StaggerWindowSeconds > staggerMax {
		return nil
	}
	window := time.Duration(*spec.StaggerWindowSeconds) * time.Second
	interval := shortestInterval(schedule)
	if interval == 0 || window <= interval {
		return nil
	}
	return field.ErrorList{field.Invalid(at("staggerWindowSeconds"), *spec.StaggerWindowSeconds,
		fmt.Sprintf("must be at most %d, the shortest time between two runs of the schedule, or the next run begins before the last machine's turn", int64(interval.Seconds())))}
}

func retention(at locator, keep *v1alpha1.SnapshotRetention) field.ErrorList {
	errs := between(at("maxCount"), keep.MaxCount, 1, retentionMax)
	errs = append(errs, between(at("maxFailed"), keep.MaxFailed, 0, failedMax)...)
	if keep.MaxAge != nil && keep.MaxAge.Duration <= 0 {
		errs = append(errs, field.Invalid(at("maxAge"), keep.MaxAge.Duration.String(), "must be a duration above zero, such as 720h"))
	}
	rules := keepRules(keep)
	for _, rule := range rules {
		errs = append(errs, between(at(rule.name), rule.count, 0, retentionMax)...)
	}
	if len(errs) > 0 {
		return errs
	}
	return append(errs, contradictions(at, keep, rules)...)
}

// keepRule is one of the keep fields of a retention.
type keepRule struct {
	name  string
	count *int32
	// span is how long one of its periods is; 0 for keepLast.
	span time.Duration
}

func keepRules(keep *v1alpha1.SnapshotRetention) []keepRule {
	const day = 24 * time.Hour
	return []keepRule{
		{"keepLast", keep.KeepLast, 0},
		{"keepDaily", keep.KeepDaily, day},
		{"keepWeekly", keep.KeepWeekly, 7 * day},
		{"keepMonthly", keep.KeepMonthly, 28 * day},
	}
}

// contradictions refuses rules one of which deletes what another is to keep.
func contradictions(at locator, keep *v1alpha1.SnapshotRetention, rules []keepRule) field.ErrorList {
	var errs field.ErrorList
	var zeroes []string
	for _, rule := range rules {
		if rule.count == nil {
			continue
		}
		count := *rule.count
		if count == 0 {
			zeroes = append(zeroes, rule.name)
			continue
		}
		if keep.MaxCount != nil && count > *keep.MaxCount {
			errs = append(errs, field.Invalid(at(rule.name), count, fmt.Sprintf("must be at most maxCount, %d, past which snapshots are deleted whatever keeps them: raise maxCount or lower %s", *keep.MaxCount, rule.name)))
		}
		if needs := time.Duration(count-1) * rule.span; keep.MaxAge != nil && needs > keep.MaxAge.Duration {
			errs = append(errs, field.Invalid(at(rule.name), count, fmt.Sprintf("must not reach further back than maxAge, %s, past which snapshots are deleted whatever keeps them: raise maxAge to %dh or more, or lower %s", keep.MaxAge.Duration, int64(needs.Hours()), rule.name)))
		}
	}
	if len(zeroes) > 0 && len(zeroes) == countSet(rules) {
		errs = append(errs, field.Invalid(at(), strings.Join(zeroes, ", ")+": 0", "must keep something: all keep rules are 0, so every snapshot but the last would be deleted; raise one, or leave them out"))
	}
	return errs
}

func countSet(rules []keepRule) int {
	count := 0
	for _, rule := range rules {
		if rule.count != nil {
			count++
		}
	}
	return count
}
