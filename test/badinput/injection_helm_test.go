package badinput_test

import (
	"reflect"
	"slices"
	"sync/atomic"
	"testing"

	"sigs.k8s.io/yaml"

	"wukong.io/wukong/pkg/fleet"
	"wukong.io/wukong/test/stockhelm"
)

// freeFields hold any text: there stock helm has to carry each payload through
// the YAML it prints.
func freeFields() []string {
	return []string{
		"MachineTemplate.annotations.*", "PoolService.annotations.*", "MachineTemplate.patch.*", "MachineTemplate.readinessProbe.*",
		"CloudInit.bootCommands.#", "CloudInit.runCommands.#", "CloudInitFile.content", "CloudInit.networkData",
		"HTTPSource.extraHeaders.#", "VDDKSource.backingFile", "VDDKSource.thumbprint", "VDDKSource.uuid", "ImageIOSource.diskId",
		"S3Target.prefix", "ClaimTarget.path",
	}
}

// TestHelmCarriesEveryText puts every payload into all free texts of a base at
// once, and compares what stock helm prints with the engine's objects.
func TestHelmCarriesEveryText(t *testing.T) {
	if testing.Short() {
		t.Skip("runs helm for every payload")
	}
	renderer, err := fleet.New()
	if err != nil {
		t.Fatal(err)
	}
	schema := loadSchema(t)
	bases := loadBases(t)
	used := map[string]bool{}
	var carried atomic.Int64
	t.Run("by", func(t *testing.T) { // ends when its parallel cases have
		for _, helm := range stockhelm.Programs(t) {
			for _, b := range bases[:4] { // the others are the first one moved
				free := freePlaces(schema, b.values, used)
				for _, load := range payloads() {
					values := b.values
					for _, p := range free {
						values = p.put(values, load.text)
					}
					t.Run(helm.Name+"/"+b.name+"/"+load.name, func(t *testing.T) {
						t.Parallel()
						if carry(t, helm, renderer, values) {
							carried.Add(1)
						}
					})
				}
			}
		}
	})
	t.Logf("%d files were rendered, the others refused by both", carried.Load())
	if least := int64(2 * 4 * len(payloads()) / 2); carried.Load() < least {
		t.Errorf("only %d files were rendered, want at least %d", carried.Load(), least)
	}
	for _, field := range freeFields() {
		if !used[field] {
			t.Errorf("no base has the field %s", field)
		}
	}
}

func freePlaces(schema valuesSchema, values map[string]any, used map[string]bool) []place {
	free := places(schema, values)
	return slices.DeleteFunc(free, func(p place) bool {
		keep := !p.isKey && slices.Contains(freeFields(), p.field)
		used[p.field] = used[p.field] || keep
		return !keep
	})
}

// carry says whether the fleet was rendered, rather than refused.
func carry(t *testing.T, helm stockhelm.Program, renderer *fleet.Renderer, values map[string]any) bool {
	t.Helper()
	file, err := yaml.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	manifests, helmErr := helm.Template(t, stockhelm.Rendering{
		Chart: stockhelm.Chart("vm-fleet"), Namespace: "prod", Release: "shop", Values: file,
	})
	f := fleet.Fleet{Namespace: "prod", Name: "shop", Values: values}
	ours, err := renderer.Manifests(t.Context(), f, fleet.Options{})
	if (err == nil) != (helmErr == nil) {
		t.Fatalf("the engine says %.500v\nhelm says %.500v", err, helmErr)
	}
	if err != nil {
		return false
	}
	if want, got := byName(t, ours), byName(t, manifests); !reflect.DeepEqual(want, got) {
		t.Errorf("helm prints something else:\n%s", firstDifference(want, got))
	}
	return true
}

// byName gives the objects of manifests by their kinds and names.
func byName(t *testing.T, manifests []byte) map[string]any {
	t.Helper()
	objects, err := stockhelm.Objects(manifests)
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]any, len(objects))
	for _, o := range objects {
		found[o.GetKind()+" "+o.GetNamespace()+"/"+o.GetName()] = o.Object
	}
	return found
}
