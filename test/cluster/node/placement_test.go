package node

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func threeNodes() []corev1.Node {
	nodes := make([]corev1.Node, 3)
	for i := range nodes {
		nodes[i].Name = fmt.Sprintf("node-%d", i)
		nodes[i].Labels = nodeLabels(nodes[i].Name, i)
	}
	return nodes
}

func podOf(app string, change func(*corev1.PodSpec)) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Labels: map[string]string{"app": app}}}
	if change != nil {
		change(&pod.Spec)
	}
	return pod
}

func webs() *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
}

func TestPlace(t *testing.T) {
	antiAffine := func(spec *corev1.PodSpec) {
		spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{TopologyKey: corev1.LabelHostname, LabelSelector: webs()}},
		}}
	}
	spread := func(spec *corev1.PodSpec) {
		spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
			MaxSkew: 1, TopologyKey: corev1.LabelHostname, WhenUnsatisfiable: corev1.DoNotSchedule, LabelSelector: webs(),
		}}
	}
	cases := map[string]struct {
		pods       []*corev1.Pod
		cordoned   string
		want       []string
		wantReason string
	}{
		"puts Pods on the emptiest node": {
			pods: []*corev1.Pod{podOf("a", nil), podOf("b", nil), podOf("c", nil), podOf("d", nil)},
			want: []string{"node-0", "node-1", "node-2", "node-0"},
		},
		"follows a node selector": {
			pods: []*corev1.Pod{podOf("web", func(spec *corev1.PodSpec) { spec.NodeSelector = map[string]string{corev1.LabelHostname: "node-2"} })},
			want: []string{"node-2"},
		},
		"says why no node fits": {
			pods:       []*corev1.Pod{podOf("web", func(spec *corev1.PodSpec) { spec.NodeSelector = map[string]string{"gpu": "yes"} })},
			want:       []string{""},
			wantReason: "0/3 nodes are available: node(s) didn't match Pod's node affinity/selector.",
		},
		"keeps Pods apart that repel each other": {
			pods:       []*corev1.Pod{podOf("web", antiAffine), podOf("web", antiAffine), podOf("web", antiAffine), podOf("web", antiAffine)},
			want:       []string{"node-0", "node-1", "node-2", ""},
			wantReason: "0/3 nodes are available: node(s) didn't match pod anti-affinity rules.",
		},
		"spreads evenly": {
			pods: []*corev1.Pod{podOf("web", spread), podOf("web", spread), podOf("db", nil), podOf("web", spread), podOf("web", spread)},
			want: []string{"node-0", "node-1", "node-2", "node-2", "node-0"},
		},
		"leaves a cordoned node alone": {
			pods:     []*corev1.Pod{podOf("a", nil), podOf("b", nil), podOf("c", nil)},
			cordoned: "node-1",
			want:     []string{"node-0", "node-2", "node-0"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			nodes := threeNodes()
			for i := range nodes {
				nodes[i].Spec.Unschedulable = nodes[i].Name == tc.cordoned
			}
			p := newPlacement()
			var got []string
			reason := ""
			for i, pod := range tc.pods {
				pod.UID = types.UID(strconv.Itoa(i))
				node, why := p.place(pod, nodes)
				got, reason = append(got, node), why
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("nodes (-want +got):\n%s", diff)
			}
			if reason != tc.wantReason {
				t.Errorf("want reason %q, got %q", tc.wantReason, reason)
			}
		})
	}
}

func TestAForgottenPodMakesRoom(t *testing.T) {
	p := newPlacement()
	first, second := podOf("a", nil), podOf("b", nil)
	first.UID, second.UID = "1", "2"
	if node, _ := p.place(first, threeNodes()); node != "node-0" {
		t.Fatalf("want node-0, got %q", node)
	}
	p.forget(first.UID)
	if node, _ := p.place(second, threeNodes()); node != "node-0" {
		t.Errorf("want node-0 again, got %q", node)
	}
}

func TestFileNeeds(t *testing.T) {
	pod := podOf("web", func(spec *corev1.PodSpec) {
		spec.Volumes = []corev1.Volume{
			{Name: "a", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "userdata"}}},
			{Name: "b", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "maybe", Optional: new(true)}}},
			{Name: "c", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
				{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "kube-root-ca.crt"}}},
			}}}},
		}
		spec.Containers = []corev1.Container{{Env: []corev1.EnvVar{{Name: "TOKEN", ValueFrom: &corev1.EnvVarSource{
			SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "token"}, Key: "token"},
		}}}}}
	})
	want := []string{"configmap/kube-root-ca.crt", "secret/token", "secret/userdata"}
	if diff := cmp.Diff(want, fileNeeds(pod)); diff != "" {
		t.Errorf("needs (-want +got):\n%s", diff)
	}
}
