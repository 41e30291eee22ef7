package e2e

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"wukong.io/wukong/pkg/fleet"
	"wukong.io/wukong/templates"
	"wukong.io/wukong/test/stockhelm"
)

// catalogue gives an entry for every file, named by the file.
func catalogue() []TableEntry {
	list, err := templates.List()
	if err != nil {
		panic(err) // the tree is built before there is a spec that could fail
	}
	entries := make([]TableEntry, 0, len(list))
	for _, t := range list {
		entries = append(entries, Entry(t.Name, NodeTimeout(patience), t.Name))
	}
	return entries
}

var _ = Describe("The catalogue", func() {
	DescribeTable("renders alike everywhere, and is admitted", func(ctx SpecContext, name string) {
		content, err := templates.Get(name)
		Expect(err).NotTo(HaveOccurred())
		namespace := newNamespace(ctx)
		prepareCatalogue(ctx, namespace)

		values, err := fleet.ParseValues(content)
		Expect(err).NotTo(HaveOccurred())
		engine := rendered(ctx, fleet.Fleet{Namespace: namespace, Name: "cat", Values: values})
		Expect(engine).NotTo(BeEmpty())

		release := stockhelm.Release{Namespace: namespace, Name: "cat", Values: writeFile(string(content))}
		for version, helm := range map[string]stockhelm.Helm{"helm 3": shared.helm3, "helm 4": shared.helm4} {
			manifests, err := helm.Template(ctx, release)
			Expect(err).NotTo(HaveOccurred())
			sameObjects(objects(manifests), engine, version+" and the engine")
		}
		Expect(admit(ctx, engine)).To(BeEmpty(), "what the servers refuse")
	}, catalogue())
})

// prepareCatalogue makes what admission looks up: a namespace to clone from, and a machine to snapshot.
func prepareCatalogue(ctx context.Context, namespace string) {
	GinkgoHelper()
	Expect(shared.world.Namespace(ctx, "golden")).To(Succeed())
	Expect(shared.world.Machine(ctx, clientKey(namespace, "golden-desk"), "1Mi", nil)).To(Succeed())
}
