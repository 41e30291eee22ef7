package preflight

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"wukong.io/wukong/pkg/cli/manifest"
)

// Finding is something a fleet needs and the cluster lacks.
type Finding struct {
	// Fatal says that the fleet cannot come up; other findings may be mended
	// later, as by making a Secret.
	Fatal bool
	// Message says what is missing, for whom, and what to do.
	Message string
}

// Decide compares what is needed with what there is.
func Decide(needs Needs, facts Facts) []Finding {
	findings := missingKinds(facts)
	findings = append(findings, missingClasses(needs, facts)...)
	findings = append(findings, missingSnapshotClasses(needs, facts)...)
	findings = append(findings, missingGates(needs, facts)...)
	for _, namespace := range facts.MissingSources {
		findings = append(findings, Finding{Fatal: true, Message: fmt.Sprintf("%s is cloned from namespace %q, which does not exist", needs.Sources[namespace], namespace)})
	}
	findings = append(findings, missingReferences(needs, facts)...)
	for _, unknown := range facts.Unknown {
		findings = append(findings, Finding{Message: unknown})
	}
	return findings
}

// missingKinds tells each missing group once, with what brings it.
func missingKinds(facts Facts) []Finding {
	byGroup := map[string][]string{}
	for _, kind := range facts.MissingKinds {
		byGroup[kind.Group] = append(byGroup[kind.Group], kind.Kind)
	}
	var findings []Finding
	for _, group := range slices.Sorted(maps.Keys(byGroup)) {
		findings = append(findings, Finding{Fatal: true, Message: fmt.Sprintf("the cluster does not know %s of %s: %s",
			strings.Join(byGroup[group], ", "), cmp.Or(group, "the core API"), whoBrings(schema.GroupKind{Group: group}))})
	}
	return findings
}

func whoBrings(kind schema.GroupKind) string {
	switch kind.Group {
	case "kubevirt.io", "snapshot.kubevirt.io", "instancetype.kubevirt.io":
		return "install KubeVirt"
	case "cdi.kubevirt.io":
		return "install CDI, the Containerized Data Importer"
	case "snapshot.storage.k8s.io":
		return "install the CSI external-snapshotter with its CRDs, or set cloneFrom: PersistentVolumeClaim on the images"
	case "k8s.cni.cncf.io":
		return "install Multus"
	case "nmstate.io":
		return "install the Kubernetes NMState operator, or make the bridges yourself and drop hostNetworks"
	case "wukong.io":
		return "install the chart wukong, which brings Wukong's controllers"
	default:
		return "install what brings it"
	}
}

func missingClasses(needs Needs, facts Facts) []Finding {
	if facts.Classes == nil {
		return nil
	}
	var findings []Finding
	for _, class := range slices.Sorted(maps.Keys(needs.Classes)) {
		user := needs.Classes[class]
		if class == "" {
			if _, found := facts.defaultClass(); !found {
				findings = append(findings, Finding{Fatal: true, Message: fmt.Sprintf(
					"%s names no storage class and the cluster has no default one: set storageClassName to one of %s", user, facts.classList())})
			}
			continue
		}
		if _, found := facts.Classes[class]; !found {
			findings = append(findings, Finding{Fatal: true, Message: fmt.Sprintf(
				"%s wants storage class %q, which does not exist: there are %s", user, class, facts.classList())})
		}
	}
	return findings
}

// defaultClass gives the name of the class that is taken where none is named.
func (f Facts) defaultClass() (string, bool) {
	for _, name := range slices.Sorted(maps.Keys(f.Classes)) {
		if f.Classes[name].Default {
			return name, true
		}
	}
	return "", false
}

func (f Facts) classList() string {
	return list(slices.Sorted(maps.Keys(f.Classes)))
}

func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// missingSnapshotClasses finds images whose storage cannot make the snapshot
// their machines are cloned from.
func missingSnapshotClasses(needs Needs, facts Facts) []Finding {
	if facts.SnapshotClasses == nil || facts.Classes == nil {
		return nil
	}
	var findings []Finding
	for _, image := range needs.Images {
		if message := image.trouble(facts); message != "" {
			findings = append(findings, Finding{Fatal: true, Message: message})
		}
	}
	return findings
}

func (i Image) trouble(facts Facts) string {
	if i.SnapshotClass != "" {
		if _, found := facts.SnapshotClasses[i.SnapshotClass]; !found {
			return fmt.Sprintf("image %q wants volume snapshot class %q, which does not exist: there are %s",
				i.Name, i.SnapshotClass, list(slices.Sorted(maps.Keys(facts.SnapshotClasses))))
		}
		return ""
	}
	name := i.Class
	if name == "" {
		name, _ = facts.defaultClass()
	}
	class, found := facts.Classes[name]
	if !found {
		return "" // told as a missing class
	}
	switch all, defaults := facts.snapshotClassesOf(class.Provisioner); {
	case len(defaults) == 1:
		return ""
	case len(defaults) > 1:
		return fmt.Sprintf("image %q cannot be cloned from a snapshot: driver %q of its storage class %q has several default VolumeSnapshotClasses, %s; "+
			"take the annotation %s from all but one", i.Name, class.Provisioner, name, list(defaults), annotationDefaultSnapshot)
	case len(all) > 0:
		return fmt.Sprintf("image %q cannot be cloned from a snapshot: driver %q of its storage class %q has no default VolumeSnapshotClass; make one the default with: "+
			"kubectl annotate volumesnapshotclass %s %s=true, or set images.%s.cloneFrom to PersistentVolumeClaim",
			i.Name, class.Provisioner, name, all[0], annotationDefaultSnapshot, i.Name)
	}
	message := fmt.Sprintf("image %q cannot be cloned from a snapshot: its storage class %q is of driver %q, for which there is no VolumeSnapshotClass; "+
		"set images.%s.cloneFrom to PersistentVolumeClaim", i.Name, name, class.Provisioner, i.Name)
	if able := facts.ableClasses(); len(able) > 0 {
		message += fmt.Sprintf(", or images.%s.storageClassName to one that can: %s", i.Name, strings.Join(able, ", "))
	}
	return message
}

// snapshotClassesOf gives the VolumeSnapshotClasses of a driver, and those of
// them that are the default. A snapshot that names no class needs one default.
func (f Facts) snapshotClassesOf(driver string) (all, defaults []string) {
	for _, name := range slices.Sorted(maps.Keys(f.SnapshotClasses)) {
		class := f.SnapshotClasses[name]
		if class.Driver != driver {
			continue
		}
		all = append(all, name)
		if class.Default {
			defaults = append(defaults, name)
		}
	}
	return all, defaults
}

// ableClasses are the storage classes that can make snapshots.
func (f Facts) ableClasses() []string {
	var able []string
	for _, name := range slices.Sorted(maps.Keys(f.Classes)) {
		if _, defaults := f.snapshotClassesOf(f.Classes[name].Provisioner); len(defaults) == 1 {
			able = append(able, name)
		}
	}
	return able
}

func missingGates(needs Needs, facts Facts) []Finding {
	if facts.Gates == nil {
		return nil
	}
	var findings []Finding
	told := map[string]bool{}
	for _, kind := range needs.Kinds {
		gate := gateOf(kind.Kind)
		if gate == "" || facts.Gates[gate] || told[gate] {
			continue
		}
		told[gate] = true
		findings = append(findings, Finding{Message: fmt.Sprintf(
			"KubeVirt's feature gate %s is off, and %s needs it: add it to spec.configuration.developerConfiguration.featureGates of the KubeVirt object", gate, kind.Kind)})
	}
	return findings
}

// shownMissing bounds how many missing objects of one kind are told.
const shownMissing = 5

// missingReferences warns of what is not there yet; it may still be made.
func missingReferences(needs Needs, facts Facts) []Finding {
	var findings []Finding
	counts := map[string]int{}
	for _, key := range facts.Missing {
		counts[key.Kind]++
		if counts[key.Kind] > shownMissing {
			continue
		}
		findings = append(findings, Finding{Message: fmt.Sprintf("%s does not exist yet; %s needs it", describe(key), needs.References[key])})
	}
	for _, kind := range slices.Sorted(maps.Keys(counts)) {
		if more := counts[kind] - shownMissing; more > 0 {
			findings = append(findings, Finding{Message: fmt.Sprintf("%d more objects of kind %s do not exist yet", more, kind)})
		}
	}
	return findings
}

func compareKeys(a, b manifest.Key) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}
