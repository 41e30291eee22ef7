package v1alpha1

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Annotations of the requester stamp, which says who asked for an operation.
// Admission sets them and lets nobody else do so. On a job they stand as they
// are; on a virtual machine every verb has its own, with the verb behind a dot
// (wukong.io/requested-by.clone), as one stamp for all verbs would let the
// second requester's name cover the first one's pending request.
const (
	// AnnotationRequestedBy is the requester's user name.
	AnnotationRequestedBy = "wukong.io/requested-by"
	// AnnotationRequestedUID is the requester's UID; it may be empty.
	AnnotationRequestedUID = "wukong.io/requested-uid"
	// AnnotationRequestedGroups are the requester's groups, as a JSON list.
	AnnotationRequestedGroups = "wukong.io/requested-groups"
	// AnnotationRequestedFor is the UID of the machine the request was made on.
	// A copy of the request on another machine does not fire.
	AnnotationRequestedFor = "wukong.io/requested-for"
	// AnnotationRequestedAt is when it was asked for, in RFC 3339 and UTC.
	AnnotationRequestedAt = "wukong.io/requested-at"
)

const (
	// AnnotationLastOperation reports back on a machine's last request, as
	// compact JSON of a LastOperation.
	AnnotationLastOperation = "wukong.io/last-operation"
	// AnnotationHandled with a dot and a verb behind it is the name of the job
	// that the verb's last accepted request became: it is not made again when
	// the job has been cleaned up.
	AnnotationHandled = "wukong.io/handled"
	// RequestFieldManager is the field manager that writes it.
	RequestFieldManager = "wukong-request"
)

// ErrNotStamped says that a request carries no stamp at all, so admission has
// not seen it.
var ErrNotStamped = errors.New("is not stamped with who asked for it")

// StampKeySet are the keys of one stamp.
//
// +kubebuilder:object:generate=false
type StampKeySet struct {
	// User, UID, Groups and At are the keys of the requester and the time.
	User, UID, Groups, At string
	// For is the key of the machine's UID; jobs have none.
	For string
}

// StampKeys gives the keys of a verb's stamp on a virtual machine; for verb ""
// those of a job's stamp.
func StampKeys(verb string) StampKeySet {
	if verb == "" {
		return StampKeySet{
			User: AnnotationRequestedBy, UID: AnnotationRequestedUID,
			Groups: AnnotationRequestedGroups, At: AnnotationRequestedAt,
		}
	}
	return StampKeySet{
		User:   AnnotationRequestedBy + "." + verb,
		UID:    AnnotationRequestedUID + "." + verb,
		Groups: AnnotationRequestedGroups + "." + verb,
		At:     AnnotationRequestedAt + "." + verb,
		For:    AnnotationRequestedFor + "." + verb,
	}
}

// All lists the keys of the set.
func (k StampKeySet) All() []string {
	keys := []string{k.User, k.UID, k.Groups, k.At, k.For}
	return slices.DeleteFunc(keys, func(key string) bool { return key == "" })
}

// HandledKey gives the key of a verb's AnnotationHandled.
func HandledKey(verb string) string {
	return AnnotationHandled + "." + verb
}

// IsReportKey says whether an annotation is written by Wukong's controllers
// alone, to report on requests.
func IsReportKey(key string) bool {
	return key == AnnotationLastOperation || strings.HasPrefix(key, AnnotationHandled+".")
}

// IsStampKey says whether an annotation is part of a stamp, of whatever verb.
func IsStampKey(key string) bool {
	return strings.HasPrefix(key, GroupName+"/requested-")
}

// Stamp says who asked for an operation, on which machine and when.
//
// +kubebuilder:object:generate=false
type Stamp struct {
	// User is the requester's user name.
	User string
	// UID is the requester's UID; it may be empty.
	UID string
	// Groups are the requester's groups, in the order the API server gave.
	Groups []string
	// For is the UID of the machine the request was made on; jobs have none.
	For types.UID
	// At is when it was asked for, to the second.
	At time.Time
}

// Annotations writes the stamp of a verb on a virtual machine, or of a job for
// verb "".
func (s Stamp) Annotations(verb string) map[string]string {
	groups := s.Groups
	if groups == nil {
		groups = []string{}
	}
	keys := StampKeys(verb)
	annotations := map[string]string{
		keys.User:   s.User,
		keys.UID:    s.UID,
		keys.Groups: encodeGroups(groups),
		keys.At:     s.At.UTC().Format(time.RFC3339),
	}
	if keys.For != "" {
		annotations[keys.For] = string(s.For)
	}
	return annotations
}

// encodeGroups writes a list of groups as the policies of charts/wukong do: with
// no other escapes than JSON demands, as group names of directories hold &.
func encodeGroups(groups []string) string {
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(groups) // a list of strings always encodes
	return strings.TrimSuffix(out.String(), "\n")
}

// ReadStamp reads the stamp of a verb from a virtual machine's annotations, or
// a job's for verb "". A stamp that is missing is ErrNotStamped; one that is
// incomplete or malformed is another error, never a stamp with gaps.
func ReadStamp(verb string, annotations map[string]string) (Stamp, error) {
	keys := StampKeys(verb)
	found := 0
	for _, key := range keys.All() {
		if _, ok := annotations[key]; ok {
			found++
		}
	}
	if found == 0 {
		return Stamp{}, ErrNotStamped
	}
	for _, key := range keys.All() {
		if _, ok := annotations[key]; !ok {
			return Stamp{}, fmt.Errorf("annotation %s is missing from the stamp: ask for the operation again", key)
		}
	}
	stamp := Stamp{User: annotations[keys.User], UID: annotations[keys.UID], For: types.UID(annotations[keys.For])}
	if stamp.User == "" {
		return Stamp{}, fmt.Errorf("annotation %s is empty: it must name the requester", keys.User)
	}
	if keys.For != "" && stamp.For == "" {
		return Stamp{}, fmt.Errorf("annotation %s is empty: it must be the machine's UID", keys.For)
	}
	if err := json.Unmarshal([]byte(annotations[keys.Groups]), &stamp.Groups); err != nil || stamp.Groups == nil {
		return Stamp{}, fmt.Errorf("annotation %s: found %q, must be a JSON list of groups", keys.Groups, annotations[keys.Groups])
	}
	at, err := time.Parse(time.RFC3339, annotations[keys.At])
	if err != nil {
		return Stamp{}, fmt.Errorf("annotation %s: found %q, must be a time such as 2026-01-31T12:00:00Z", keys.At, annotations[keys.At])
	}
	stamp.At = at.UTC()
	return stamp, nil
}

// LastOperation reports back on a machine's last request.
//
// +kubebuilder:object:generate=false
type LastOperation struct {
	// Verb and Value are the request.
	Verb  string `json:"verb"`
	Value string `json:"value"`
	// Job is the name of the object the request became.
	Job string `json:"job,omitempty"`
	// Phase is the job's, or Refused where there is none.
	Phase string `json:"phase,omitempty"`
	// Message is a sentence a person can act on.
	Message string `json:"message,omitempty"`
	// Time is when it was last reported on.
	Time metav1.Time `json:"time"`
}

// Encode writes the report as compact JSON.
func (o LastOperation) Encode() string {
	encoded, _ := json.Marshal(o) // strings and a time always encode
	return string(encoded)
}

// DecodeLastOperation reads a report; an empty one is the zero value.
func DecodeLastOperation(text string) (LastOperation, error) {
	var o LastOperation
	if text == "" {
		return o, nil
	}
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return LastOperation{}, fmt.Errorf("reading annotation %s: %w", AnnotationLastOperation, err)
	}
	return o, nil
}
