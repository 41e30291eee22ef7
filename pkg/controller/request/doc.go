// Package request turns accepted request annotations on machines into their job
// objects, each exactly once, and reports back on the machine.
//
// It is level-triggered: a request is the annotation and its stamp, and what
// became of it is the job of that request's name. Admission has checked all of
// it; the rules and the requester's rights are checked again here, as objects
// can get past admission and rights can be taken away.
package request
