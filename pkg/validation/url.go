package validation

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

const urlMax = 2048

// parsedURL is a URL in the one form everybody reads alike.
type parsedURL struct {
	scheme string
	host   Host
	// path is as written: dots and slashes in it are never encoded.
	path string
}

// parseURL reads a URL of one of several schemes. It refuses what readers read
// in different ways before it asks net/url, and then holds the two together.
func parseURL(text string, schemes []string) (parsedURL, error) {
	mustBegin := "must begin with " + orList(withSlashes(schemes))
	if text == "" {
		return parsedURL{}, errors.New("must be a URL: " + mustBegin)
	}
	if err := checkURLText(text); err != nil {
		return parsedURL{}, err
	}
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok || !slices.Contains(schemes, scheme) {
		return parsedURL{}, errors.New(mustBegin)
	}
	if strings.Contains(rest, "#") {
		return parsedURL{}, errors.New("must not hold a fragment: take out '#' and what follows")
	}
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	host, err := ParseHost(rest[:end])
	if err != nil {
		return parsedURL{}, err
	}
	path, _, _ := strings.Cut(rest[end:], "?")
	if err := checkURLPath(path); err != nil {
		return parsedURL{}, err
	}
	if parsed, err := url.Parse(text); err != nil || parsed.Scheme != scheme || parsed.Host != rest[:end] || parsed.User != nil {
		return parsedURL{}, errors.New("must be a valid URL")
	}
	return parsedURL{scheme: scheme, host: host, path: path}, nil
}

// checkURLText refuses characters that no URL holds, or that readers take for
// others.
func checkURLText(text string) error {
	switch {
	case len(text) > urlMax:
		return fmt.Errorf("must have at most %d characters", urlMax)
	case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return errors.New("must not hold spaces or control characters")
	case strings.ContainsFunc(text, func(r rune) bool { return r > 0x7f }):
		return errors.New("must not hold letters beyond ASCII: write the host in punycode and encode the path")
	case strings.ContainsAny(text, "\\<>\"{}|^`"):
		return errors.New("must not hold '\\', quotation marks, braces or '<', '>', '|', '^': encode them in the path")
	}
	return nil
}

func withSlashes(schemes []string) []string {
	full := make([]string, len(schemes))
	for i, scheme := range schemes {
		full[i] = scheme + "://"
	}
	return full
}

// checkURLPath refuses a path that could lead elsewhere than it says.
func checkURLPath(path string) error {
	for i := strings.IndexByte(path, '%'); i >= 0; {
		if i+3 > len(path) || strings.Trim(path[i+1:i+3], "0123456789abcdefABCDEF") != "" {
			return errors.New("must hold two hexadecimal digits behind every '%'")
		}
		switch code := strings.ToLower(path[i+1 : i+3]); {
		case code == "2e", code == "2f", code == "5c", code == "25", code == "7f", code[0] == '0', code[0] == '1':
			return errors.New("must not hold an encoded dot, slash, backslash, percent sign or control character in its path")
		}
		next := strings.IndexByte(path[i+1:], '%')
		if next < 0 {
			break
		}
		i += 1 + next
	}
	for part := range strings.SplitSeq(path, "/") {
		if part == "." || part == ".." {
			return errors.New("must not hold '.' or '..' in its path")
		}
	}
	return nil
}

// redact takes out of a URL or image what may be a secret: the user part and
// the query. Where it cannot tell them apart it leaves the scheme alone.
func redact(text string) string {
	head, rest := "", text
	if scheme, tail, ok := strings.Cut(text, "://"); ok {
		head, rest = scheme+"://", tail
	}
	query := strings.IndexByte(rest, '?')
	at := strings.LastIndexByte(rest, '@')
	switch {
	case at >= 0 && query >= 0 && query < at:
		return show(head) + "…"
	case at >= 0 && !isDigest(rest[at+1:]):
		rest = "…" + rest[at:]
	}
	rest, _, hasQuery := strings.Cut(rest, "?")
	if hasQuery {
		rest += "?…"
	}
	return show(head + rest)
}

func isDigest(text string) bool {
	return strings.HasPrefix(text, "sha256:") || strings.HasPrefix(text, "sha512:")
}

func urlError(path *field.Path, text string, err error) *field.Error {
	return field.Invalid(path, redact(text), err.Error())
}
