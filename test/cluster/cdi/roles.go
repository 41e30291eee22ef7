package cdi

import (
	"context"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// setupRoles creates the roles that CDI brings to users. Those named admin, edit and view are part of
// Kubernetes' own roles of these names; clone-sourcer is for whoever may copy from a namespace.
func setupRoles(ctx context.Context, e *env) error {
	for _, object := range roles() {
		if err := client.IgnoreAlreadyExists(e.endpoint.direct.Create(ctx, object)); err != nil {
			return err
		}
	}
	return nil
}

func roles() []client.Object {
	objects := []string{"datavolumes", "dataimportcrons", "datasources", "volumeimportsources", "volumeuploadsources", "volumeclonesources"}
	configs := []string{"cdiconfigs", "storageprofiles"}
	read := []string{"get", "list", "watch"}
	source := rule(group, []string{"create"}, "datavolumes/source")
	manage := []rbacv1.PolicyRule{
		rule(group, []string{"*"}, objects...), source, rule(uploadGroup, []string{"*"}, "uploadtokenrequests"),
	}
	return []client.Object{
		role("admin", true, manage...),
		role("edit", true, manage...),
		role("view", true, rule(group, read, append(objects, append(configs, "objecttransfers")...)...)),
		role("clone-sourcer", false, source),
		role("config-reader", false, rule(group, read, configs...)),
		&rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: group + ":config-reader"},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: group + ":config-reader"},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: "system:authenticated"}},
		},
	}
}

func rule(apiGroup string, verbs []string, resources ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{apiGroup}, Verbs: verbs, Resources: resources}
}

// role is a ClusterRole that, if it is aggregated, adds to the one of Kubernetes with its name.
func role(name string, aggregated bool, rules ...rbacv1.PolicyRule) *rbacv1.ClusterRole {
	made := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: group + ":" + name}, Rules: rules}
	if aggregated {
		made.Labels = map[string]string{"rbac.authorization.k8s.io/aggregate-to-" + name: "true"}
	}
	return made
}
