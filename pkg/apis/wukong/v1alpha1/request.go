package v1alpha1

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"k8s.io/apimachinery/pkg/types"
)

// The verbs of request annotations: wukong.io/<verb> on a virtual machine asks
// for the operation.
const (
	// VerbClone asks for a CloneJob.
	VerbClone = "clone"
	// VerbExport asks for an ExportJob.
	VerbExport = "export"
	// VerbRollback asks for a RollbackJob.
	VerbRollback = "rollback"
	// VerbSnapshot asks for one VirtualMachineSnapshot.
	VerbSnapshot = "snapshot"
	// VerbSnapshotPolicy binds the machine to a SnapshotPolicy. It is a standing
	// binding, not a request: it is never stamped and makes no job.
	VerbSnapshotPolicy = "snapshot-policy"
)

const (
	// requestNameMax is the longest name of what a request makes: names of
	// machines and jobs also stand in labels.
	requestNameMax = 63
	// requestHashLen is how many hexadecimal digits of a request's hash its
	// name carries.
	requestHashLen = 10
)

// RequestVerbs lists the verbs that ask for one operation, in alphabetical
// order.
func RequestVerbs() []string {
	return []string{VerbClone, VerbExport, VerbRollback, VerbSnapshot}
}

// RequestAnnotation gives the key of the annotation that asks for a verb.
func RequestAnnotation(verb string) string {
	return GroupName + "/" + verb
}

// RequestName gives the name of the object that an accepted request becomes:
// <machine>-<verb>-<hash>, where the hash is of the machine's UID, the verb and
// the annotation's value. The same request always has the same name, so it is
// made exactly once, whoever makes it. The name has at most 63 characters; a
// longer machine's name is cut, which the hash makes up for.
func RequestName(vmName string, vmUID types.UID, verb, value string) string {
	sum := sha256.Sum256([]byte(string(vmUID) + "/" + verb + "/" + value))
	suffix := "-" + verb + "-" + hex.EncodeToString(sum[:])[:requestHashLen]
	name := strings.ReplaceAll(vmName, ".", "-")
	name = name[:min(len(name), max(0, requestNameMax-len(suffix)))]
	return strings.Trim(name, "-") + suffix
}
