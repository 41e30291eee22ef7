package validation

import (
	"net/netip"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"wukong.io/wukong/pkg/apis/wukong/v1alpha1"
)

const (
	exportDisksMax = 32
	pathMax        = 512
	bucketMin      = 3
)

// ValidateExportJob checks an ExportJob, and its destination against a policy.
func ValidateExportJob(job *v1alpha1.ExportJob, policy *Policy) field.ErrorList {
	at := under(specPath())
	errs := exportSpec(at, &job.Spec)
	errs = append(errs, exportSource(at.child("source"), &job.Spec.Source)...)
	if len(errs) == 0 {
		errs = destination(at.child("target"), &job.Spec.Target, policy)
	}
	return limitErrors(specPath(), errs)
}

// ValidateExportJobUpdate checks a change of an ExportJob.
func ValidateExportJobUpdate(old, changed *v1alpha1.ExportJob) field.ErrorList {
	return immutable(&old.Spec, &changed.Spec)
}

// exportSpec checks all of an export but its source.
func exportSpec(at locator, spec *v1alpha1.ExportJobSpec) field.ErrorList {
	errs := exportTarget(at.child("target"), &spec.Target, false)
	errs = append(errs, jobLimits(at, &spec.JobLimits)...)
	if spec.Source.PVC != "" && spec.Target.PVC != nil && spec.Source.PVC == spec.Target.PVC.ClaimName {
		errs = append(errs, field.Invalid(at("target", "pvc", "claimName"), show(spec.Source.PVC), "must not be the claim that is exported: export to another claim"))
	}
	return errs
}

func exportSource(at locator, source *v1alpha1.ExportSource) field.ErrorList {
	errs := exactlyOne(at(), []string{"virtualMachine", "snapshot", "pvc"}, []bool{source.VirtualMachine != "", source.Snapshot != "", source.PVC != ""})
	errs = append(errs, optionalLabel(at("virtualMachine"), source.VirtualMachine)...)
	errs = append(errs, optionalSubdomain(at("snapshot"), source.Snapshot)...)
	return append(errs, optionalSubdomain(at("pvc"), source.PVC)...)
}

// exportTarget checks where an export goes; tokens are allowed in a pool.
func exportTarget(at locator, target *v1alpha1.ExportTarget, inPool bool) field.ErrorList {
	errs := exactlyOne(at(), []string{"registry", "s3", "pvc"}, []bool{target.Registry != nil, target.S3 != nil, target.PVC != nil})
	if target.Registry != nil {
		errs = append(errs, registryTarget(at.child("registry"), target.Registry, inPool)...)
	}
	if target.S3 != nil {
		errs = append(errs, s3Target(at.child("s3"), target.S3, inPool)...)
	}
	if target.PVC != nil {
		errs = append(errs, claimTarget(at.child("pvc"), target.PVC, inPool)...)
	}
	errs = append(errs, exportDisks(at("disks"), target.Disks)...)
	return append(errs, exportSchedule(at, target)...)
}

func exportDisks(path *field.Path, disks []string) field.ErrorList {
	if len(disks) > exportDisksMax {
		return field.ErrorList{field.TooMany(path, len(disks), exportDisksMax)}
	}
	var errs field.ErrorList
	seen := map[string]bool{}
	for i, disk := range disks {
		errs = append(errs, label(path.Index(i), disk, "a disk")...)
		if seen[disk] {
			errs = append(errs, duplicate(path.Index(i), disk))
		}
		seen[disk] = true
	}
	return errs
}

func exportSchedule(at locator, target *v1alpha1.ExportTarget) field.ErrorList {
	errs := optionalSubdomain(at("serviceAccountName"), target.ServiceAccountName)
	if target.Schedule == "" {
		const needs = "must not be set without schedule, as it says nothing about one export: set schedule, or leave it out"
		if target.TimeZone != "" {
			errs = append(errs, field.Forbidden(at("timeZone"), needs))
		}
		if target.ServiceAccountName != "" {
			errs = append(errs, field.Forbidden(at("serviceAccountName"), needs))
		}
		return errs
	}
	if target.ServiceAccountName == "" {
		errs = append(errs, field.Required(at("serviceAccountName"), "must be set with schedule: scheduled exports have the rights of a ServiceAccount, checked at every run"))
	}
	_, scheduleErrs := parseSchedule(at("schedule"), target.Schedule)
	errs = append(errs, scheduleErrs...)
	return append(errs, timeZone(at("timeZone"), target.TimeZone)...)
}

func registryTarget(at locator, target *v1alpha1.RegistryTarget, inPool bool) field.ErrorList {
	errs := imageTarget(at("image"), target.Image, inPool)
	errs = append(errs, optionalSubdomain(at("secretName"), target.SecretName)...)
	errs = append(errs, optionalSubdomain(at("certConfigMap"), target.CertConfigMap)...)
	errs = append(errs, oneOf(at("format"), target.Format, "qcow2", "raw", "kubevirt-oci")...)
	return append(errs, oneOf(at("overwrite"), target.Overwrite, "Never", "Always")...)
}

func imageTarget(path *field.Path, text string, inPool bool) field.ErrorList {
	if inPool {
		text = replaceTokens(text)
	}
	if text == "" {
		return field.ErrorList{field.Required(path, "must be an image such as registry.example.com/vms/web:v1")}
	}
	if hasToken(text) {
		return field.ErrorList{field.Invalid(path, show(text), tokensOutsidePools)}
	}
	image, err := ParseImage(text)
	if err != nil {
		return field.ErrorList{field.Invalid(path, redact(text), err.Error())}
	}
	if image.Digest != "" {
		return field.ErrorList{field.Invalid(path, show(text), "must not have a digest, which is known only when the image is written: write a tag instead")}
	}
	return nil
}

func s3Target(at locator, target *v1alpha1.S3Target, inPool bool) field.ErrorList {
	var errs field.ErrorList
	if target.Endpoint == "" {
		errs = append(errs, field.Required(at("endpoint"), "must be the URL of the S3 server: must begin with https:// or http://"))
	} else if _, err := parseURL(target.Endpoint, []string{schemeHTTPS, schemeHTTP}); err != nil {
		errs = append(errs, urlError(at("endpoint"), target.Endpoint, err))
	}
	if target.Bucket == "" {
		errs = append(errs, field.Required(at("bucket"), "must name the bucket to write to"))
	} else if problem := bucketProblem(target.Bucket); problem != "" {
		errs = append(errs, field.Invalid(at("bucket"), show(target.Bucket), problem))
	}
	errs = append(errs, relativePath(at("prefix"), target.Prefix, inPool)...)
	if target.Region != "" && !isLabel(target.Region) {
		errs = append(errs, field.Invalid(at("region"), show(target.Region), "must be a region such as eu-central-1: lower-case letters, digits and '-'"))
	}
	errs = append(errs, optionalSubdomain(at("secretName"), target.SecretName)...)
	errs = append(errs, optionalSubdomain(at("certConfigMap"), target.CertConfigMap)...)
	return append(errs, oneOf(at("format"), target.Format, "qcow2", "raw")...)
}

// bucketProblem says what is wrong with a bucket's name; it is part of a URL.
func bucketProblem(bucket string) string {
	const must = "must be a bucket: 3 to 63 lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit"
	if len(bucket) < bucketMin || len(bucket) > labelMax || !isSubdomain(bucket) {
		return must
	}
	if _, err := netip.ParseAddr(bucket); err == nil {
		return "must not look like an IP address"
	}
	return ""
}

func claimTarget(at locator, target *v1alpha1.ClaimTarget, inPool bool) field.ErrorList {
	errs := subdomain(at("claimName"), target.ClaimName, "the claim to export to")
	errs = append(errs, relativePath(at("path"), target.Path, inPool)...)
	return append(errs, oneOf(at("format"), target.Format, "qcow2", "raw")...)
}

// relativePath checks a folder or the prefix of objects' keys: it must stay
// inside what it is relative to, and read the same to everybody.
func relativePath(path *field.Path, text string, inPool bool) field.ErrorList {
	if inPool {
		text = replaceTokens(text)
	}
	invalid := func(must string) field.ErrorList { return field.ErrorList{field.Invalid(path, show(text), must)} }
	switch {
	case len(text) > pathMax:
		return field.ErrorList{field.TooLong(path, "", pathMax)}
	case hasToken(text):
		return invalid(tokensOutsidePools)
	case hasControl(text):
		return invalid("must not hold control or invisible characters")
	case strings.ContainsAny(text, "\\%"):
		return invalid("must not hold '\\' or '%': parts are separated by '/', and nothing is encoded")
	case strings.HasPrefix(text, "/"):
		return invalid("must not begin with '/': it is relative to the top of the claim or bucket")
	}
	for part := range strings.SplitSeq(strings.TrimSuffix(text, "/"), "/") {
		if part == "." || part == ".." || part == "" && text != "" {
			return invalid("must not hold empty parts, '.' or '..': write each folder once, by its name")
		}
	}
	return nil
}

// ValidateDestination checks where an export goes against a policy.
func ValidateDestination(target *v1alpha1.ExportTarget, policy *Policy, path *field.Path) field.ErrorList {
	return destination(under(path), target, policy)
}

func destination(at locator, target *v1alpha1.ExportTarget, policy *Policy) field.ErrorList {
	var errs field.ErrorList
	if target.Registry != nil {
		if err := policy.CheckRegistry(replaceTokens(target.Registry.Image)); err != nil {
			errs = append(errs, field.Forbidden(at("registry", "image"), err.Error()))
		}
	}
	if target.S3 != nil {
		if err := policy.CheckS3(target.S3.Endpoint, target.S3.Bucket, replaceTokens(target.S3.Prefix)); err != nil {
			errs = append(errs, field.Forbidden(at("s3", "endpoint"), err.Error()))
		}
	}
	return errs
}
