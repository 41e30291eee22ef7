package fleet_test

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"wukong.io/wukong/pkg/fleet"
	"wukong.io/wukong/templates"
)

// smallEnough is the number of machines that a fuzzed fleet is rendered with.
const smallEnough = 200

// FuzzValues gives any bytes as a fleet file. Nothing may panic or hang, and
// what Validate takes, Render must take.
func FuzzValues(f *testing.F) {
	list, err := templates.List()
	if err != nil {
		f.Fatal(err)
	}
	for _, template := range list {
		content, err := templates.Get(template.Name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
	}
	files, err := filepath.Glob(filepath.Join("..", "..", "test", "badinput", "testdata", "*.yaml"))
	if err != nil {
		f.Fatal(err)
	}
	for i, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		if i%5 == 0 && len(content) < 10_000 {
			f.Add(content)
		}
	}
	renderer, err := fleet.New()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		values, err := fleet.ParseValues(content)
		if err != nil {
			return
		}
		candidate := fleet.Fleet{Namespace: "prod", Name: "shop", Values: values}
		if err := renderer.Validate(ctx, candidate); err != nil {
			if ctx.Err() != nil {
				t.Fatalf("validating took too long: %v", err)
			}
			return
		}
		if machinesOf(values) > smallEnough {
			return
		}
		if _, err := renderer.Plan(ctx, candidate); err != nil {
			t.Fatalf("Validate takes what Plan refuses: %v", err)
		}
		if _, err := renderer.Render(ctx, candidate, fleet.Options{}); err != nil {
			t.Fatalf("Validate takes what Render refuses: %v", err)
		}
	})
}

// machinesOf counts the machines of a valid fleet.
func machinesOf(values map[string]any) int {
	count := 0
	pools, _ := values["pools"].(map[string]any)
	for _, pool := range pools {
		pool, _ := pool.(map[string]any)
		size := 1
		if number, ok := pool["replicas"].(json.Number); ok {
			n, err := number.Float64()
			if err != nil {
				return math.MaxInt
			}
			size = int(n)
		}
		count += size
	}
	return count
}
