package e2e

import (
	"context"
	"fmt"
	"strings"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	instancetypev1beta1 "kubevirt.io/api/instancetype/v1beta1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"wukong.io/wukong/pkg/fleet"
	"wukong.io/wukong/test/fleettest"
)

const (
	// generatedFleets is how many fleets are sent to the servers.
	generatedFleets = 200
	// senders send fleets at once.
	senders = 8
)

var _ = Describe("Generated fleets", func() {
	It("are never refused by the servers once our validation has passed them", Label("slow"), func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		// The generator's machines name a preference of their own namespace.
		scheme := shared.world.Client.Scheme()
		Expect(instancetypev1beta1.AddToScheme(scheme)).To(Succeed())
		Expect(shared.world.Client.Create(ctx, &instancetypev1beta1.VirtualMachinePreference{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "fedora"},
		})).To(Succeed())

		Expect(shared.world.Namespace(ctx, "golden")).To(Succeed())
		if refusals := sendGenerated(ctx, namespace); len(refusals) > 0 {
			Fail(fmt.Sprintf("%d objects were refused:\n%s", len(refusals), strings.Join(refusals, "\n")))
		}
	}, NodeTimeout(2*patience))
})

// sendGenerated renders many fleets, sends them through admission, and gives the refusals by seed.
func sendGenerated(ctx context.Context, namespace string) []string {
	var (
		mu       sync.Mutex
		refusals []string
		wait     sync.WaitGroup
	)
	seeds := make(chan uint64)
	for range senders {
		wait.Go(func() {
			for seed := range seeds {
				found := sendSeed(ctx, namespace, seed)
				mu.Lock()
				refusals = append(refusals, found...)
				mu.Unlock()
			}
		})
	}
	for seed := range uint64(generatedFleets) {
		seeds <- seed
	}
	close(seeds)
	wait.Wait()
	return refusals
}

func sendSeed(ctx context.Context, namespace string, seed uint64) []string {
	generated := fleettest.Fleet(seed)
	generated.Namespace = namespace
	objects, err := shared.renderer.Render(ctx, generated, fleet.Options{})
	if err != nil {
		return []string{fmt.Sprintf("seed %d: %v", seed, err)}
	}
	var refusals []string
	for _, object := range objects {
		sent, ok := object.DeepCopyObject().(client.Object)
		if !ok {
			return append(refusals, fmt.Sprintf("seed %d: %T is no object", seed, object))
		}
		err := shared.world.Client.Create(ctx, sent, client.DryRunAll, client.FieldValidation(metav1.FieldValidationStrict))
		if err != nil {
			refusals = append(refusals, fmt.Sprintf("seed %d: %T %s: %v", seed, object, object.GetName(), err))
		}
	}
	return refusals
}
