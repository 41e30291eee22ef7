package cli

import (
	"context"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"wukong.io/wukong/pkg/cli/manifest"
	"wukong.io/wukong/pkg/fleet"
)

// rendered is a fleet that has passed all checks, and its objects.
type rendered struct {
	fleet   fleet.Fleet
	label   string
	objects []*unstructured.Unstructured
}

func (e *environment) render(ctx context.Context, f fleet.Fleet) (*rendered, error) {
	renderer, err := e.renderer()
	if err != nil {
		return nil, err
	}
	text, err := renderer.Manifests(ctx, f, fleet.Options{})
	if err != nil {
		return nil, err
	}
	list, err := manifest.Parse(text)
	if err != nil {
		return nil, err
	}
	return &rendered{fleet: f, label: labelOf(f.Name, f.Values), objects: list}, nil
}

// groupKinds gives the kinds of several lists of objects, each once.
func groupKinds(lists ...[]*unstructured.Unstructured) []schema.GroupKind {
	seen := map[schema.GroupKind]bool{}
	var kinds []schema.GroupKind
	for _, list := range lists {
		for _, kind := range manifest.Kinds(list) {
			if !seen[kind.GroupKind()] {
				seen[kind.GroupKind()] = true
				kinds = append(kinds, kind.GroupKind())
			}
		}
	}
	return kinds
}
