package badinput_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"wukong.io/wukong/pkg/fleet"
	"wukong.io/wukong/test/stockhelm"
)

// patience is how long one small file may take. Nothing may hang.
const patience = 20 * time.Second

// leastFiles is how many broken files there must be.
const leastFiles = 100

func TestEngineNamesEveryMistake(t *testing.T) {
	renderer, err := fleet.New()
	if err != nil {
		t.Fatal(err)
	}
	broken := 0
	for _, bad := range loadFleets(t) {
		if !bad.good() {
			broken++
		}
		t.Run(bad.name, func(t *testing.T) {
			t.Parallel()
			said, err := engineSays(t, renderer, bad)
			if bad.good() {
				if err != nil {
					t.Fatalf("a good file was refused: %v", err)
				}
				return
			}
			bad.check(t, said)
		})
	}
	if broken < leastFiles {
		t.Errorf("found %d broken files, want at least %d", broken, leastFiles)
	}
}

// engineSays gives the mistakes that pkg/fleet finds, validating and rendering.
func engineSays(t *testing.T, renderer *fleet.Renderer, bad badFleet) ([]mistake, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	values, err := fleet.ParseValues(bad.content)
	if err != nil {
		return []mistake{{message: err.Error()}}, err
	}
	f := fleet.Fleet{Namespace: "prod", Name: bad.release, Values: values}
	validErr := renderer.Validate(ctx, f)
	objects, err := renderer.Render(ctx, f, fleet.Options{})
	if err == nil {
		if validErr != nil {
			t.Errorf("Validate refuses what Render takes: %v", validErr)
		}
		return nil, nil
	}
	if len(objects) > 0 {
		t.Errorf("Render gives %d objects beside an error", len(objects))
	}
	if errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("it took longer than %s", patience)
	}
	var list fleet.ErrorList
	if !errors.As(err, &list) {
		return []mistake{{message: err.Error()}}, err
	}
	if validErr == nil || validErr.Error() != list.Error() {
		t.Errorf("Validate says %v\nRender says %v", validErr, list)
	}
	return fromList(list), err
}

func TestHelmNamesEveryMistake(t *testing.T) {
	if testing.Short() {
		t.Skip("runs helm for every file")
	}
	renderer, err := fleet.New()
	if err != nil {
		t.Fatal(err)
	}
	fleets := loadFleets(t)
	for _, helm := range stockhelm.Programs(t) {
		for _, bad := range fleets {
			if bad.only != "" {
				continue
			}
			t.Run(helm.Name+"/"+bad.name, func(t *testing.T) {
				t.Parallel()
				checkHelm(t, helm, renderer, bad)
			})
		}
	}
}

func checkHelm(t *testing.T, helm stockhelm.Program, renderer *fleet.Renderer, bad badFleet) {
	t.Helper()
	out, err := helm.Template(t, stockhelm.Rendering{
		Chart: stockhelm.Chart("vm-fleet"), Namespace: "prod", Release: bad.release, Values: bad.content,
	})
	var failure *stockhelm.Refusal
	if !errors.As(err, &failure) {
		if !bad.good() {
			t.Fatalf("helm accepted the fleet and printed %d bytes, want %v", len(out), bad.wants)
		}
		return
	}
	if bad.good() {
		t.Fatalf("a good file was refused: %v", failure)
	}
	said := fromHelm(failure.Stderr)
	bad.check(t, said)
	sameWords(t, renderer, bad, failure.Stderr)
}

// sameWords checks that what the templates say is what the engine says. What
// the schema says is in helm's own words.
func sameWords(t *testing.T, renderer *fleet.Renderer, bad badFleet, stderr string) {
	t.Helper()
	if !strings.Contains(stderr, "error(s) in the fleet:") {
		return
	}
	said, _ := engineSays(t, renderer, bad)
	for _, m := range said {
		if !strings.Contains(stderr, "- "+m.String()) {
			t.Errorf("the engine says %s\nhelm says %s", m, stderr)
		}
	}
}
