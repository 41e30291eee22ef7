package cli

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/pager"

	"wukong.io/wukong/pkg/apis/wukong/v1alpha1"
)

// completionPatience is how long somebody who pressed the tab key waits.
const completionPatience = 3 * time.Second

// completeFleets offers the fleets of the namespace.
func (e *environment) completeFleets(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionPatience)
	defer cancel()
	namespace, err := e.namespace()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	c, err := e.cluster()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	names, err := c.fleetNames(ctx, namespace)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// fleetNames gives the fleets of a namespace by the labels of their machines,
// disks and Wukong objects, reading metadata alone.
func (c *cluster) fleetNames(ctx context.Context, namespace string) ([]string, error) {
	names := map[string]bool{}
	for _, kind := range []schema.GroupKind{
		{Group: "kubevirt.io", Kind: "VirtualMachine"}, {Group: "cdi.kubevirt.io", Kind: "DataVolume"}, {Group: "wukong.io", Kind: "Wukong"},
	} {
		mapping, err := c.mapper.RESTMapping(kind)
		if apimeta.IsNoMatchError(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		client := c.metadata.Resource(mapping.Resource).Namespace(namespace)
		pages := pager.New(pager.SimplePageFunc(func(options metav1.ListOptions) (runtime.Object, error) {
			return client.List(ctx, options)
		}))
		err = pages.EachListItem(ctx, metav1.ListOptions{LabelSelector: fleetSelector("")}, func(item runtime.Object) error {
			object, err := apimeta.Accessor(item)
			if err == nil {
				names[object.GetLabels()[v1alpha1.LabelFleet]] = true
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return slices.Sorted(maps.Keys(names)), nil
}

// joinSome joins the first words of a list.
func joinSome(words []string) string {
	const shown = 10
	if len(words) <= shown {
		return strings.Join(words, ", ")
	}
	return strings.Join(words[:shown], ", ") + ", ..."
}
