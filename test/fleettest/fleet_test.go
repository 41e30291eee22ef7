package fleettest_test

import (
	"reflect"
	"testing"

	"wukong.io/wukong/pkg/fleet"
	"wukong.io/wukong/test/fleettest"
)

func TestFleetsAreValid(t *testing.T) {
	renderer, err := fleet.New()
	if err != nil {
		t.Fatal(err)
	}
	machines := 0
	for seed := range uint64(300) {
		f := fleettest.Fleet(seed)
		objects, err := renderer.Render(t.Context(), f, fleet.Options{Parallelism: 1})
		if err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
		machines += len(objects)
	}
	if machines < 300*4 {
		t.Errorf("300 fleets have %d objects, too few to show anything", machines)
	}
}

func TestFleetIsAFunctionOfItsSeed(t *testing.T) {
	for seed := range uint64(200) {
		if !reflect.DeepEqual(fleettest.Fleet(seed), fleettest.Fleet(seed)) {
			t.Fatalf("seed %d gives two different fleets", seed)
		}
	}
}
