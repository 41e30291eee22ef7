package validation

import (
	"net/textproto"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"wukong.io/wukong/pkg/apis/wukong/v1alpha1"
)

const (
	diskMin         = 1 << 20
	headersMax      = 16
	headerMax       = 1024
	architectureMax = 32
	vddkFieldMax    = 1024
)

//nolint:gochecknoglobals // compiled constants
var (
	sha256Pattern     = regexp.MustCompile(`^[0-9a-f]{64}$`)
	checksumPattern   = regexp.MustCompile(`^(md5:[0-9a-f]{32}|sha1:[0-9a-f]{40}|sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$`)
	headerNamePattern = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")
)

// ValidateImportJob checks an ImportJob, and its source against a policy.
func ValidateImportJob(job *v1alpha1.ImportJob, policy *Policy) field.ErrorList {
	at := under(specPath())
	spec := &job.Spec
	errs := importSource(at.child("source"), &spec.Source, policy)
	errs = append(errs, importTarget(at.child("target"), &spec.Target)...)
	if spec.RawSHA256 != "" && !sha256Pattern.MatchString(spec.RawSHA256) {
		errs = append(errs, field.Invalid(at("rawSHA256"), show(spec.RawSHA256), "must be 64 lower-case hexadecimal digits"))
	}
	errs = append(errs, oneOf(at("onFailure"), spec.OnFailure, "Delete", "Keep")...)
	errs = append(errs, jobLimits(at, &spec.JobLimits)...)
	if from := spec.Source.PVC; from != nil && from.Name == spec.Target.Name && (from.Namespace == "" || from.Namespace == job.Namespace) {
		errs = append(errs, field.Invalid(at("target", "name"), show(spec.Target.Name), "must not be the claim that is imported: choose another name"))
	}
	return limitErrors(specPath(), errs)
}

// ValidateImportJobUpdate checks a change of an ImportJob.
func ValidateImportJobUpdate(old, changed *v1alpha1.ImportJob) field.ErrorList {
	return immutable(&old.Spec, &changed.Spec)
}

func importTarget(at locator, target *v1alpha1.ImportTarget) field.ErrorList {
	errs := label(at("name"), target.Name, "the claim to make")
	errs = append(errs, diskSize(at("size"), &target.Size)...)
	return append(errs, volumeShape(at, target.StorageClassName, target.AccessModes, target.VolumeMode)...)
}

func diskSize(path *field.Path, size *resource.Quantity) field.ErrorList {
	if size.IsZero() {
		return field.ErrorList{field.Required(path, "must be the size of the disk, such as 10Gi")}
	}
	if size.CmpInt64(diskMin) < 0 {
		return field.ErrorList{field.Invalid(path, size.String(), "must be at least 1Mi")}
	}
	return nil
}

func volumeShape(at locator, class *string, modes []v1alpha1.AccessMode, volumeMode v1alpha1.VolumeMode) field.ErrorList {
	var errs field.ErrorList
	if class != nil {
		errs = append(errs, optionalSubdomain(at("storageClassName"), *class)...)
	}
	for i, mode := range modes {
		path := at("accessModes").Index(i)
		if mode == "" {
			errs = append(errs, field.Required(path, "must be an access mode such as ReadWriteOnce"))
		}
		errs = append(errs, oneOf(path, mode, "ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod")...)
		if slices.Contains(modes[:i], mode) {
			errs = append(errs, duplicate(path, string(mode)))
		}
	}
	if len(modes) > 1 && slices.Contains(modes, "ReadWriteOncePod") {
		errs = append(errs, field.Invalid(at("accessModes"), listText(modes), "must have ReadWriteOncePod alone or not at all, as Kubernetes demands"))
	}
	return append(errs, oneOf(at("volumeMode"), volumeMode, "Block", "Filesystem")...)
}

// ValidateImportSource checks where a disk is imported from, and its URL against
// a policy.
func ValidateImportSource(source *v1alpha1.ImportSource, policy *Policy, path *field.Path) field.ErrorList {
	return importSource(under(path), source, policy)
}

func importSource(at locator, source *v1alpha1.ImportSource, policy *Policy) field.ErrorList {
	members := []string{"registry", "http", "s3", "gcs", "imageio", "vddk", "upload", "pvc"}
	errs := exactlyOne(at(), members, []bool{
		source.Registry != nil, source.HTTP != nil, source.S3 != nil, source.GCS != nil,
		source.ImageIO != nil, source.VDDK != nil, source.Upload != nil, source.PVC != nil,
	})
	if from := source.Registry; from != nil {
		errs = append(errs, registrySource(at.child("registry"), from, policy)...)
	}
	if from := source.HTTP; from != nil {
		errs = append(errs, httpSource(at.child("http"), from, policy)...)
	}
	if from := source.S3; from != nil {
		errs = append(errs, objectSource(at.child("s3"), URLS3, from.URL, from.SecretName, from.CertConfigMap, policy)...)
	}
	if from := source.GCS; from != nil {
		errs = append(errs, objectSource(at.child("gcs"), URLGCS, from.URL, from.SecretName, "", policy)...)
	}
	if from := source.ImageIO; from != nil {
		errs = append(errs, objectSource(at.child("imageio"), URLImageIO, from.URL, from.SecretName, from.CertConfigMap, policy)...)
		errs = append(errs, plainText(at("imageio", "diskId"), from.DiskID, subdomainMax, "the disk's id in oVirt")...)
	}
	if from := source.VDDK; from != nil {
		errs = append(errs, vddkSource(at.child("vddk"), from, policy)...)
	}
	if from := source.PVC; from != nil {
		errs = append(errs, subdomain(at("pvc", "name"), from.Name, "the claim to import")...)
		errs = append(errs, optionalLabel(at("pvc", "namespace"), from.Namespace)...)
	}
	return errs
}

func importURL(path *field.Path, kind URLKind, rawURL string, policy *Policy) field.ErrorList {
	if rawURL == "" {
		return field.ErrorList{field.Required(path, "must be a URL: must begin with "+orList(withSlashes(kind.schemes())))}
	}
	if _, err := parseSource(kind, rawURL); err != nil {
		return field.ErrorList{urlError(path, rawURL, err)}
	}
	if err := policy.CheckURL(kind, rawURL); err != nil {
		return field.ErrorList{field.Forbidden(path, err.Error())}
	}
	return nil
}

func objectSource(at locator, kind URLKind, rawURL, secret, certificates string, policy *Policy) field.ErrorList {
	errs := importURL(at("url"), kind, rawURL, policy)
	errs = append(errs, optionalSubdomain(at("secretName"), secret)...)
	return append(errs, optionalSubdomain(at("certConfigMap"), certificates)...)
}

func registrySource(at locator, source *v1alpha1.RegistrySource, policy *Policy) field.ErrorList {
	errs := objectSource(at, URLRegistry, source.URL, source.SecretName, source.CertConfigMap, policy)
	errs = append(errs, oneOf(at("pullMethod"), source.PullMethod, "pod", "node")...)
	if source.Architecture != "" && (len(source.Architecture) > architectureMax || !isLabel(source.Architecture)) {
		errs = append(errs, field.Invalid(at("architecture"), show(source.Architecture), "must be an architecture such as amd64"))
	}
	if source.PullMethod == "node" && (source.SecretName != "" || source.CertConfigMap != "") {
		errs = append(errs, field.Invalid(at("pullMethod"), "node", "must be pod with secretName or certConfigMap: the node pulls with credentials and certificates of its own, and CDI ignores these"))
	}
	return errs
}

func httpSource(at locator, source *v1alpha1.HTTPSource, policy *Policy) field.ErrorList {
	errs := objectSource(at, URLHTTP, source.URL, source.SecretName, source.CertConfigMap, policy)
	if source.Checksum != "" && !checksumPattern.MatchString(source.Checksum) {
		errs = append(errs, field.Invalid(at("checksum"), show(source.Checksum), "must be md5:, sha1:, sha256: or sha512: and as many lower-case hexadecimal digits as the algorithm has"))
	}
	if len(source.ExtraHeaders) > headersMax {
		errs = append(errs, field.TooMany(at("extraHeaders"), len(source.ExtraHeaders), headersMax))
	}
	for i, header := range source.ExtraHeaders[:min(len(source.ExtraHeaders), headersMax)] {
		errs = append(errs, extraHeader(at("extraHeaders").Index(i), header)...)
	}
	if len(source.SecretExtraHeaders) > headersMax {
		errs = append(errs, field.TooMany(at("secretExtraHeaders"), len(source.SecretExtraHeaders), headersMax))
	}
	for i, secret := range source.SecretExtraHeaders[:min(len(source.SecretExtraHeaders), headersMax)] {
		errs = append(errs, subdomain(at("secretExtraHeaders").Index(i), secret, "a Secret")...)
	}
	return errs
}

// extraHeader checks a header that is stored in the clear. Its value is never
// repeated: it may be a secret that got there by mistake.
func extraHeader(path *field.Path, header string) field.ErrorList {
	name, _, ok := strings.Cut(header, ":")
	if !ok || len(header) > headerMax || !headerNamePattern.MatchString(name) || hasControl(header) {
		return field.ErrorList{field.Invalid(path, "…", "must be a header on one line, as Name: value, of at most 1024 characters")}
	}
	switch textproto.CanonicalMIMEHeaderKey(name) {
	case "Authorization", "Proxy-Authorization", "Cookie", "X-Api-Key", "X-Auth-Token":
		return field.ErrorList{field.Forbidden(path, "must not be "+name+", as extraHeaders are stored in the clear: put it in a Secret and name that in secretExtraHeaders")}
	case "Host", "Content-Length", "Transfer-Encoding", "Connection":
		return field.ErrorList{field.Forbidden(path, "must not be "+name+", which the importer sets itself: take it out")}
	}
	return nil
}

func vddkSource(at locator, source *v1alpha1.VDDKSource, policy *Policy) field.ErrorList {
	errs := importURL(at("url"), URLVDDK, source.URL, policy)
	errs = append(errs, subdomain(at("secretName"), source.SecretName, "a Secret with keys accessKeyId and secretKey")...)
	errs = append(errs, plainText(at("uuid"), source.UUID, labelMax+1, "the machine's uuid")...)
	errs = append(errs, plainText(at("backingFile"), source.BackingFile, vddkFieldMax, "the path of the disk's file")...)
	errs = append(errs, plainText(at("thumbprint"), source.Thumbprint, subdomainMax, "the thumbprint of the host's certificate")...)
	if source.InitImageURL != "" {
		image := strings.TrimPrefix(source.InitImageURL, schemeDocker+"://")
		errs = append(errs, importURL(at("initImageURL"), URLRegistry, schemeDocker+"://"+image, policy)...)
	}
	return errs
}

func plainText(path *field.Path, text string, limit int, what string) field.ErrorList {
	switch {
	case text == "":
		return field.ErrorList{field.Required(path, "must be "+what)}
	case len(text) > limit:
		return field.ErrorList{field.TooLong(path, "", limit)}
	case hasControl(text):
		return field.ErrorList{field.Invalid(path, show(text), "must not hold control or invisible characters")}
	}
	return nil
}

// ValidateDataVolumeSource checks the URL of a DataVolume's source against a
// policy. The rest is CDI's to check.
func ValidateDataVolumeSource(source *cdiv1.DataVolumeSource, policy *Policy, path *field.Path) field.ErrorList {
	if source == nil {
		return nil
	}
	var errs field.ErrorList
	check := func(kind URLKind, member, field, rawURL string) {
		errs = append(errs, importURL(path.Child(member, field), kind, rawURL, policy)...)
	}
	if from := source.HTTP; from != nil {
		check(URLHTTP, "http", "url", from.URL)
	}
	if from := source.S3; from != nil {
		check(URLS3, "s3", "url", from.URL)
	}
	if from := source.GCS; from != nil {
		check(URLGCS, "gcs", "url", from.URL)
	}
	if from := source.Registry; from != nil && from.URL != nil {
		check(URLRegistry, "registry", "url", *from.URL)
	}
	if from := source.Imageio; from != nil {
		check(URLImageIO, "imageio", "url", from.URL)
	}
	if from := source.VDDK; from != nil {
		check(URLVDDK, "vddk", "url", from.URL)
		if from.InitImageURL != "" {
			check(URLRegistry, "vddk", "initImageURL", schemeDocker+"://"+strings.TrimPrefix(from.InitImageURL, schemeDocker+"://"))
		}
	}
	return errs
}
