// Package access asks the API server what a requester may do. Wukong acts with
// rights of its own; before it does, it asks whether the person it acts for
// could have done the same.
package access

import (
	"context"
	"fmt"

	authorizationv1 "k8s.io/api/authorization/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"wukong.io/wukong/pkg/apis/wukong/v1alpha1"
	"wukong.io/wukong/pkg/validation"
)

// Right is something a requester must be allowed to do.
type Right struct {
	// What finishes the sentence "user X may not ...".
	What string
	// Attributes are the right, as RBAC knows it.
	Attributes authorizationv1.ResourceAttributes
}

// Rights lists what a requester must be allowed to do for a request on a
// machine in a namespace: to create the job itself, and what Beyond lists.
func Rights(request validation.Request, namespace string) []Right {
	return append([]Right{create(kindOf(request.Verb), namespace)}, Beyond(request, namespace)...)
}

// Beyond lists the rights that a request needs because of what stands in it: to
// read the Secrets it names, and to reach into the other namespace of a clone.
// No policy can see into an annotation's value.
func Beyond(request validation.Request, namespace string) []Right {
	var rights []Right
	for _, name := range request.SecretNames() {
		rights = append(rights, Right{
			What:       fmt.Sprintf("read Secret %q, which the request names", name),
			Attributes: authorizationv1.ResourceAttributes{Namespace: namespace, Verb: "get", Resource: "secrets", Name: name},
		})
	}
	target := request.TargetNamespace(namespace)
	if target == namespace {
		return rights
	}
	return append(rights,
		create(resource{"kubevirt.io", "virtualmachines"}, target),
		Right{
			What: fmt.Sprintf("copy disks out of namespace %q: it needs the right to create datavolumes/source there, which role cdi.kubevirt.io:clone-sourcer gives", namespace),
			Attributes: authorizationv1.ResourceAttributes{
				Namespace: namespace, Verb: "create", Group: "cdi.kubevirt.io", Resource: "datavolumes", Subresource: "source",
			},
		},
	)
}

type resource struct{ group, name string }

// kindOf gives what a verb makes.
func kindOf(verb string) resource {
	switch verb {
	case v1alpha1.VerbClone:
		return resource{v1alpha1.GroupName, "clonejobs"}
	case v1alpha1.VerbExport:
		return resource{v1alpha1.GroupName, "exportjobs"}
	case v1alpha1.VerbRollback:
		return resource{v1alpha1.GroupName, "rollbackjobs"}
	}
	return resource{"snapshot.kubevirt.io", "virtualmachinesnapshots"}
}

func create(r resource, namespace string) Right {
	return Right{
		What:       fmt.Sprintf("create %s.%s in namespace %q", r.name, r.group, namespace),
		Attributes: authorizationv1.ResourceAttributes{Namespace: namespace, Verb: "create", Group: r.group, Resource: r.name},
	}
}

// Requester is somebody to ask about.
type Requester struct {
	// User, UID and Groups are who they are to the API server.
	User, UID string
	Groups    []string
	// Extra is what else their credentials say.
	Extra map[string]authorizationv1.ExtraValue
}

// Denied lists the rights of a list that a requester does not have. It asks the
// API server live, right by right.
func Denied(ctx context.Context, writer client.Writer, who Requester, rights []Right) ([]Right, error) {
	var denied []Right
	for _, right := range rights {
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User: who.User, UID: who.UID, Groups: who.Groups, Extra: who.Extra, ResourceAttributes: &right.Attributes,
		}}
		if err := writer.Create(ctx, review); err != nil {
			return nil, fmt.Errorf("asking whether user %q may %s: %w", who.User, right.What, err)
		}
		if !review.Status.Allowed {
			denied = append(denied, right)
		}
	}
	return denied, nil
}
