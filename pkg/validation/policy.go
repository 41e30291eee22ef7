package validation

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// URLKind is what a URL is for, which decides the schemes it may have.
type URLKind string

// What a URL is for.
const (
	// URLHTTP is a file on an HTTP server.
	URLHTTP URLKind = "http"
	// URLRegistry is an image in a registry.
	URLRegistry URLKind = "registry"
	// URLS3 is an object in an S3 bucket.
	URLS3 URLKind = "s3"
	// URLGCS is an object in a Google Cloud Storage bucket.
	URLGCS URLKind = "gcs"
	// URLImageIO is an oVirt engine.
	URLImageIO URLKind = "imageio"
	// URLVDDK is a vCenter or ESXi host.
	URLVDDK URLKind = "vddk"
)

const (
	schemeHTTPS  = "https"
	schemeHTTP   = "http"
	schemeDocker = "docker"
	schemeS3     = "s3"
	schemeGCS    = "gs"
)

// schemes gives the schemes a URL of this kind may have.
func (k URLKind) schemes() []string {
	switch k {
	case URLRegistry:
		return []string{schemeDocker}
	case URLS3:
		return []string{schemeHTTPS, schemeHTTP, schemeS3}
	case URLGCS:
		return []string{schemeGCS, schemeHTTPS, schemeHTTP}
	case URLHTTP, URLImageIO, URLVDDK:
	}
	return []string{schemeHTTPS, schemeHTTP}
}

// PolicySpec says which destinations and import URLs are allowed, as the
// chart's values do.
type PolicySpec struct {
	// Registries that may be exported to, as host[:port][/path].
	Registries []string
	// S3 are the URLs that may be exported to, as https://host[:port][/path].
	S3 []string
	// Imports are URLs that may be imported from beside public ones, as
	// scheme://host[:port][/path].
	Imports []string
}

// Policy is a PolicySpec, parsed. The nil Policy is the default: no export, and
// imports from public hosts by https, docker, s3 and gs.
type Policy struct {
	registries, s3, imports []place
}

// place is an entry of an allow-list: a host, and a path everything allowed is
// at or below.
type place struct {
	scheme string
	host   Host
	path   string
}

// defaultPort is the port a scheme stands for.
func defaultPort(scheme string) uint16 {
	if scheme == schemeHTTP {
		return 80
	}
	return 443
}

// holds says whether a place is within an entry.
func (p place) holds(other place) bool {
	return p.scheme == other.scheme && p.isAt(other.host) && pathWithin(other.path, p.path)
}

func (p place) isAt(host Host) bool {
	standard := defaultPort(p.scheme)
	return p.host.Name == host.Name && cmp.Or(p.host.Port, standard) == cmp.Or(host.Port, standard)
}

// pathWithin compares whole parts of a path: /vms holds /vms/web, not /vms-2.
func pathWithin(path, top string) bool {
	top = strings.Trim(top, "/")
	path = strings.TrimPrefix(path, "/")
	return top == "" || path == top || strings.HasPrefix(path, top+"/")
}

// ParsePolicy reads the allow-lists of a chart's values. It gives every mistake
// at once.
func ParsePolicy(spec PolicySpec) (*Policy, error) {
	policy := &Policy{}
	var errs []error
	add := func(to *[]place, list string, entries []string, parse func(string) (place, error)) {
		for i, entry := range entries {
			parsed, err := parse(entry)
			if err != nil {
				errs = append(errs, fmt.Errorf("%s[%d]: found %q, %w", list, i, redact(entry), err))
				continue
			}
			*to = append(*to, parsed)
		}
	}
	add(&policy.registries, "policy.destinations.registries", spec.Registries, parseRegistryPlace)
	add(&policy.s3, "policy.destinations.s3", spec.S3, func(entry string) (place, error) {
		return parsePlace(entry, []string{schemeHTTPS, schemeHTTP})
	})
	add(&policy.imports, "policy.imports", spec.Imports, func(entry string) (place, error) {
		return parsePlace(entry, []string{schemeHTTPS, schemeHTTP, schemeDocker, schemeS3, schemeGCS})
	})
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return policy, nil
}

func parseRegistryPlace(entry string) (place, error) {
	authority, path, _ := strings.Cut(entry, "/")
	if strings.Contains(entry, "://") {
		return place{}, errors.New("must be a registry without a scheme, such as registry.example.com/vms")
	}
	host, err := ParseHost(authority)
	if err != nil {
		return place{}, err
	}
	path = strings.TrimSuffix(path, "/")
	if path != "" && !repositoryPattern.MatchString(path) {
		return place{}, errors.New("must have a repository of lower-case letters and digits behind the registry, without a tag")
	}
	return place{scheme: schemeDocker, host: host, path: path}, nil
}

func parsePlace(entry string, schemes []string) (place, error) {
	if strings.Contains(entry, "?") {
		return place{}, errors.New("must be the beginning of a URL, without a query")
	}
	parsed, err := parseURL(entry, schemes)
	if err != nil {
		return place{}, err
	}
	if parsed.scheme == schemeGCS && parsed.host.Addr.IsValid() {
		return place{}, errors.New("must name a bucket behind gs://")
	}
	return place(parsed), nil
}

// CheckRegistry says why an image may not be exported to; nil if it may. The
// error is a sentence that follows the field.
func (p *Policy) CheckRegistry(image string) error {
	parsed, err := ParseImage(image)
	if err != nil {
		return err
	}
	target := place{scheme: schemeDocker, host: parsed.Host, path: parsed.Repository}
	if p != nil && anyHolds(p.registries, target) {
		return nil
	}
	return notListed(fmt.Sprintf("image %q", show(parsed.Host.String()+"/"+parsed.Repository)), "policy.destinations.registries", p != nil && len(p.registries) > 0)
}

// CheckS3 says why an S3 prefix may not be exported to; nil if it may.
func (p *Policy) CheckS3(endpoint, bucket, prefix string) error {
	parsed, err := parseURL(endpoint, []string{schemeHTTPS, schemeHTTP})
	if err != nil {
		return err
	}
	if problem := bucketProblem(bucket); problem != "" {
		return errors.New("bucket " + problem)
	}
	if strings.Contains("/"+prefix+"/", "/../") || strings.Contains("/"+prefix+"/", "/./") {
		return errors.New("prefix must not hold '.' or '..'")
	}
	path := strings.TrimSuffix(parsed.path, "/") + "/" + bucket + "/" + prefix
	target := place{scheme: parsed.scheme, host: parsed.host, path: path}
	if p != nil && anyHolds(p.s3, target) {
		return nil
	}
	return notListed(fmt.Sprintf("bucket %q at %q", show(bucket), show(parsed.scheme+"://"+parsed.host.String())), "policy.destinations.s3", p != nil && len(p.s3) > 0)
}

func anyHolds(places []place, target place) bool {
	for _, entry := range places {
		if entry.holds(target) {
			return true
		}
	}
	return false
}

func notListed(what, list string, some bool) error {
	if !some {
		return fmt.Errorf("%s is not allowed: no destination is, until the cluster's administrator lists it in %s of the wukong chart's values", what, list)
	}
	return fmt.Errorf("%s is not allowed: export to a listed destination, or ask the cluster's administrator to list it in %s of the wukong chart's values", what, list)
}

// CheckURL says why a URL may not be imported from; nil if it may. What is
// listed is allowed wherever it is; else the host must be on the public
// Internet and the connection encrypted.
func (p *Policy) CheckURL(kind URLKind, rawURL string) error {
	target, err := parseSource(kind, rawURL)
	if err != nil {
		return err
	}
	if p != nil && anyHolds(p.imports, target) {
		return nil
	}
	const ask = "ask the cluster's administrator to list it in policy.imports of the wukong chart's values"
	if target.scheme == schemeGCS {
		return nil // a bucket at Google, whatever its name
	}
	if reason := ForbiddenHost(target.host); reason != "" {
		return fmt.Errorf("host %q is %s, and imports come from the public Internet alone: take another source, or %s", target.host.Name, reason, ask)
	}
	if target.scheme == schemeHTTP {
		return fmt.Errorf("host %q is asked without encryption, so anybody on the way could change the disk: write https://, or %s", target.host.Name, ask)
	}
	return nil
}

// parseSource reads the URL of an import into what an allow-list compares.
func parseSource(kind URLKind, rawURL string) (place, error) {
	if kind == URLRegistry {
		if strings.HasPrefix(rawURL, "oci-archive://") {
			return place{}, errors.New("must not begin with oci-archive://, which is a file in the importer's own Pod: write docker://")
		}
		text, ok := strings.CutPrefix(rawURL, schemeDocker+"://")
		if !ok {
			return place{}, errors.New("must begin with docker://")
		}
		image, err := parseImage(text, dockerHub)
		return place{scheme: schemeDocker, host: image.Host, path: image.Repository}, err
	}
	parsed, err := parseURL(rawURL, kind.schemes())
	if err != nil {
		return place{}, err
	}
	if parsed.scheme == schemeGCS && bucketProblem(parsed.host.Name) != "" {
		return place{}, errors.New("must name a bucket behind gs://")
	}
	return place(parsed), nil
}

// CheckAddr says why a host, written host:port, may not be dialled at the
// address it has resolved to; nil if it may. It is what admission cannot do: a
// public name may resolve to a private address.
func (p *Policy) CheckAddr(hostPort string, addr netip.Addr) error {
	host, err := ParseHost(hostPort)
	if err != nil {
		return fmt.Errorf("host %q %w", show(hostPort), err)
	}
	if p != nil && p.lists(host) {
		return nil
	}
	if reason := ForbiddenAddr(addr); reason != "" {
		return fmt.Errorf("host %q is at %s, which is %s: take another host, or ask the cluster's administrator to list it in the wukong chart's values", host.Name, addr, reason)
	}
	return nil
}

func (p *Policy) lists(host Host) bool {
	for _, list := range [][]place{p.registries, p.s3, p.imports} {
		for _, entry := range list {
			if entry.isAt(host) {
				return true
			}
		}
	}
	return false
}
