// Package webhook answers the API server's admission reviews.
//
// Each kind has one thin file: decode, gather facts from informer caches, call
// a pure package (defaults, storage, validation), answer. Nothing is written,
// and the only calls a review costs are the SubjectAccessReviews that must be
// live. Who may ask for what is not decided here but by the
// ValidatingAdmissionPolicies of charts/wukong, which hold with this process
// down.
package webhook
