package validation

import "regexp"

// token is what a fleet's templates replace for every machine, such as
// @@name@@ or @@address.vlan10@@.
//
//nolint:gochecknoglobals // a compiled constant
var token = regexp.MustCompile(`@@[a-z0-9.-]+@@`)

// replaceTokens puts a name in every token's place, so that what surrounds them
// can be checked. A token in a host therefore makes the host another one.
func replaceTokens(text string) string {
	return token.ReplaceAllString(text, "x")
}
