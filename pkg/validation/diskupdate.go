package validation

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"wukong.io/wukong/pkg/apis/wukong/v1alpha1"
)

// diskChange is a disk that machines keep, before and after an edit.
type diskChange struct {
	key          string
	path         *field.Path
	old, changed v1alpha1.Disk
	// has and keeps say which machines have the disk, for a sentence.
	has, keeps string
}

const (
	newKey = "give the disk another key to have a new one made beside it, or delete a machine's disk and the machine to have both made anew"
	moveIt = "give the disk another key and clone the old one into it, or move a machine's volume by hand with updateVolumesStrategy: Migration"
)

func (d diskChange) refusals() field.ErrorList {
	if !isMade(d.old.Source) || !isMade(d.changed.Source) {
		return nil // another claim in place of the disk, which KubeVirt heeds
	}
	var errs field.ErrorList
	forbid := func(member, from, to, why, advice string) {
		errs = append(errs, field.Forbidden(d.path.Child(member), fmt.Sprintf("cannot change from %s to %s, as %s the disk: %s: %s", from, to, d.has, why, advice)))
	}
	if !equality.Semantic.DeepEqual(d.old.Source, d.changed.Source) {
		forbid("source", describeSource(d.old.Source), describeSource(d.changed.Source), "CDI fills a disk once and ignores another source", newKey)
	}
	if d.old.Size != nil && d.changed.Size != nil && d.changed.Size.Cmp(*d.old.Size) < 0 {
		forbid("size", d.old.Size.String(), d.changed.Size.String(), "no disk can shrink", "set it back, or "+newKey)
	}
	const classWhy = "a disk stays on the storage it was made on"
	if text := classText(d.old.StorageClassName); text != classText(d.changed.StorageClassName) {
		forbid("storageClassName", text, classText(d.changed.StorageClassName), classWhy, moveIt)
	}
	if !slices.Equal(d.old.AccessModes, d.changed.AccessModes) {
		forbid("accessModes", listText(d.old.AccessModes), listText(d.changed.AccessModes), "a claim keeps its access modes", moveIt)
	}
	if d.old.VolumeMode != d.changed.VolumeMode {
		forbid("volumeMode", orDefault(string(d.old.VolumeMode)), orDefault(string(d.changed.VolumeMode)), "a claim keeps its volume mode", moveIt)
	}
	return errs
}

func (d diskChange) warnings(old, changed *v1alpha1.WukongSpec) []string {
	var warnings []string
	if d.old.Size != nil && d.changed.Size != nil && d.changed.Size.Cmp(*d.old.Size) > 0 {
		warnings = append(warnings, fmt.Sprintf("%s: grows from %s to %s, and %s: enlarge the claim, by kubectl patch pvc, on a StorageClass with allowVolumeExpansion",
			d.path.Child("size"), d.old.Size, d.changed.Size, d.keeps))
	}
	image := imageOf(d.changed.Source)
	if image != "" && image == imageOf(d.old.Source) && !equality.Semantic.DeepEqual(imageContent(old, image), imageContent(changed, image)) {
		warnings = append(warnings, fmt.Sprintf("%s: image %q changes, and %s: new machines get the new image; delete a machine's disk and the machine to have both made anew",
			d.path.Child("source", "image"), show(image), d.keeps))
	}
	return warnings
}

// isMade says whether a DataVolume is made for the disk, rather than an
// existing claim used.
func isMade(source *v1alpha1.DiskSource) bool {
	return source != nil && source.PVC == nil
}

func imageOf(source *v1alpha1.DiskSource) string {
	if source == nil {
		return ""
	}
	return source.Image
}

// imageContent gives what decides the content of an image.
func imageContent(spec *v1alpha1.WukongSpec, key string) any {
	image := spec.Images[key]
	return []any{image.ImportSource, image.DataSource}
}

func describeSource(source *v1alpha1.DiskSource) string {
	switch {
	case source.Image != "":
		return "image " + quote(source.Image)
	case source.Import != nil:
		return "import from " + importKind(source.Import)
	case source.Clone != nil:
		return "clone of " + describeClone(source.Clone)
	case source.Empty != nil:
		return "empty"
	}
	return "none"
}

// importKind names an import without its URL, which may hold a secret.
func importKind(source *v1alpha1.ImportSource) string {
	switch {
	case source.Registry != nil:
		return "registry " + redact(source.Registry.URL)
	case source.HTTP != nil:
		return "http " + redact(source.HTTP.URL)
	case source.S3 != nil:
		return "s3 " + redact(source.S3.URL)
	case source.GCS != nil:
		return "gcs " + redact(source.GCS.URL)
	case source.ImageIO != nil:
		return "imageio disk " + quote(source.ImageIO.DiskID)
	case source.VDDK != nil:
		return "vddk file " + quote(source.VDDK.BackingFile)
	case source.PVC != nil:
		return "claim " + quote(source.PVC.Name)
	}
	return "upload"
}

func describeClone(clone *v1alpha1.DiskCloneSource) string {
	switch {
	case clone.PVC != nil:
		return "claim " + quote(clone.PVC.Name)
	case clone.Snapshot != nil:
		return "snapshot " + quote(clone.Snapshot.Name)
	case clone.VirtualMachine != nil:
		return fmt.Sprintf("disk %q of machine %q", show(clone.VirtualMachine.Disk), show(clone.VirtualMachine.Name))
	}
	return "nothing"
}

func classText(name *string) string {
	if name == nil {
		return "the default"
	}
	return quote(*name)
}

func listText(modes []v1alpha1.AccessMode) string {
	texts := make([]string, len(modes))
	for i, mode := range modes {
		texts[i] = string(mode)
	}
	return orDefault(strings.Join(texts, ", "))
}

func orDefault(text string) string {
	if text == "" {
		return "the default"
	}
	return text
}
