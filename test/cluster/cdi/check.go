package cdi

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/robfig/cron/v3"
	corev1 "k8s.io/api/core/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
)

// checkSpec is why CDI refuses the spec of a DataVolume; "" is that it does not.
func checkSpec(spec *cdiv1.DataVolumeSpec) string {
	for _, check := range []func(*cdiv1.DataVolumeSpec) string{checkTarget, checkSize, checkModes, checkSource} {
		if reason := check(spec); reason != "" {
			return reason
		}
	}
	return ""
}

func checkTarget(spec *cdiv1.DataVolumeSpec) string {
	switch {
	case spec.PVC == nil && spec.Storage == nil:
		return "Missing Data volume PVC"
	case spec.PVC != nil && spec.Storage != nil:
		return "Duplicate storage definition, both target storage and target pvc defined"
	default:
		return ""
	}
}

func checkSize(spec *cdiv1.DataVolumeSpec) string {
	name, requests := "PVC", corev1.ResourceList(nil)
	if spec.PVC != nil {
		requests = spec.PVC.Resources.Requests
	} else {
		name, requests = "Storage", spec.Storage.Resources.Requests
	}
	kind, _, _ := cloneSource(spec.Source, "")
	size, given := requests[corev1.ResourceStorage]
	switch {
	case !given && spec.Storage != nil && (kind != "" || spec.SourceRef != nil):
		return ""
	case !given:
		return name + " size is missing"
	case size.Sign() <= 0:
		return name + " size can't be equal or less than zero"
	case size.Value() < mebibyte:
		return name + " size should be at least 1MiB"
	default:
		return ""
	}
}

func checkModes(spec *cdiv1.DataVolumeSpec) string {
	modes := []corev1.PersistentVolumeAccessMode(nil)
	if spec.Storage != nil {
		modes = spec.Storage.AccessModes
	}
	if spec.PVC != nil {
		modes = spec.PVC.AccessModes
		if len(modes) == 0 {
			return "Required value: at least 1 access mode is required"
		}
		if len(modes) > 1 {
			return "PVC multiple accessModes"
		}
	}
	known := []corev1.PersistentVolumeAccessMode{
		corev1.ReadOnlyMany, corev1.ReadWriteMany, corev1.ReadWriteOnce, corev1.ReadWriteOncePod,
	}
	for _, mode := range modes {
		if !slices.Contains(known, mode) {
			return fmt.Sprintf("Unsupported value: %q: supported values: %q", mode, known)
		}
	}
	return ""
}

func checkSource(spec *cdiv1.DataVolumeSpec) string {
	if external, namespaced := populatedElsewhere(spec); external {
		switch {
		case spec.Source != nil || spec.SourceRef != nil:
			return "External population is incompatible with Source and SourceRef"
		case namespaced:
			return "Invalid value: DataSourceRef namespace not supported"
		default:
			return ""
		}
	}
	if (spec.Source == nil) == (spec.SourceRef == nil) {
		return "Data volume should have either Source or SourceRef, or be externally populated"
	}
	if ref := spec.SourceRef; ref != nil {
		return checkSourceRef(ref)
	}
	switch setFields(*spec.Source) {
	case 0:
		return "Missing Data volume source"
	case 1:
		return checkSourceFields(spec.Source)
	default:
		return "Multiple Data volume sources"
	}
}

func populatedElsewhere(spec *cdiv1.DataVolumeSpec) (external, namespaced bool) {
	var ref *corev1.TypedObjectReference
	var local *corev1.TypedLocalObjectReference
	if spec.PVC != nil {
		ref, local = spec.PVC.DataSourceRef, spec.PVC.DataSource
	} else {
		ref, local = spec.Storage.DataSourceRef, spec.Storage.DataSource
	}
	return ref != nil || local != nil, ref != nil && ref.Namespace != nil && *ref.Namespace != ""
}

func checkSourceRef(ref *cdiv1.DataVolumeSourceRef) string {
	switch {
	case ref.Kind != cdiv1.DataVolumeDataSource:
		return fmt.Sprintf("Unsupported sourceRef kind %s, currently only %s is supported", ref.Kind, cdiv1.DataVolumeDataSource)
	case ref.Name == "":
		return "Missing sourceRef name"
	default:
		return ""
	}
}

func checkSourceFields(source *cdiv1.DataVolumeSource) string {
	switch {
	case source.HTTP != nil:
		if reason := checkURL(source.HTTP.URL, "http", "https"); reason != "" {
			return reason
		}
		return checkChecksum(source.HTTP.Checksum)
	case source.S3 != nil:
		return checkURL(source.S3.URL, "http", "https")
	case source.GCS != nil:
		return checkURL(source.GCS.URL, "gs", "http", "https")
	case source.Registry != nil:
		return checkRegistry(source.Registry)
	case source.PVC != nil && (source.PVC.Namespace == "" || source.PVC.Name == ""):
		return "spec.source.PVC source PVC is not valid"
	case source.Snapshot != nil && (source.Snapshot.Namespace == "" || source.Snapshot.Name == ""):
		return "spec.source.Snapshot source snapshot is not valid"
	default:
		return ""
	}
}

func checkURL(value string, schemes ...string) string {
	if value == "" {
		return "source URL is empty"
	}
	parsed, err := url.Parse(value)
	if err != nil || parsed.Host == "" {
		return "Invalid source URL: " + value
	}
	if !slices.Contains(schemes, parsed.Scheme) {
		return "Invalid source URL scheme: " + value
	}
	return ""
}

func checkChecksum(checksum string) string {
	if checksum == "" {
		return ""
	}
	algorithm, hex, found := strings.Cut(checksum, ":")
	lengths := map[string]int{"md5": 32, "sha1": 40, "sha256": 64, "sha512": 128}
	if !found || lengths[strings.ToLower(algorithm)] != len(hex) || strings.Trim(strings.ToLower(hex), "0123456789abcdef") != "" {
		return fmt.Sprintf("Invalid checksum %q, must be algorithm:hash with algorithm md5, sha1, sha256 or sha512", checksum)
	}
	return ""
}

func checkRegistry(source *cdiv1.DataVolumeSourceRegistry) string {
	switch {
	case source.URL == nil && source.ImageStream == nil:
		return "Source registry should have either URL or ImageStream"
	case source.URL != nil && source.ImageStream != nil:
		return "Source registry should have either URL or ImageStream, not both"
	case source.URL == nil:
		return ""
	}
	return checkURL(*source.URL, "docker", "oci-archive")
}

// checkCron is why CDI refuses a DataImportCron; "" is that it does not.
func checkCron(job *cdiv1.DataImportCron) string {
	source := job.Spec.Template.Spec.Source
	if source == nil || (source.Registry == nil && source.PVC == nil) {
		return "Missing DataImportCron source: only registry and pvc are supported"
	}
	if source.Registry != nil {
		if reason := checkSpec(&job.Spec.Template.Spec); reason != "" {
			return reason
		}
	}
	if job.Spec.ManagedDataSource == "" {
		return "ManagedDataSource is missing"
	}
	if job.Spec.Schedule != "" {
		if _, err := cron.ParseStandard(job.Spec.Schedule); err != nil {
			return "Illegal cron schedule " + job.Spec.Schedule
		}
	}
	return ""
}
