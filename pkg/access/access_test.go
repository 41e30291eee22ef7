package access

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	authorizationv1 "k8s.io/api/authorization/v1"
	kubevirtv1 "kubevirt.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"wukong.io/wukong/pkg/validation"
)

func attributes(namespace, verb, group, resource string) authorizationv1.ResourceAttributes {
	return authorizationv1.ResourceAttributes{Namespace: namespace, Verb: verb, Group: group, Resource: resource}
}

func TestRights(t *testing.T) {
	secret := attributes("shop", "get", "", "secrets")
	secret.Name = "push"
	source := attributes("shop", "create", "cdi.kubevirt.io", "datavolumes")
	source.Subresource = "source"
	cases := map[string]struct {
		verb, value string
		want        []authorizationv1.ResourceAttributes
	}{
		"a clone needs to make CloneJobs":       {"clone", "copy", []authorizationv1.ResourceAttributes{attributes("shop", "create", "wukong.io", "clonejobs")}},
		"an export needs to make ExportJobs":    {"export", "r.example.com/a:1", []authorizationv1.ResourceAttributes{attributes("shop", "create", "wukong.io", "exportjobs")}},
		"a rollback needs to make RollbackJobs": {"rollback", "before", []authorizationv1.ResourceAttributes{attributes("shop", "create", "wukong.io", "rollbackjobs")}},
		"a snapshot needs to make snapshots":    {"snapshot", "after", []authorizationv1.ResourceAttributes{attributes("shop", "create", "snapshot.kubevirt.io", "virtualmachinesnapshots")}},
		"a Secret must be readable": {
			"export", `{"target":{"registry":{"image":"r.example.com/a:1","secretName":"push"}}}`,
			[]authorizationv1.ResourceAttributes{attributes("shop", "create", "wukong.io", "exportjobs"), secret},
		},
		"another namespace must be open, and the source consent": {
			"clone", `{"source":{"mode":"Online"},"targets":{"name":"copy","namespace":"other"}}`,
			[]authorizationv1.ResourceAttributes{attributes("shop", "create", "wukong.io", "clonejobs"), attributes("other", "create", "kubevirt.io", "virtualmachines"), source},
		},
		"one's own namespace by name is no other": {
			"clone", `{"source":{"mode":"Online"},"targets":{"name":"copy","namespace":"shop"}}`,
			[]authorizationv1.ResourceAttributes{attributes("shop", "create", "wukong.io", "clonejobs")},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			vm := &kubevirtv1.VirtualMachine{}
			vm.Namespace, vm.Name = "shop", "web"
			request, errs := validation.ParseRequest(tc.verb, tc.value, vm)
			if len(errs) > 0 {
				t.Fatal(errs)
			}
			var got []authorizationv1.ResourceAttributes
			for _, right := range Rights(request, "shop") {
				got = append(got, right.Attributes)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// authorizer allows what it lists.
type authorizer struct {
	client.Writer
	allow string
	err   error
	asked []authorizationv1.SubjectAccessReviewSpec
}

func (a *authorizer) Create(_ context.Context, object client.Object, _ ...client.CreateOption) error {
	review, ok := object.(*authorizationv1.SubjectAccessReview)
	if !ok || a.err != nil {
		return a.err
	}
	a.asked = append(a.asked, review.Spec)
	review.Status.Allowed = review.Spec.ResourceAttributes.Resource == a.allow
	return nil
}

func TestDeniedAsksAboutTheRequesterRightByRight(t *testing.T) {
	who := Requester{User: "alice", UID: "7", Groups: []string{"a", "b"}, Extra: map[string]authorizationv1.ExtraValue{"k": {"v"}}}
	rights := []Right{create(resource{"wukong.io", "clonejobs"}, "shop"), create(resource{"kubevirt.io", "virtualmachines"}, "other")}
	api := &authorizer{allow: "clonejobs"}
	denied, err := Denied(t.Context(), api, who, rights)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(rights[1:], denied); diff != "" {
		t.Errorf("denied (-want +got):\n%s", diff)
	}
	for i, asked := range api.asked {
		want := authorizationv1.SubjectAccessReviewSpec{User: "alice", UID: "7", Groups: who.Groups, Extra: who.Extra, ResourceAttributes: &rights[i].Attributes}
		if diff := cmp.Diff(want, asked); diff != "" {
			t.Errorf("asked (-want +got):\n%s", diff)
		}
	}
}

func TestDeniedIsNoYesWhenNobodyAnswers(t *testing.T) {
	down := errors.New("no connection")
	if _, err := Denied(t.Context(), &authorizer{err: down}, Requester{User: "alice"}, []Right{create(resource{"a", "b"}, "c")}); !errors.Is(err, down) {
		t.Errorf("found error %v, must be %v", err, down)
	}
}
