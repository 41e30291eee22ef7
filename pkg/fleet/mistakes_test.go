package fleet_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"wukong.io/wukong/pkg/fleet"
	"wukong.io/wukong/test/fleettest"
)

// mistake is one thing that people get wrong, in a pool of its own so that any
// number of them go together. It gives the path of the value.
type mistake struct {
	name string
	// make gives a pool, or changes the fleet, and gives the path.
	make func(values map[string]any, pool string) (path string)
}

// soundPool gives a pool without a mistake.
func soundPool() map[string]any {
	return map[string]any{"template": map[string]any{
		"resources": map[string]any{"memory": "1Gi"},
		"disks":     map[string]any{"root": map[string]any{"size": "10Gi", "source": map[string]any{"empty": map[string]any{}}}},
	}}
}

// inTemplate makes a mistake by setting one field of a sound pool's template.
func inTemplate(name string, field string, value any, path string) mistake {
	return mistake{name: name, make: func(values map[string]any, pool string) string {
		p := soundPool()
		p["template"].(map[string]any)[field] = value
		values["pools"].(map[string]any)[pool] = p
		return "pools." + pool + ".template." + path
	}}
}

// inPool makes a mistake by setting one field of a sound pool.
func inPool(name string, field string, value any, path string) mistake {
	return mistake{name: name, make: func(values map[string]any, pool string) string {
		p := soundPool()
		p[field] = value
		values["pools"].(map[string]any)[pool] = p
		return "pools." + pool + "." + path
	}}
}

func disks(disk map[string]any) map[string]any {
	return map[string]any{"data": disk}
}

// templateMistakes are those that the templates find, schemaMistakes those that
// the schema finds before them.
func templateMistakes() []mistake {
	empty := map[string]any{"empty": map[string]any{}}
	ipam := func(cidr, first, gateway string) map[string]any {
		return map[string]any{"lan": map[string]any{
			"multus": map[string]any{"networkName": "lan"},
			"ipam":   map[string]any{"cidr": cidr, "first": first, "gateway": gateway},
		}}
	}
	return []mistake{
		inTemplate("an unknown image", "disks", disks(map[string]any{"source": map[string]any{"image": "nosuch"}}), "disks.data.source.image"),
		inTemplate("a disk without a size", "disks", disks(map[string]any{"source": empty}), "disks.data.size"),
		inTemplate("two sources", "disks", disks(map[string]any{"size": "1Gi", "source": map[string]any{"empty": map[string]any{}, "clone": map[string]any{"pvc": map[string]any{"name": "a"}}}}), "disks.data.source"),
		inTemplate("no source", "disks", disks(map[string]any{"size": "1Gi", "source": map[string]any{}}), "disks.data.source"),
		inTemplate("a virtio cdrom", "disks", disks(map[string]any{"size": "1Gi", "source": empty, "device": "cdrom", "bus": "virtio"}), "disks.data.bus"),
		inTemplate("secure boot without EFI", "firmware", map[string]any{"secureBoot": true}, "firmware.secureBoot"),
		inTemplate("an instancetype beside resources", "instancetype", map[string]any{"name": "u1.small"}, "resources.memory"),
		inTemplate("a gateway outside", "networks", ipam("10.9.0.0/24", "10.9.0.9", "10.8.0.1"), "networks.lan.ipam.gateway"),
		inTemplate("a first address outside", "networks", ipam("10.9.0.0/24", "10.7.0.9", "10.9.0.1"), "networks.lan.ipam.first"),
		inTemplate("no CIDR", "networks", ipam("10.9.0.0", "10.9.0.9", "10.9.0.1"), "networks.lan.ipam.cidr"),
		inTemplate("two pod networks", "networks", map[string]any{"a": map[string]any{"pod": map[string]any{}}, "b": map[string]any{"pod": map[string]any{}}}, "networks"),
		inTemplate("an unknown token", "cloudInit", map[string]any{"userData": "#cloud-config\n# @@nosuch@@"}, "cloudInit.userData"),
		inTemplate("raw beside structured", "cloudInit", map[string]any{"userData": "#cloud-config", "packages": []any{"nginx"}}, "cloudInit.userData"),
		inTemplate("a patched name", "patch", map[string]any{"metadata": map[string]any{"name": "x"}}, "patch.metadata.name"),
		inTemplate("a bad label", "labels", map[string]any{"team": "not a label"}, "labels.team"),
		inPool("an override outside", "overrides", map[string]any{"7": map[string]any{"runStrategy": "Halted"}}, "overrides.7"),
		inPool("two retentions", "retentionPolicy", map[string]any{"whenDeleted": "Retain", "whenScaled": "Delete"}, "retentionPolicy"),
		inPool("six cron fields", "snapshotPolicy", map[string]any{"schedule": "0 0 3 * * 0"}, "snapshotPolicy.schedule"),
		inPool("a schedule without rights", "exportTarget", map[string]any{"pvc": map[string]any{"claimName": "out"}, "schedule": "0 3 * * 0"}, "exportTarget.serviceAccountName"),
		inPool("a node port without nodes", "services", map[string]any{"http": map[string]any{"ports": map[string]any{"http": map[string]any{"port": int64(80), "nodePort": int64(30080)}}}}, "services.http.ports.http.nodePort"),
		{name: "an image on a schedule that cannot be", make: func(values map[string]any, pool string) string {
			images, _ := values["images"].(map[string]any)
			images = maps.Clone(images)
			if images == nil {
				images = map[string]any{}
			}
			images[pool] = map[string]any{"importSource": map[string]any{"upload": map[string]any{}}, "size": "1Gi", "schedule": "0 3 * * *"}
			values["images"] = images
			return "images." + pool + ".schedule"
		}},
	}
}

func schemaMistakes() []mistake {
	return []mistake{
		inTemplate("an unknown key", "memory", "4Gi", "memory"),
		inTemplate("an unknown run strategy", "runStrategy", "Running", "runStrategy"),
		inTemplate("a label that is a number", "labels", map[string]any{"a": int64(1)}, "labels.a"),
		inTemplate("a list for a map", "disks", []any{}, "disks"),
		inTemplate("a bad bus", "disks", disks(map[string]any{"bus": "ide"}), "disks.data.bus"),
		inTemplate("a file without content", "cloudInit", map[string]any{"files": map[string]any{"/etc/motd": map[string]any{}}}, "cloudInit.files./etc/motd.content"),
		inPool("text for a number", "replicas", "3", "replicas"),
		inPool("a negative number", "replicas", int64(-1), "replicas"),
		inPool("a large ordinal", "ordinals", map[string]any{"start": int64(1_000_000)}, "ordinals.start"),
		inPool("a large port", "services", map[string]any{"http": map[string]any{"ports": map[string]any{"http": map[string]any{"port": int64(70_000)}}}}, "services.http.ports.http.port"),
		inPool("no schedule", "snapshotPolicy", map[string]any{}, "snapshotPolicy.schedule"),
	}
}

// TestEveryMistakeAtOnce is E4: some mistakes in a fleet without any give as
// many errors, each at its path, and no others.
func TestEveryMistakeAtOnce(t *testing.T) {
	renderer, err := fleet.New()
	if err != nil {
		t.Fatal(err)
	}
	count := uint64(manyFleets)
	if testing.Short() {
		count = someFleets
	}
	catalogues := [][]mistake{templateMistakes(), schemaMistakes()}
	var broken breaches
	forEachSeed(count, func(seed uint64) {
		values, want := withMistakes(seed, catalogues[seed%2])
		f := fleettest.Fleet(seed)
		f.Values = values(f.Values)
		if err := saysExactly(renderer.Validate(t.Context(), f), want); err != nil {
			broken.add(fmt.Sprintf("seed %d: %v", seed, err))
		}
	})
	broken.report(t, count)
}

// withMistakes gives a function that makes one to six mistakes in a fleet, and
// their paths.
func withMistakes(seed uint64, catalogue []mistake) (change func(values map[string]any) map[string]any, paths []string) {
	random := rand.New(rand.NewPCG(seed, 4))
	chosen := random.Perm(len(catalogue))[:1+random.IntN(6)]
	scratch := map[string]any{"pools": map[string]any{}}
	for i, choice := range chosen {
		paths = append(paths, catalogue[choice].make(scratch, fmt.Sprintf("bad%c", 'a'+i)))
	}
	slices.Sort(paths)
	return func(values map[string]any) map[string]any {
		changed := clone(values)
		for i, choice := range chosen {
			catalogue[choice].make(changed, fmt.Sprintf("bad%c", 'a'+i))
		}
		return changed
	}, paths
}

// saysExactly compares the paths of an ErrorList.
func saysExactly(err error, want []string) error {
	var list fleet.ErrorList
	if !errors.As(err, &list) {
		return fmt.Errorf("want mistakes at %q, got %w", want, err)
	}
	var got []string
	for _, e := range list {
		got = append(got, e.Path)
		if e.Message == "" || strings.Contains(e.Message, "\n") {
			return fmt.Errorf("the message at %s is %q, want one line", e.Path, e.Message)
		}
	}
	slices.Sort(got)
	if !slices.Equal(slices.Compact(got), want) {
		return fmt.Errorf("want mistakes at %q, got %w", want, list)
	}
	return nil
}

// TestNamesAreNeverCut is the other half of E1: at 63 characters a name is
// whole, and at 64 it is an error that says so.
func TestNamesAreNeverCut(t *testing.T) {
	renderer, err := fleet.New()
	if err != nil {
		t.Fatal(err)
	}
	count := uint64(manyFleets / 10)
	if testing.Short() {
		count = someFleets
	}
	var broken breaches
	forEachSeed(count, func(seed uint64) {
		if err := checkLength(t, renderer, seed); err != nil {
			broken.add(fmt.Sprintf("seed %d: %v", seed, err))
		}
	})
	broken.report(t, count)
}

func checkLength(t *testing.T, renderer *fleet.Renderer, seed uint64) error {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 63))
	name := strings.Repeat("f", 1+random.IntN(50))
	pool := strings.Repeat("p", 1+random.IntN(30))
	disk := strings.Repeat("d", 1+random.IntN(30))
	start := []int{0, 9, 10, 999, 99_999}[random.IntN(5)]
	replicas := random.IntN(3)
	f := fleet.Fleet{Namespace: "prod", Name: name, Values: map[string]any{"pools": map[string]any{pool: map[string]any{
		"replicas": int64(replicas), "ordinals": map[string]any{"start": int64(start)},
		"template": map[string]any{
			"resources": map[string]any{"memory": "1Gi"},
			"disks":     map[string]any{disk: map[string]any{"size": "1Gi", "source": map[string]any{"empty": map[string]any{}}}},
		},
	}}}}
	longest := fmt.Sprintf("%s-%s-%d-%s", name, pool, start+max(0, replicas-1), disk)
	objects, err := renderer.Render(t.Context(), f, fleet.Options{Parallelism: 1})
	if len(longest) > 63 {
		if err == nil || !strings.Contains(err.Error(), "63") || !strings.Contains(err.Error(), "pools."+pool) {
			return fmt.Errorf("%s has %d characters; the error is %w", longest, len(longest), err)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s has %d characters: %w", longest, len(longest), err)
	}
	for _, o := range objects {
		if !strings.HasPrefix(o.GetName(), name+"-"+pool) {
			return fmt.Errorf("object %q was cut", o.GetName())
		}
	}
	if replicas > 0 && !slices.ContainsFunc(objects, func(o fleet.Object) bool { return o.GetName() == longest }) {
		return fmt.Errorf("no object is called %s", longest)
	}
	return nil
}
