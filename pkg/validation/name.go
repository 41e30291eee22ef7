package validation

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

const (
	// labelMax is the longest DNS label.
	labelMax = 63
	// subdomainMax is the longest DNS subdomain.
	subdomainMax = 253
	// showMax is how much of a value an error repeats, in characters.
	showMax = 80
)

const (
	mustBeLabel     = "must be a DNS label: at most 63 lower-case letters, digits and '-', beginning and ending with a letter or digit"
	mustBeSubdomain = "must be a DNS name: at most 253 lower-case letters, digits, '-' and '.', each part beginning and ending with a letter or digit"
)

// show cuts and cleans a value for an error: control characters are written as
// escapes by the error itself, but a long value would hide the sentence.
func show(value string) string {
	value = strings.ToValidUTF8(value, "�")
	if utf8.RuneCountInString(value) <= showMax {
		return value
	}
	return string([]rune(value)[:showMax]) + "…"
}

// quote is show between quotation marks, for the middle of a sentence.
func quote(value string) string {
	return fmt.Sprintf("%q", show(value))
}

// hasControl says whether a text holds a control or other invisible character.
func hasControl(value string) bool {
	return strings.ContainsFunc(value, func(r rune) bool {
		return r == utf8.RuneError || !unicode.IsGraphic(r)
	})
}

// isLabel says whether a name is a DNS label.
func isLabel(name string) bool {
	if name == "" || len(name) > labelMax || name[0] == '-' || name[len(name)-1] == '-' {
		return false
	}
	return !strings.ContainsFunc(name, isNoLabelRune)
}

func isNoLabelRune(r rune) bool {
	return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-'
}

// isSubdomain says whether a name is a DNS subdomain in Kubernetes' sense.
func isSubdomain(name string) bool {
	if name == "" || len(name) > subdomainMax {
		return false
	}
	for part := range strings.SplitSeq(name, ".") {
		// Kubernetes lets a part be longer than a label.
		if part == "" || part[0] == '-' || part[len(part)-1] == '-' || strings.ContainsFunc(part, isNoLabelRune) {
			return false
		}
	}
	return true
}

// label checks a name that must be a DNS label; an empty one is missing.
func label(path *field.Path, name, what string) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(path, "must name "+what)}
	}
	if hasToken(name) {
		return field.ErrorList{field.Invalid(path, show(name), tokensOutsidePools)}
	}
	if !isLabel(name) {
		return field.ErrorList{field.Invalid(path, show(name), mustBeLabel)}
	}
	return nil
}

// subdomain checks the name of an object; an empty one is missing.
func subdomain(path *field.Path, name, what string) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(path, "must name "+what)}
	}
	if hasToken(name) {
		return field.ErrorList{field.Invalid(path, show(name), tokensOutsidePools)}
	}
	if !isSubdomain(name) {
		return field.ErrorList{field.Invalid(path, show(name), mustBeSubdomain)}
	}
	return nil
}

// optionalLabel and optionalSubdomain let a name be empty.
func optionalLabel(path *field.Path, name string) field.ErrorList {
	if name == "" {
		return nil
	}
	return label(path, name, "")
}

func optionalSubdomain(path *field.Path, name string) field.ErrorList {
	if name == "" {
		return nil
	}
	return subdomain(path, name, "")
}

// tokensOutsidePools is said where a value holds a token that nothing replaces.
const tokensOutsidePools = "must not hold tokens such as @@name@@: they are replaced in a fleet's pools alone, so write the value itself"

func hasToken(value string) bool {
	return strings.Contains(value, "@@")
}

// oneOf checks an enumeration; an empty value stands for the default.
func oneOf[T ~string](path *field.Path, value T, allowed ...T) field.ErrorList {
	if value == "" || slices.Contains(allowed, value) {
		return nil
	}
	return field.ErrorList{field.Invalid(path, show(string(value)), "must be "+orList(allowed))}
}

// orList writes a list as "a, b or c".
func orList[T ~string](items []T) string {
	texts := make([]string, len(items))
	for i, item := range items {
		texts[i] = string(item)
	}
	if len(texts) < 2 {
		return strings.Join(texts, "")
	}
	last := len(texts) - 1
	return strings.Join(texts[:last], ", ") + " or " + texts[last]
}

// between checks a number's bounds; nil is unset.
func between[T int32 | int64](path *field.Path, value *T, low, high T) field.ErrorList {
	if value == nil || *value >= low && *value <= high {
		return nil
	}
	return field.ErrorList{field.Invalid(path, *value, fmt.Sprintf("must be from %d to %d", low, high))}
}

// keyOf gives the path of a map's entry, with its key cut and cleaned.
func keyOf(path *field.Path, key string) *field.Path {
	quoted := strconv.Quote(show(key))
	return path.Key(quoted[1 : len(quoted)-1])
}

// duplicate refuses a value that stands there already.
func duplicate(path *field.Path, value string) *field.Error {
	err := field.Duplicate(path, show(value))
	err.Detail = "must be written once: take one of them out"
	return err
}

// exactlyOne checks that one of several members is set.
func exactlyOne(path *field.Path, members []string, set []bool) field.ErrorList {
	var found []string
	for i, isSet := range set {
		if isSet {
			found = append(found, members[i])
		}
	}
	switch len(found) {
	case 1:
		return nil
	case 0:
		return field.ErrorList{field.Required(path, "must have exactly one of "+orList(members))}
	}
	return field.ErrorList{field.Invalid(path, strings.Join(found, ", "), "must have exactly one of "+orList(members)+": take the others out")}
}

// maxErrors is how many errors are given at once: text made to be wrong in
// thousands of places must not be answered at the same length.
const maxErrors = 20

func limitErrors(path *field.Path, errs field.ErrorList) field.ErrorList {
	if len(errs) <= maxErrors {
		return errs
	}
	more := field.Forbidden(path, fmt.Sprintf("has more mistakes than the %d named: mend these first", maxErrors))
	return append(errs[:maxErrors:maxErrors], more)
}
