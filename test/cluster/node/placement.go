package node

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
)

// placement remembers where every Pod was put. It is asked and told under one lock, so two Pods that repel
// each other cannot both be put on the node that was free a moment ago.
type placement struct {
	mu     sync.Mutex
	placed map[types.UID]placedPod
}

type placedPod struct {
	node      string
	namespace string
	labels    labels.Set
}

func newPlacement() *placement { return &placement{placed: map[types.UID]placedPod{}} }

// place picks a node for the Pod and takes the place, or says why there is none. A Pod that has a place keeps it: its
// volumes may be on their way there.
func (p *placement) place(pod *corev1.Pod, nodes []corev1.Node) (node, reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if have, ok := p.placed[pod.UID]; ok {
		return have.node, ""
	}
	var fits []corev1.Node
	var reasons []string
	for _, candidate := range nodes {
		if why := p.repels(pod, &candidate, nodes); why != "" {
			reasons = append(reasons, why)
			continue
		}
		fits = append(fits, candidate)
	}
	if len(fits) == 0 {
		slices.Sort(reasons)
		return "", fmt.Sprintf("0/%d nodes are available: %s.", len(nodes), strings.Join(slices.Compact(reasons), ", "))
	}
	chosen := slices.MinFunc(fits, func(a, b corev1.Node) int { return p.score(pod, &a) - p.score(pod, &b) })
	p.remember(pod, chosen.Name)
	return chosen.Name, ""
}

// observe takes note of a Pod that somebody else placed.
func (p *placement) observe(pod *corev1.Pod) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.remember(pod, pod.Spec.NodeName)
}

func (p *placement) remember(pod *corev1.Pod, node string) {
	p.placed[pod.UID] = placedPod{node: node, namespace: pod.Namespace, labels: pod.Labels}
}

func (p *placement) forget(uid types.UID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.placed, uid)
}

// repels says why a Pod cannot be on a node, in the scheduler's words; "" is that it can.
func (p *placement) repels(pod *corev1.Pod, node *corev1.Node, nodes []corev1.Node) string {
	if pod.Spec.NodeName != "" && pod.Spec.NodeName != node.Name {
		return "node(s) didn't match the requested node name"
	}
	if node.Spec.Unschedulable {
		return "node(s) were unschedulable"
	}
	if match, err := nodeaffinity.GetRequiredNodeAffinity(pod).Match(node); err != nil || !match {
		return "node(s) didn't match Pod's node affinity/selector"
	}
	if p.antiAffine(pod, node, nodes) {
		return "node(s) didn't match pod anti-affinity rules"
	}
	if p.skewed(pod, node, nodes) {
		return "node(s) didn't match pod topology spread constraints"
	}
	return ""
}

func (p *placement) antiAffine(pod *corev1.Pod, node *corev1.Node, nodes []corev1.Node) bool {
	if pod.Spec.Affinity == nil || pod.Spec.Affinity.PodAntiAffinity == nil {
		return false
	}
	for _, term := range pod.Spec.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution {
		namespaces := term.Namespaces
		if len(namespaces) == 0 {
			namespaces = []string{pod.Namespace}
		}
		if p.count(namespaces, term.LabelSelector, term.TopologyKey, nodes)[node.Labels[term.TopologyKey]] > 0 {
			return true
		}
	}
	return false
}

func (p *placement) skewed(pod *corev1.Pod, node *corev1.Node, nodes []corev1.Node) bool {
	for _, constraint := range pod.Spec.TopologySpreadConstraints {
		if constraint.WhenUnsatisfiable != corev1.DoNotSchedule {
			continue
		}
		domain, labelled := node.Labels[constraint.TopologyKey]
		counts := p.count([]string{pod.Namespace}, constraint.LabelSelector, constraint.TopologyKey, nodes)
		if !labelled || counts[domain]+1-smallest(counts) > int(constraint.MaxSkew) {
			return true
		}
	}
	return false
}

// score is lower the better a node suits: first by the Pods a spread constraint counts, then by all.
func (p *placement) score(pod *corev1.Pod, node *corev1.Node) int {
	score := 0
	for _, placed := range p.placed {
		if placed.node != node.Name {
			continue
		}
		score++
		for _, constraint := range pod.Spec.TopologySpreadConstraints {
			if placed.namespace == pod.Namespace && selects(constraint.LabelSelector, placed.labels) {
				score += 1000
			}
		}
	}
	return score
}

// count counts the placed Pods a selector selects by topology domain; empty domains count zero.
func (p *placement) count(namespaces []string, selector *metav1.LabelSelector, key string, nodes []corev1.Node) map[string]int {
	counts := map[string]int{}
	domains := map[string]string{}
	for _, node := range nodes {
		if domain, ok := node.Labels[key]; ok {
			domains[node.Name] = domain
			counts[domain] += 0
		}
	}
	for _, placed := range p.placed {
		domain, ok := domains[placed.node]
		if ok && slices.Contains(namespaces, placed.namespace) && selects(selector, placed.labels) {
			counts[domain]++
		}
	}
	return counts
}

func selects(selector *metav1.LabelSelector, set labels.Set) bool {
	parsed, err := metav1.LabelSelectorAsSelector(selector)
	return err == nil && parsed.Matches(set)
}

func smallest(counts map[string]int) int {
	least := -1
	for _, count := range counts {
		if least < 0 || count < least {
			least = count
		}
	}
	return max(least, 0)
}
