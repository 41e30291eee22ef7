// Package fleet turns a WukongSpec into KubeVirt objects.
//
// There is one expansion, the templates of charts/vm-library: this package
// renders charts/vm-fleet with Helm's own engine and decodes the result into
// typed objects, strictly. It has no client, no clock, no environment and no
// network, so the same fleet always gives the same objects:
//
//	renderer, err := fleet.New()
//	...
//	objects, err := renderer.Render(ctx, fleet.Fleet{Namespace: "prod", Name: "shop", Values: values}, fleet.Options{})
//
// Bad input gives an ErrorList: every mistake at once, each with the path of
// the value, what was found and what is allowed.
package fleet
