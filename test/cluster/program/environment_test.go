package program

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestReferencesToVariables(t *testing.T) {
	cases := map[string]struct{ text, want string }{
		"replaces one that exists":             {"--name=$(NAME)", "--name=web"},
		"keeps one that does not":              {"$(OTHER)", "$(OTHER)"},
		"reads two dollars as one":             {"$$(NAME)", "$(NAME)"},
		"leaves the shell's form to the shell": {"$NAME ${NAME}", "$NAME ${NAME}"},
		"replaces each of several":             {"$(NAME)-$(NAME)", "web-web"},
	}
	e := &environment{values: map[string]string{"NAME": "web"}}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := e.expand(tc.text); got != tc.want {
				t.Errorf("expand(%q) = %q, want %q", tc.text, got, tc.want)
			}
		})
	}
}

func TestEnvironmentOfAPod(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", Labels: map[string]string{"app": "x"}}}
	container := &corev1.Container{
		Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{
			corev1.ResourceMemory: resource.MustParse("64Mi"), corev1.ResourceCPU: resource.MustParse("1500m"),
		}},
		Env: []corev1.EnvVar{
			{Name: "NS", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.namespace"}}},
			{Name: "APP", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.labels['app']"}}},
			{Name: "BOTH", Value: "$(NS)/$(APP)"},
			{Name: "MEMORY", ValueFrom: &corev1.EnvVarSource{ResourceFieldRef: &corev1.ResourceFieldSelector{Resource: "limits.memory"}}},
			{Name: "CPUS", ValueFrom: &corev1.EnvVarSource{ResourceFieldRef: &corev1.ResourceFieldSelector{Resource: "limits.cpu"}}},
			{Name: "HTTPS_PROXY", Value: "mine"},
		},
	}
	r := New(Options{Server: "127.0.0.1:6443", Environment: []corev1.EnvVar{{Name: "HTTPS_PROXY", Value: "ours"}}})
	e, err := r.environment(t.Context(), pod, container)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"APP=x", "BOTH=shop/x", "CPUS=2", "HOME=/", "HOSTNAME=web", "HTTPS_PROXY=mine", "KUBERNETES_SERVICE_HOST=127.0.0.1",
		"KUBERNETES_SERVICE_PORT=6443", "MEMORY=67108864", "NS=shop", "PATH=" + usualPath,
	}
	if diff := cmp.Diff(want, e.list()); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
}

func TestAnUnknownFieldIsAnError(t *testing.T) {
	container := &corev1.Container{Env: []corev1.EnvVar{
		{Name: "X", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "status.phase"}}},
	}}
	_, err := New(Options{Server: "127.0.0.1:6443"}).environment(t.Context(), &corev1.Pod{}, container)
	if err == nil || err.Error() != `variable "X": the field "status.phase" is not known here` {
		t.Errorf("environment() = %v", err)
	}
}
