package validation

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"wukong.io/wukong/pkg/apis/wukong/v1alpha1"
)

const (
	cloneCountMax  = 1000
	cloneStartMax  = 9999
	clonePrefixMax = 58
	labelsMax      = 64
)

// ValidateCloneJob checks a CloneJob.
func ValidateCloneJob(job *v1alpha1.CloneJob) field.ErrorList {
	scope := cloneScope{at: under(specPath()), namespace: job.Namespace}
	return limitErrors(specPath(), scope.validate(&job.Spec))
}

// ValidateCloneJobUpdate checks a change of a CloneJob.
func ValidateCloneJobUpdate(old, changed *v1alpha1.CloneJob) field.ErrorList {
	return immutable(&old.Spec, &changed.Spec)
}

// cloneScope is where a clone's spec stands.
type cloneScope struct {
	// at locates the spec's members.
	at locator
	// namespace of the job, or of the machine that carries the request.
	namespace string
	// request says that the spec comes from an annotation.
	request bool
}

func (s cloneScope) validate(spec *v1alpha1.CloneJobSpec) field.ErrorList {
	errs := s.source(&spec.Source)
	errs = append(errs, s.targets(&spec.Targets)...)
	errs = append(errs, oneOf(s.at("retentionPolicy"), spec.RetentionPolicy, v1alpha1.RetentionRetain, v1alpha1.RetentionDelete)...)
	errs = append(errs, jobLimits(s.at, &spec.JobLimits)...)
	errs = append(errs, s.acrossNamespaces(spec)...)
	return append(errs, s.ontoItself(spec)...)
}

func (s cloneScope) source(source *v1alpha1.CloneSource) field.ErrorList {
	at := s.at.child("source")
	errs := exactlyOne(at(), []string{"virtualMachine", "snapshot"}, []bool{source.VirtualMachine != nil, source.Snapshot != nil})
	if from := source.VirtualMachine; from != nil && !s.request {
		errs = append(errs, label(at("virtualMachine", "name"), from.Name, "the machine to clone")...)
		errs = append(errs, optionalLabel(at("virtualMachine", "namespace"), from.Namespace)...)
	}
	if from := source.Snapshot; from != nil {
		errs = append(errs, subdomain(at("snapshot", "name"), from.Name, "the VirtualMachineSnapshot to clone")...)
		errs = append(errs, optionalLabel(at("snapshot", "namespace"), from.Namespace)...)
	}
	return append(errs, cloneChoices(at, source)...)
}

func cloneChoices(at locator, source *v1alpha1.CloneSource) field.ErrorList {
	errs := oneOf(at("mode"), source.Mode, v1alpha1.CloneOffline, v1alpha1.CloneOnline)
	errs = append(errs, oneOf(at("runStrategy"), source.RunStrategy, "Always", "RerunOnFailure", "Manual", "Halted", "Once")...)
	if identity := source.Identity; identity != nil {
		errs = append(errs, oneOf(at("identity", "guest"), identity.Guest, "Keep", "Regenerate")...)
		errs = append(errs, oneOf(at("identity", "cloudInit"), identity.CloudInit, "Copy", "Share")...)
	}
	return errs
}

func (s cloneScope) targets(targets *v1alpha1.CloneTargets) field.ErrorList {
	at := s.at.child("targets")
	errs := exactlyOne(at(), []string{"name", "namePrefix"}, []bool{targets.Name != "", targets.NamePrefix != ""})
	errs = append(errs, optionalLabel(at("namespace"), targets.Namespace)...)
	errs = append(errs, optionalLabel(at("name"), targets.Name)...)
	if targets.NamePrefix == "" {
		const needs = "must not be set without namePrefix: name makes one machine, so set namePrefix for several or leave it out"
		if targets.Count != nil {
			errs = append(errs, field.Forbidden(at("count"), needs))
		}
		if targets.Start != nil {
			errs = append(errs, field.Forbidden(at("start"), needs))
		}
	} else {
		errs = append(errs, numberedTargets(at, targets)...)
	}
	return append(errs, s.labels(at("labels"), targets.Labels)...)
}

func numberedTargets(at locator, targets *v1alpha1.CloneTargets) field.ErrorList {
	errs := optionalLabel(at("namePrefix"), targets.NamePrefix)
	if targets.Count == nil {
		errs = append(errs, field.Required(at("count"), "must say how many machines namePrefix makes, from 1 to "+strconv.Itoa(cloneCountMax)))
	}
	errs = append(errs, between(at("count"), targets.Count, 1, cloneCountMax)...)
	errs = append(errs, between(at("start"), targets.Start, 0, cloneStartMax)...)
	if len(errs) > 0 {
		return errs
	}
	first, count := startAndCount(targets)
	suffix := fmt.Sprintf("-%d", first+count-1)
	limit := min(clonePrefixMax, labelMax-len(suffix))
	if len(targets.NamePrefix) > limit {
		errs = append(errs, field.Invalid(at("namePrefix"), targets.NamePrefix,
			fmt.Sprintf("must have at most %d characters: the last machine would be named %s%s, and names are never cut", limit, targets.NamePrefix, suffix)))
	}
	return errs
}

func startAndCount(targets *v1alpha1.CloneTargets) (start, count int32) {
	if targets.Start != nil {
		start = *targets.Start
	}
	if targets.Count != nil {
		count = *targets.Count
	}
	return start, count
}

// identityLabels are those of Wukong's labels that a CloneJob of a fleet gives
// its clones, as the fleet's charts do.
func identityLabels() []string {
	return []string{
		v1alpha1.LabelFleet, v1alpha1.LabelPool, v1alpha1.LabelOrdinal, v1alpha1.LabelVM,
		v1alpha1.LabelDisk, v1alpha1.LabelImage, v1alpha1.LabelManaged,
	}
}

func (s cloneScope) labels(path *field.Path, labels map[string]string) field.ErrorList {
	if len(labels) > labelsMax {
		return field.ErrorList{field.TooMany(path, len(labels), labelsMax)}
	}
	var errs field.ErrorList
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		at := keyOf(path, key)
		if problems := utilvalidation.IsQualifiedName(key); len(problems) > 0 {
			errs = append(errs, field.Invalid(at, show(key), "must be a label's key: "+strings.Join(problems, "; ")))
			continue
		}
		if problems := utilvalidation.IsValidLabelValue(labels[key]); len(problems) > 0 {
			errs = append(errs, field.Invalid(at, show(labels[key]), "must be a label's value: "+strings.Join(problems, "; ")))
		}
		prefix, _, _ := strings.Cut(key, "/")
		switch {
		case prefix == v1alpha1.GroupName && (s.request || !slices.Contains(identityLabels(), key)):
			errs = append(errs, field.Forbidden(at, "must not be one of Wukong's own labels, which say what belongs to a fleet: take it out"))
		case strings.HasSuffix(prefix, "kubevirt.io") && strings.Contains(key, "/") && key != "kubevirt.io/domain":
			errs = append(errs, field.Forbidden(at, "must not be one of KubeVirt's own labels, which KubeVirt sets itself: take it out"))
		}
	}
	return errs
}

// acrossNamespaces refuses what cannot reach from one namespace to another.
func (s cloneScope) acrossNamespaces(spec *v1alpha1.CloneJobSpec) field.ErrorList {
	target := cmp.Or(spec.Targets.Namespace, s.namespace)
	var errs field.ErrorList
	if target != s.namespace && spec.RetentionPolicy == v1alpha1.RetentionDelete {
		errs = append(errs, field.Invalid(s.at("retentionPolicy"), "Delete", "must be Retain for machines in another namespace, "+quote(target)+": owner references do not reach across namespaces"))
	}
	identity := spec.Source.Identity
	if target != s.sourceNamespace(&spec.Source) && identity != nil && identity.CloudInit == "Share" {
		errs = append(errs, field.Invalid(s.at("source", "identity", "cloudInit"), "Share", "must be Copy for machines in another namespace, "+quote(target)+": a machine reads Secrets of its own namespace alone"))
	}
	return errs
}

func (s cloneScope) sourceNamespace(source *v1alpha1.CloneSource) string {
	for _, from := range []*v1alpha1.NamespacedName{source.VirtualMachine, source.Snapshot} {
		if from != nil && from.Namespace != "" {
			return from.Namespace
		}
	}
	return s.namespace
}

// ontoItself refuses a target that is the source.
func (s cloneScope) ontoItself(spec *v1alpha1.CloneJobSpec) field.ErrorList {
	from := spec.Source.VirtualMachine
	if from == nil || from.Name == "" || cmp.Or(spec.Targets.Namespace, s.namespace) != s.sourceNamespace(&spec.Source) {
		return nil
	}
	if spec.Targets.Name == from.Name {
		return field.ErrorList{field.Invalid(s.at("targets", "name"), show(from.Name), "must not be the machine that is cloned: choose another name")}
	}
	ordinal, ok := strings.CutPrefix(from.Name, spec.Targets.NamePrefix+"-")
	number, err := strconv.ParseInt(ordinal, 10, 32)
	if spec.Targets.NamePrefix == "" || !ok || err != nil || strconv.FormatInt(number, 10) != ordinal {
		return nil
	}
	start, count := startAndCount(&spec.Targets)
	if number < int64(start) || number >= int64(start)+int64(count) {
		return nil
	}
	return field.ErrorList{field.Invalid(s.at("targets", "namePrefix"), show(spec.Targets.NamePrefix),
		fmt.Sprintf("must not number one of the clones %s, as the machine that is cloned is named so: choose another prefix, or a start behind %d", quote(from.Name), number))}
}
