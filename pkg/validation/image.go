package validation

import (
	"errors"
	"regexp"
	"strings"
)

// Image is a reference to an image in a registry.
type Image struct {
	// Host is the registry.
	Host Host
	// Repository is the image's path in the registry.
	Repository string
	// Tag is empty if none was written.
	Tag string
	// Digest is empty if none was written.
	Digest string
}

// Parts of the grammar of the OCI distribution specification.
//
//nolint:gochecknoglobals // compiled constants
var (
	repositoryPattern = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
	tagPattern        = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)
	digestPattern     = regexp.MustCompile(`^(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$`)
)

const (
	imageMax      = 512
	repositoryMax = 255
	dockerHub     = "docker.io"
)

// ParseImage reads <registry>/<repository>[:<tag>][@<digest>]. The registry must
// be written out.
func ParseImage(text string) (Image, error) {
	return parseImage(text, "")
}

// parseImage reads an image whose registry, if none is written, is a given one.
func parseImage(text, registry string) (Image, error) {
	if err := checkImageText(text); err != nil {
		return Image{}, err
	}
	authority, rest, ok := strings.Cut(text, "/")
	if !ok || !looksLikeHost(authority) {
		if registry == "" {
			return Image{}, errors.New("must name its registry, such as registry.example.com/vms/web:v1")
		}
		authority, rest = registry, text
	}
	if strings.Contains(authority, "@") {
		return Image{}, errors.New("must not hold a user or password before the host: name a Secret instead")
	}
	host, err := ParseHost(authority)
	if err != nil {
		return Image{}, err
	}
	image := Image{Host: host}
	rest, image.Digest, ok = strings.Cut(rest, "@")
	if ok && !digestPattern.MatchString(image.Digest) {
		return Image{}, errors.New("must have a digest of sha256: and 64, or sha512: and 128 lower-case hexadecimal digits behind '@'")
	}
	image.Repository, image.Tag, ok = strings.Cut(rest, ":")
	if ok && !tagPattern.MatchString(image.Tag) {
		return Image{}, errors.New("must have a tag of at most 128 letters, digits, '_', '.' and '-' behind ':'")
	}
	if len(image.Repository) > repositoryMax || !repositoryPattern.MatchString(image.Repository) {
		return Image{}, errors.New("must have a repository of lower-case letters and digits, separated by '/', '.', '_' or '-', behind the registry")
	}
	return image, nil
}

func checkImageText(text string) error {
	switch {
	case text == "":
		return errors.New("must be an image such as registry.example.com/vms/web:v1")
	case len(text) > imageMax:
		return errors.New("must have at most 512 characters")
	case strings.Contains(text, "://"):
		return errors.New("must be an image without a scheme: take out everything up to ://")
	case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return errors.New("must not hold spaces, control characters or letters beyond ASCII")
	}
	return nil
}

// looksLikeHost tells a registry from the first part of a repository on Docker
// Hub, as docker and containers/image do.
func looksLikeHost(part string) bool {
	return strings.ContainsAny(part, ".:") || part == "localhost" || strings.ToLower(part) != part
}
