package validation

import (
	"cmp"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	kubevirtv1 "kubevirt.io/api/core/v1"
	snapshotv1beta1 "kubevirt.io/api/snapshot/v1beta1"

	"wukong.io/wukong/pkg/apis/wukong/v1alpha1"
	"wukong.io/wukong/pkg/storage"
)

// RequestMax is the longest value of a request annotation, in bytes.
const RequestMax = 16 << 10

const (
	// shortestDeadline and longestDeadline bound how long a requested snapshot
	// may take; none may take for ever.
	shortestDeadline = 10 * time.Second
	longestDeadline  = 24 * time.Hour
)

// Request is an annotation's value, parsed. Exactly one member beside Verb and
// Value is set.
type Request struct {
	// Verb is what is asked for, such as clone.
	Verb string
	// Value is the annotation's value, as it names the request's object.
	Value string
	// Clone is the spec of the CloneJob, with its source filled in.
	Clone *v1alpha1.CloneJobSpec
	// Export is the spec of the ExportJob, with its source filled in.
	Export *v1alpha1.ExportJobSpec
	// Rollback is the spec of the RollbackJob, with its machine filled in.
	Rollback *v1alpha1.RollbackJobSpec
	// Snapshot is the snapshot to take.
	Snapshot *SnapshotRequest
	// SnapshotPolicy is the name of the policy the machine is bound to.
	SnapshotPolicy string
}

// SnapshotRequest is a VirtualMachineSnapshot to take of the machine.
type SnapshotRequest struct {
	// Name of the VirtualMachineSnapshot.
	Name string `json:"name"`
	// DeletionPolicy says whether the data goes with the object; Delete if
	// unset.
	DeletionPolicy snapshotv1beta1.DeletionPolicy `json:"deletionPolicy,omitempty"`
	// FailureDeadline is how long the snapshot may take; KubeVirt's five
	// minutes if unset.
	FailureDeadline *metav1.Duration `json:"failureDeadline,omitempty"`
}

// SecretNames lists the Secrets a request names, in alphabetical order: the
// requester must have the right to read each.
func (r Request) SecretNames() []string {
	var names []string
	if r.Export != nil {
		names = ExportSecretNames(&r.Export.Target)
	}
	return names
}

// TargetNamespace gives the namespace that a request makes machines in, which
// is the machine's own unless a clone names another.
func (r Request) TargetNamespace(own string) string {
	if r.Clone == nil {
		return own
	}
	return cmp.Or(r.Clone.Targets.Namespace, own)
}

// ExportSecretNames lists the Secrets of an export's target.
func ExportSecretNames(target *v1alpha1.ExportTarget) []string {
	var names []string
	if target.Registry != nil {
		names = append(names, target.Registry.SecretName)
	}
	if target.S3 != nil {
		names = append(names, target.S3.SecretName)
	}
	return cleanNames(names)
}

// ImportSecretNames lists the Secrets of an import's source.
func ImportSecretNames(source *v1alpha1.ImportSource) []string {
	var names []string
	if source.Registry != nil {
		names = append(names, source.Registry.SecretName)
	}
	if source.HTTP != nil {
		names = append(append(names, source.HTTP.SecretName), source.HTTP.SecretExtraHeaders...)
	}
	if source.S3 != nil {
		names = append(names, source.S3.SecretName)
	}
	if source.GCS != nil {
		names = append(names, source.GCS.SecretName)
	}
	if source.ImageIO != nil {
		names = append(names, source.ImageIO.SecretName)
	}
	if source.VDDK != nil {
		names = append(names, source.VDDK.SecretName)
	}
	return cleanNames(names)
}

func cleanNames(names []string) []string {
	names = slices.DeleteFunc(names, func(name string) bool { return name == "" })
	slices.Sort(names)
	return slices.Compact(names)
}

// RequestPath is the path of a request annotation in errors.
func RequestPath(verb string) *field.Path {
	return field.NewPath("metadata", "annotations").Key(v1alpha1.RequestAnnotation(verb))
}

// ParseRequest reads the value of a request annotation on a machine: a name or
// an image, or, where it begins with {, JSON of the job's spec. What is missing
// because the machine is the source is filled in. Errors are complete, and the
// request is of use only without any.
//
// A clone by its short form is an Online one: it works whether the machine runs
// or not, and so means the same to whoever reads it later.
func ParseRequest(verb, value string, vm *kubevirtv1.VirtualMachine) (Request, field.ErrorList) {
	if vm == nil {
		vm = &kubevirtv1.VirtualMachine{}
	}
	path := RequestPath(verb)
	request := Request{Verb: verb, Value: value}
	if errs := checkRequestText(path, verb, value); len(errs) > 0 {
		return request, errs
	}
	var errs field.ErrorList
	switch verb {
	case v1alpha1.VerbClone:
		request.Clone, errs = parseClone(path, value, vm)
	case v1alpha1.VerbExport:
		request.Export, errs = parseExport(path, value, vm)
	case v1alpha1.VerbRollback:
		request.Rollback, errs = parseRollback(path, value, vm)
	case v1alpha1.VerbSnapshot:
		request.Snapshot, errs = parseSnapshot(path, value)
	case v1alpha1.VerbSnapshotPolicy:
		request.SnapshotPolicy, errs = value, subdomain(path, value, "a SnapshotPolicy")
	default:
		errs = field.ErrorList{field.Forbidden(path, "unknown request: must be one of "+strings.Join(requestKeys(), ", "))}
	}
	return request, limitErrors(path, errs)
}

func requestKeys() []string {
	verbs := append(v1alpha1.RequestVerbs(), v1alpha1.VerbSnapshotPolicy)
	for i, verb := range verbs {
		verbs[i] = v1alpha1.RequestAnnotation(verb)
	}
	return verbs
}

// shortForm says what each verb's short form is.
func shortForm(verb string) string {
	switch verb {
	case v1alpha1.VerbClone:
		return "the name of the new machine, or JSON of a CloneJob's spec"
	case v1alpha1.VerbExport:
		return "an image such as registry.example.com/vms/web:v1, or JSON of an ExportJob's spec"
	case v1alpha1.VerbRollback:
		return "the name of a VirtualMachineSnapshot, or JSON of a RollbackJob's spec"
	case v1alpha1.VerbSnapshot:
		return "the name of the new snapshot, or JSON with name, deletionPolicy and failureDeadline"
	}
	return "the name of a SnapshotPolicy"
}

// checkRequestText refuses what no form of a request may hold.
func checkRequestText(path *field.Path, verb, value string) field.ErrorList {
	switch {
	case len(value) > RequestMax:
		return field.ErrorList{field.TooLong(path, "", RequestMax)}
	case value == "":
		return field.ErrorList{field.Required(path, "must be "+shortForm(verb)+"; to withdraw the request, remove the annotation")}
	case isJSON(value):
		return nil
	case strings.ContainsAny(value, " \t\r\n"):
		return field.ErrorList{field.Invalid(path, show(value), "must not hold spaces or line breaks: must be "+shortForm(verb))}
	case hasControl(value):
		return field.ErrorList{field.Invalid(path, show(value), "must not hold control or invisible characters: must be "+shortForm(verb))}
	}
	return nil
}

// requestLocator places errors in a request: in its JSON, or at the annotation
// itself for a short form.
func requestLocator(path *field.Path, value string) locator {
	if isJSON(value) {
		return under(path)
	}
	return func(...string) *field.Path { return path }
}

func isJSON(value string) bool {
	return strings.HasPrefix(value, "{")
}

// decodeRequest reads the JSON form of a request.
func decodeRequest(path *field.Path, value string, out any) field.ErrorList {
	if value != strings.ToValidUTF8(value, "") {
		return field.ErrorList{field.Invalid(path, show(value), "must be UTF-8 text")}
	}
	return decodeStrict(value, out, path)
}

func parseClone(path *field.Path, value string, vm *kubevirtv1.VirtualMachine) (*v1alpha1.CloneJobSpec, field.ErrorList) {
	spec := &v1alpha1.CloneJobSpec{}
	if isJSON(value) {
		if errs := decodeRequest(path, value, spec); len(errs) > 0 {
			return nil, errs
		}
	} else {
		spec.Source.Mode, spec.Targets.Name = v1alpha1.CloneOnline, value
	}
	errs := ownCloneSource(path.Child("source"), &spec.Source, vm)
	scope := cloneScope{at: requestLocator(path, value), namespace: vm.Namespace, request: true}
	errs = append(errs, scope.validate(spec)...)
	errs = append(errs, cloneOfMachine(path, spec, vm)...)
	return spec, errs
}

// ownCloneSource checks that a request's source is its machine, and fills it in.
func ownCloneSource(path *field.Path, source *v1alpha1.CloneSource, vm *kubevirtv1.VirtualMachine) field.ErrorList {
	var errs field.ErrorList
	if source.Snapshot != nil {
		errs = append(errs, field.Forbidden(path.Child("snapshot"), "must not be set in a request, whose source is the machine itself: create a CloneJob to clone a snapshot"))
		source.Snapshot = nil
	}
	if from := source.VirtualMachine; from != nil {
		at := path.Child("virtualMachine")
		if from.Name != vm.Name {
			errs = append(errs, field.Invalid(at.Child("name"), show(from.Name), "must be the machine that carries the request, "+quote(vm.Name)+": leave it out, or make the request on that machine"))
		}
		if from.Namespace != "" && from.Namespace != vm.Namespace {
			errs = append(errs, field.Invalid(at.Child("namespace"), show(from.Namespace), "must be the namespace of the machine that carries the request, "+quote(vm.Namespace)+": leave it out"))
		}
	}
	source.VirtualMachine = &v1alpha1.NamespacedName{Name: vm.Name}
	return errs
}

// cloneOfMachine checks a clone against the state of its machine.
func cloneOfMachine(path *field.Path, spec *v1alpha1.CloneJobSpec, vm *kubevirtv1.VirtualMachine) field.ErrorList {
	var errs field.ErrorList
	if vm.Status.Created && spec.Source.Mode != v1alpha1.CloneOnline {
		errs = append(errs, field.Invalid(path.Child("source", "mode"), string(cmp.Or(spec.Source.Mode, v1alpha1.CloneOffline)),
			"must be Online while machine "+quote(vm.Name)+" runs: set mode to Online, or stop the machine first"))
	}
	if storage.HasPersistentState(vm) {
		errs = append(errs, field.Forbidden(path, "machine "+quote(vm.Name)+" has a persistent TPM or EFI variables, which cannot be cloned, as two machines would hold the same keys: "+
			"set persistent to false for the TPM and EFI of the machine, or make the new machine from an image"))
	}
	return errs
}

func parseExport(path *field.Path, value string, vm *kubevirtv1.VirtualMachine) (*v1alpha1.ExportJobSpec, field.ErrorList) {
	spec := &v1alpha1.ExportJobSpec{}
	if isJSON(value) {
		if errs := decodeRequest(path, value, spec); len(errs) > 0 {
			return nil, errs
		}
	} else {
		spec.Target.Registry = &v1alpha1.RegistryTarget{Image: value}
	}
	errs := ownExportSource(path.Child("source"), &spec.Source, vm)
	errs = append(errs, exportSpec(requestLocator(path, value), spec)...)
	errs = append(errs, exportOfMachine(path, spec, vm)...)
	return spec, errs
}

func ownExportSource(path *field.Path, source *v1alpha1.ExportSource, vm *kubevirtv1.VirtualMachine) field.ErrorList {
	var errs field.ErrorList
	const other = "must not be set in a request, whose source is the machine itself: create an ExportJob to export "
	if source.Snapshot != "" {
		errs = append(errs, field.Forbidden(path.Child("snapshot"), other+"a snapshot"))
	}
	if source.PVC != "" {
		errs = append(errs, field.Forbidden(path.Child("pvc"), other+"a claim"))
	}
	if name := source.VirtualMachine; name != "" && name != vm.Name {
		errs = append(errs, field.Invalid(path.Child("virtualMachine"), show(name), "must be the machine that carries the request, "+quote(vm.Name)+": leave it out, or make the request on that machine"))
	}
	*source = v1alpha1.ExportSource{VirtualMachine: vm.Name}
	return errs
}

// exportOfMachine checks an export against the disks of its machine.
func exportOfMachine(path *field.Path, spec *v1alpha1.ExportJobSpec, vm *kubevirtv1.VirtualMachine) field.ErrorList {
	if vm.Spec.Template == nil {
		return nil
	}
	claims := map[string]string{}
	var names []string
	for _, volume := range vm.Spec.Template.Spec.Volumes {
		if claim := claimOf(&volume); claim != "" {
			claims[volume.Name] = claim
			names = append(names, volume.Name)
		}
	}
	if len(names) == 0 {
		return field.ErrorList{field.Forbidden(path, "machine "+quote(vm.Name)+" has no disk on a PersistentVolumeClaim or DataVolume, so there is nothing to export: add one first")}
	}
	var errs field.ErrorList
	disks := path.Child("target", "disks")
	for i, disk := range spec.Target.Disks {
		if _, ok := claims[disk]; !ok && isLabel(disk) {
			errs = append(errs, field.Invalid(disks.Index(i), show(disk), "must be a disk of machine "+quote(vm.Name)+" that is on a claim: must be "+orList(names)))
		}
	}
	if target := spec.Target.PVC; target != nil {
		for _, name := range names {
			if claims[name] == target.ClaimName {
				errs = append(errs, field.Invalid(path.Child("target", "pvc", "claimName"), target.ClaimName, "must not be the claim of the machine's own disk "+quote(name)+": export to another claim"))
			}
		}
	}
	return errs
}

func claimOf(volume *kubevirtv1.Volume) string {
	switch {
	case volume.DataVolume != nil:
		return volume.DataVolume.Name
	case volume.PersistentVolumeClaim != nil:
		return volume.PersistentVolumeClaim.ClaimName
	}
	return ""
}

func parseRollback(path *field.Path, value string, vm *kubevirtv1.VirtualMachine) (*v1alpha1.RollbackJobSpec, field.ErrorList) {
	spec := &v1alpha1.RollbackJobSpec{}
	var errs field.ErrorList
	if !isJSON(value) {
		spec.VirtualMachine, spec.Snapshot = vm.Name, value
		return spec, subdomain(path, value, "a VirtualMachineSnapshot")
	}
	if errs := decodeRequest(path, value, spec); len(errs) > 0 {
		return nil, errs
	}
	if name := spec.VirtualMachine; name != "" && name != vm.Name {
		errs = append(errs, field.Invalid(path.Child("virtualMachine"), show(name), "must be the machine that carries the request, "+quote(vm.Name)+": leave it out, or make the request on that machine"))
	}
	spec.VirtualMachine = vm.Name
	return spec, append(errs, rollbackSpec(under(path), spec)...)
}

func parseSnapshot(path *field.Path, value string) (*SnapshotRequest, field.ErrorList) {
	request := &SnapshotRequest{}
	if !isJSON(value) {
		request.Name = value
		return request, label(path, value, "the new snapshot")
	}
	if errs := decodeRequest(path, value, request); len(errs) > 0 {
		return nil, errs
	}
	errs := label(path.Child("name"), request.Name, "the new snapshot")
	errs = append(errs, oneOf(path.Child("deletionPolicy"), request.DeletionPolicy,
		snapshotv1beta1.VirtualMachineSnapshotContentDelete, snapshotv1beta1.VirtualMachineSnapshotContentRetain)...)
	if deadline := request.FailureDeadline; deadline != nil && (deadline.Duration < shortestDeadline || deadline.Duration > longestDeadline) {
		errs = append(errs, field.Invalid(path.Child("failureDeadline"), deadline.Duration.String(),
			"must be from 10s to 24h: no snapshot may take for ever"))
	}
	return request, errs
}

// ValidateRequestPolicy checks the destinations of a parsed request.
func ValidateRequestPolicy(request Request, policy *Policy) field.ErrorList {
	if request.Export == nil {
		return nil
	}
	at := requestLocator(RequestPath(request.Verb), request.Value)
	return destination(at.child("target"), &request.Export.Target, policy)
}
