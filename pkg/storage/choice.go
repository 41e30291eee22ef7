package storage

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Reasons of a choice and of a disk's verdict.
const (
	// ReasonSnapshotClassOfProfile says that CDI's StorageProfile names the
	// VolumeSnapshotClass.
	ReasonSnapshotClassOfProfile = "SnapshotClassOfProfile"
	// ReasonOnlySnapshotClass says that the driver has one VolumeSnapshotClass.
	ReasonOnlySnapshotClass = "OnlySnapshotClass"
	// ReasonDefaultSnapshotClass says that one of the driver's
	// VolumeSnapshotClasses is the default.
	ReasonDefaultSnapshotClass = "DefaultSnapshotClass"
	// ReasonNoStorageClass says that the claim names no StorageClass.
	ReasonNoStorageClass = "NoStorageClass"
	// ReasonStorageClassNotFound says that the claim's StorageClass does not
	// exist.
	ReasonStorageClassNotFound = "StorageClassNotFound"
	// ReasonNoSnapshotClass says that the driver has no VolumeSnapshotClass.
	ReasonNoSnapshotClass = "NoSnapshotClass"
	// ReasonSnapshotClassNotFound says that the VolumeSnapshotClass of the
	// StorageProfile does not exist.
	ReasonSnapshotClassNotFound = "SnapshotClassNotFound"
	// ReasonSnapshotClassAmbiguous says that the driver has several
	// VolumeSnapshotClasses and none is the default.
	ReasonSnapshotClassAmbiguous = "SnapshotClassAmbiguous"
)

// Choice is the VolumeSnapshotClass that KubeVirt takes for a StorageClass.
type Choice struct {
	// Class is the VolumeSnapshotClass; empty if there is none.
	Class string
	// Ambiguous says that KubeVirt cannot decide and fails the whole snapshot,
	// where otherwise it takes the class or leaves the disk out.
	Ambiguous bool
	// Reason is one of the reasons above.
	Reason string
	// Found says what was found, in words that follow the disk: is on
	// StorageClass "x", whose driver "y" has no VolumeSnapshotClass.
	Found string
	// Advice says what to do about it; empty where all is well.
	Advice string
}

// ChooseSnapshotClass follows KubeVirt's rule: the class of the StorageProfile,
// if it exists; else the one class of the StorageClass's driver; else the
// default one of several.
//
// KubeVirt takes the first default it comes across. Where there are several
// this gives the first by name, which is as good a guess as any.
func ChooseSnapshotClass(storageClass string, facts Facts) Choice {
	if storageClass == "" {
		return Choice{
			Reason: ReasonNoStorageClass,
			Found:  "is on a claim without a StorageClass",
			Advice: "move it to a StorageClass whose driver takes snapshots",
		}
	}
	class, ok := facts.StorageClass(storageClass)
	if !ok {
		return Choice{
			Reason: ReasonStorageClassNotFound,
			Found:  fmt.Sprintf("is on StorageClass %q, which does not exist", storageClass),
			Advice: "create that StorageClass, or move the disk to one whose driver takes snapshots",
		}
	}
	if profile, ok := facts.StorageProfile(storageClass); ok && profile.SnapshotClass != "" {
		return chooseByProfile(storageClass, profile.SnapshotClass, facts)
	}
	return chooseByDriver(class, facts)
}

// chooseByProfile holds even where the profile's class is of another driver:
// KubeVirt does not compare them.
func chooseByProfile(storageClass, named string, facts Facts) Choice {
	exists := slices.ContainsFunc(facts.SnapshotClasses(), func(c SnapshotClass) bool { return c.Name == named })
	if !exists {
		return Choice{
			Reason: ReasonSnapshotClassNotFound,
			Found:  fmt.Sprintf("is on StorageClass %q, whose StorageProfile names VolumeSnapshotClass %q, which does not exist", storageClass, named),
			Advice: fmt.Sprintf("create it, or correct spec.snapshotClass of StorageProfile %q", storageClass),
		}
	}
	return Choice{
		Class: named, Reason: ReasonSnapshotClassOfProfile,
		Found: fmt.Sprintf("is on StorageClass %q, whose StorageProfile names VolumeSnapshotClass %q", storageClass, named),
	}
}

func chooseByDriver(class StorageClass, facts Facts) Choice {
	var matches []SnapshotClass
	for _, candidate := range facts.SnapshotClasses() {
		if candidate.Driver == class.Provisioner {
			matches = append(matches, candidate)
		}
	}
	slices.SortFunc(matches, func(a, b SnapshotClass) int { return cmp.Compare(a.Name, b.Name) })
	on := fmt.Sprintf("is on StorageClass %q, whose driver %q has ", class.Name, class.Provisioner)
	switch len(matches) {
	case 0:
		return Choice{
			Reason: ReasonNoSnapshotClass,
			Found:  on + "no VolumeSnapshotClass",
			Advice: "create a VolumeSnapshotClass for the driver, or move the disk to a StorageClass whose driver takes snapshots",
		}
	case 1:
		return Choice{
			Class: matches[0].Name, Reason: ReasonOnlySnapshotClass,
			Found: on + fmt.Sprintf("VolumeSnapshotClass %q", matches[0].Name),
		}
	}
	for _, match := range matches {
		if match.Default {
			return Choice{
				Class: match.Name, Reason: ReasonDefaultSnapshotClass,
				Found: on + fmt.Sprintf("%d VolumeSnapshotClasses, of which %q is the default", len(matches), match.Name),
			}
		}
	}
	return Choice{
		Ambiguous: true, Reason: ReasonSnapshotClassAmbiguous,
		Found:  on + fmt.Sprintf("%d VolumeSnapshotClasses (%s) and no default among them", len(matches), quoteSome(matches)),
		Advice: fmt.Sprintf("annotate one with %s: \"true\", or name one in spec.snapshotClass of StorageProfile %q", annotationDefaultSnapshotClass, class.Name),
	}
}

// maxNamed is how many names of a list a message spells out.
const maxNamed = 4

func quoteSome(classes []SnapshotClass) string {
	names := make([]string, 0, maxNamed)
	for _, class := range classes[:min(len(classes), maxNamed)] {
		names = append(names, strconv.Quote(class.Name))
	}
	text := strings.Join(names, ", ")
	if more := len(classes) - len(names); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// defaultClass gives the StorageClass a claim gets that names none: for a
// DataVolume's spec.storage the default for machines, else the cluster's. Of
// several defaults the newest counts, then the first by name.
func defaultClass(api ClaimAPI, facts Facts) (StorageClass, bool) {
	classes := facts.StorageClasses()
	if api == ByStorage {
		if class, ok := newest(classes, func(c StorageClass) bool { return c.VirtDefault }); ok {
			return class, true
		}
	}
	return newest(classes, func(c StorageClass) bool { return c.Default })
}

func newest(classes []StorageClass, is func(StorageClass) bool) (StorageClass, bool) {
	var best StorageClass
	found := false
	for _, class := range classes {
		if !is(class) {
			continue
		}
		older := class.Created.Compare(best.Created)
		if !found || older > 0 || older == 0 && class.Name < best.Name {
			best, found = class, true
		}
	}
	return best, found
}
