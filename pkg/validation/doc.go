// Package validation holds the rules of Wukong's admission that need no
// cluster: the grammar of request annotations, what job kinds and fleets must
// be like beyond their schema, which destinations and URLs are allowed, and
// which edits of a fleet or a machine KubeVirt and CDI would silently ignore.
//
// Every rule is a pure function that gives a field.ErrorList: each error names
// the field, what was found, what is allowed and what to do. What has been
// parsed is used from then on, never the text again, so nothing can be read in
// two ways:
//
//	request, errs := validation.ParseRequest(verb, value, vm)
//	errs = append(errs, validation.ValidateRequestPolicy(request, policy)...)
//
// Controllers run the same rules again, so objects that came past the webhook
// are safe too. No value that may hold a secret, such as the user part or the
// query of a URL, is repeated in an error.
package validation
