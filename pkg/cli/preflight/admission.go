package preflight

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"wukong.io/wukong/pkg/apis/wukong/v1alpha1"
)

// How many machines are shown to admission. Machines of a pool are alike but
// for overrides, so of a large fleet the first of each pool will do.
const (
	smallFleet  = 100
	askedAtOnce = 8
)

// Admission has the cluster judge the fleet's machines without making them, and
// reports those it refuses, in its own words. Helm would stop at the first of
// them and leave half a fleet behind.
func Admission(ctx context.Context, cluster Cluster, namespace string, objects []*unstructured.Unstructured) ([]Finding, error) {
	machines := sample(objects)
	if len(machines) == 0 {
		return nil, nil
	}
	mapping, err := cluster.Mapper.RESTMapping(machines[0].GroupVersionKind().GroupKind())
	if apimeta.IsNoMatchError(err) {
		return nil, nil // told as a missing kind
	}
	if err != nil {
		return nil, fmt.Errorf("asking the cluster for kind %s: %w", machines[0].GetKind(), err)
	}
	client := cluster.Client.Resource(mapping.Resource).Namespace(namespace)
	refusals := make([]error, len(machines))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(askedAtOnce)
	for i, machine := range machines {
		group.Go(func() error {
			_, err := client.Create(groupCtx, machine, metav1.CreateOptions{
				DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict,
			})
			refusals[i] = err
			return groupCtx.Err()
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return judge(machines, refusals, objects), nil
}

// sample gives the machines that are shown to admission.
func sample(objects []*unstructured.Unstructured) []*unstructured.Unstructured {
	var all, firsts []*unstructured.Unstructured
	seen := map[string]bool{}
	for _, object := range objects {
		if object.GetKind() != "VirtualMachine" {
			continue
		}
		all = append(all, object)
		if pool := object.GetLabels()[v1alpha1.LabelPool]; !seen[pool] {
			seen[pool] = true
			firsts = append(firsts, object)
		}
	}
	if len(all) <= smallFleet {
		return all
	}
	return firsts
}

// judge turns refusals into findings, each once a pool.
func judge(machines []*unstructured.Unstructured, refusals []error, objects []*unstructured.Unstructured) []Finding {
	var findings []Finding
	told := map[string]bool{}
	for i, err := range refusals {
		if err == nil || apierrors.IsAlreadyExists(err) || missesOwn(err, objects) {
			continue
		}
		machine := machines[i]
		key := machine.GetLabels()[v1alpha1.LabelPool] + "\x00" + strings.ReplaceAll(err.Error(), machine.GetName(), "")
		if told[key] {
			continue
		}
		told[key] = true
		findings = append(findings, Finding{Fatal: true, Message: refusal(machine.GetName(), err)})
	}
	return findings
}

func refusal(machine string, err error) string {
	message := fmt.Sprintf("the cluster refuses VirtualMachine %q: %v", machine, err)
	if strings.Contains(err.Error(), "unknown field") {
		message += "; its KubeVirt does not know the field and would drop it"
	}
	return message
}

// missesOwn says that a machine is refused because something is not there that
// the fleet makes before its machines.
func missesOwn(err error, objects []*unstructured.Unstructured) bool {
	text := err.Error()
	return strings.Contains(text, "not found") && slices.ContainsFunc(objects, func(object *unstructured.Unstructured) bool {
		return object.GetKind() == "DataSource" && strings.Contains(text, object.GetName())
	})
}
