package defaults

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func decode(t *testing.T, text string) map[string]any {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal([]byte(text), &object); err != nil {
		t.Fatal(err)
	}
	return object
}

func theFacts() Facts {
	return Facts{ClaimProperties: func(class string) ([]string, string, bool) {
		return []string{"ReadWriteMany"}, "Block", class != "unknown"
	}}
}

const open = `{"metadata":{"name":"web","namespace":"shop"},"spec":{
 "dataVolumeTemplates":[{"spec":{"pvc":{"storageClassName":"fast"}}},{"spec":{"pvc":{"storageClassName":"unknown"}}},{"spec":{"storage":{}}}],
 "template":{"spec":{"domain":{"devices":{"disks":[{"name":"a","disk":{}},{"name":"b","cdrom":{}},{"name":"c","lun":{}},{"name":"d"}],
 "interfaces":[{"name":"default"},{"name":"vf","sriov":{}}]}}}}}}`

func TestVirtualMachine(t *testing.T) {
	identity := `"firmware":{"uuid":"` + firmwareUUID("shop", "web") + `","serial":"` + firmwareSerial("shop", "web") + `"}`
	mac := func(iface string) string { return macAddress("shop", "web", iface) }
	cases := map[string]struct {
		vm, before, want string
		facts            Facts
	}{
		"fills in what is open": {vm: open, facts: theFacts(), want: `{"metadata":{"name":"web","namespace":"shop"},"spec":{"runStrategy":"Always",
			"dataVolumeTemplates":[{"spec":{"pvc":{"storageClassName":"fast","accessModes":["ReadWriteMany"],"volumeMode":"Block"}}},{"spec":{"pvc":{"storageClassName":"unknown"}}},{"spec":{"storage":{}}}],
			"template":{"spec":{"evictionStrategy":"LiveMigrateIfPossible","domain":{` + identity + `,"devices":{
			"disks":[{"name":"a","disk":{"bus":"virtio"}},{"name":"b","cdrom":{"bus":"sata"}},{"name":"c","lun":{"bus":"scsi"}},{"name":"d"}],
			"interfaces":[{"name":"default","model":"virtio","macAddress":"` + mac("default") + `"},{"name":"vf","sriov":{},"macAddress":"` + mac("vf") + `"}]}}}}}}`},
		"leaves devices to a preference": {
			vm:   `{"metadata":{"name":"web","namespace":"shop"},"spec":{"running":false,"preference":{"name":"p"},"template":{"spec":{"domain":{"devices":{"disks":[{"name":"a","disk":{}}],"interfaces":[{"name":"default"}]}}}}}}`,
			want: `{"metadata":{"name":"web","namespace":"shop"},"spec":{"running":false,"preference":{"name":"p"},"template":{"spec":{"domain":{` + identity + `,"devices":{"disks":[{"name":"a","disk":{}}],"interfaces":[{"name":"default","macAddress":"` + mac("default") + `"}]}}}}}}`,
		},
		"leaves eviction to the cluster": {
			vm: `{"metadata":{"name":"web","namespace":"shop"},"spec":{"runStrategy":"Halted","template":{"spec":{"domain":{}}}}}`, facts: Facts{EvictionStrategy: "None"},
			want: `{"metadata":{"name":"web","namespace":"shop"},"spec":{"runStrategy":"Halted","template":{"spec":{"domain":{` + identity + `}}}}}`,
		},
		"keeps what the machine has": {
			vm:     `{"metadata":{"name":"web","namespace":"shop"},"spec":{"template":{"spec":{"domain":{"devices":{"interfaces":[{"name":"default"}]}}}}}}`,
			before: `{"spec":{"running":true,"template":{"spec":{"evictionStrategy":"None","domain":{"firmware":{"uuid":"old","serial":"older"},"devices":{"interfaces":[{"name":"default","macAddress":"02:00:00:00:00:01"}]}}}}}}`,
			want: `{"metadata":{"name":"web","namespace":"shop"},"spec":{"running":true,"template":{"spec":{"evictionStrategy":"None","domain":{"firmware":{"uuid":"old","serial":"older"},
				"devices":{"interfaces":[{"name":"default","model":"virtio","macAddress":"02:00:00:00:00:01"}]}}}}}}`,
		},
		"waits for a name":             {vm: `{"metadata":{"generateName":"web-"},"spec":{"template":{"spec":{"domain":{}}}}}`, want: `{"metadata":{"generateName":"web-"},"spec":{"template":{"spec":{"domain":{}}}}}`},
		"passes over what has no spec": {vm: `{"metadata":{"name":"web"}}`, want: `{"metadata":{"name":"web"}}`},
		"passes over another shape":    {vm: `{"metadata":{"name":"web"},"spec":{"runStrategy":"Always","template":[]}}`, want: `{"metadata":{"name":"web"},"spec":{"runStrategy":"Always","template":[]}}`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			vm := decode(t, tc.vm)
			var before map[string]any
			if tc.before != "" {
				before = decode(t, tc.before)
			}
			VirtualMachine(vm, before, tc.facts)
			if diff := cmp.Diff(decode(t, tc.want), vm); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Whatever of a machine is left out, defaults fill in the same twice as once, and
// change nothing that was there.
func TestDefaultsAreIdempotentAndChangeNothing(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // the same in every run
	full := decode(t, open)
	VirtualMachine(full, nil, theFacts())
	for range 2000 {
		vm, _ := pruned(random, clone(t, full)).(map[string]any)
		given := clone(t, vm)
		VirtualMachine(vm, nil, theFacts())
		if !within(given, vm) {
			t.Fatalf("changed what was given (-given +got):\n%s", cmp.Diff(given, vm))
		}
		once := clone(t, vm)
		VirtualMachine(vm, nil, theFacts())
		if diff := cmp.Diff(once, vm); diff != "" {
			t.Fatalf("a second time differs (-once +twice):\n%s", diff)
		}
		// The same manifest once more, with the machine as it now is.
		again := clone(t, given)
		VirtualMachine(again, once, theFacts())
		if diff := cmp.Diff(once, again); diff != "" {
			t.Fatalf("applying again differs (-once +again):\n%s", diff)
		}
	}
}

func clone(t *testing.T, object map[string]any) map[string]any {
	t.Helper()
	text, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, string(text))
}

// pruned leaves out keys of maps at random.
func pruned(random *rand.Rand, tree any) any {
	switch value := tree.(type) {
	case map[string]any:
		keys := make([]string, 0, len(value))
		for key := range value {
			keys = append(keys, key)
		}
		slices.Sort(keys)
		for _, key := range keys {
			if random.IntN(6) == 0 {
				delete(value, key)
				continue
			}
			value[key] = pruned(random, value[key])
		}
	case []any:
		for i := range value {
			value[i] = pruned(random, value[i])
		}
	}
	return tree
}

// within says whether all that is in a tree is in another.
func within(given, got any) bool {
	switch g := given.(type) {
	case map[string]any:
		other, ok := got.(map[string]any)
		for key := range g {
			ok = ok && within(g[key], other[key])
		}
		return ok
	case []any:
		other, ok := got.([]any)
		ok = ok && len(other) == len(g)
		for i := range g {
			ok = ok && within(g[i], other[i])
		}
		return ok
	}
	return given == got
}

func TestManaged(t *testing.T) {
	for text, want := range map[string]bool{
		`{}`: false, `{"metadata":{"labels":{"wukong.io/managed":""}}}`: true, `{"metadata":{"annotations":{"wukong.io/clone":"x"}}}`: true,
		`{"metadata":{"annotations":{"wukong.io/":"x"}}}`: false, `{"metadata":{"annotations":{"example.com/wukong.io":"x"}}}`: false, `{"metadata":{"labels":{"wukong.io/fleet":"x"}}}`: false,
	} {
		if got := Managed(decode(t, text)); got != want {
			t.Errorf("Managed(%s) = %t", text, got)
		}
	}
}
