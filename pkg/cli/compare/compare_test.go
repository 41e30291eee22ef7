package compare_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"wukong.io/wukong/pkg/cli/compare"
	"wukong.io/wukong/pkg/cli/manifest"
)

func parse(t *testing.T, text string) []*unstructured.Unstructured {
	t.Helper()
	objects, err := manifest.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// change is a change without its text.
type change struct {
	Action compare.Action
	Name   string
	Fields string
}

func changes(t *testing.T, wanted, previous, live string) []compare.Change {
	t.Helper()
	in := compare.Input{Namespace: "ns", Wanted: parse(t, wanted), Previous: parse(t, previous), Live: map[manifest.Key]*unstructured.Unstructured{}}
	for _, object := range parse(t, live) {
		in.Live[manifest.KeyOf(object, "")] = object
	}
	got, err := compare.Changes(in)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// vm makes a machine with a spec, as the fleet renders it.
func vm(spec string) string {
	return "{apiVersion: kubevirt.io/v1, kind: VirtualMachine, metadata: {name: a, namespace: ns}, spec: " + spec + "}\n"
}

func TestChangesOfOneObject(t *testing.T) {
	cases := map[string]struct {
		wanted, previous, live string
		want                   []change
	}{
		"the same": {
			wanted: vm("{runStrategy: Always}"), live: vm("{runStrategy: Always}"),
		},
		"what the server fills in is no change": {
			wanted: vm("{runStrategy: Always, template: {spec: {domain: {devices: {}}}}}"),
			live: `{apiVersion: kubevirt.io/v1, kind: VirtualMachine, metadata: {name: a, namespace: ns, uid: u, resourceVersion: "7", labels: {x: y}},
 spec: {runStrategy: Always, template: {spec: {domain: {devices: {interfaces: [{name: default}]}, machine: {type: q35}}}}}, status: {ready: true}}`,
		},
		"keys that are filled in within a list": {
			wanted: vm("{disks: [{name: root}, {name: data}]}"),
			live:   vm("{disks: [{name: root, bus: virtio}, {name: data, bus: virtio}]}"),
		},
		"an item added to a list": {
			wanted: vm("{disks: [{name: root}]}"), live: vm("{disks: [{name: root}, {name: hotplugged}]}"),
			want: []change{{compare.Update, "a", "spec.disks"}},
		},
		"an item missing from a list": {
			wanted: vm("{disks: [{name: root}, {name: data}]}"), live: vm("{disks: [{name: root}]}"),
			want: []change{{compare.Update, "a", "spec.disks"}},
		},
		"another order in a list": {
			wanted: vm("{disks: [{name: root}, {name: data}]}"), live: vm("{disks: [{name: data}, {name: root}]}"),
			want: []change{{compare.Update, "a", "spec.disks[0].name spec.disks[1].name"}},
		},
		"another value": {
			wanted: vm("{runStrategy: Always}"), live: vm("{runStrategy: Halted}"),
			want: []change{{compare.Update, "a", "spec.runStrategy"}},
		},
		"a value that is not there": {
			wanted: vm("{runStrategy: Always, x: false}"), live: vm("{runStrategy: Always}"),
			want: []change{{compare.Update, "a", "spec.x"}},
		},
		"nothing in place of nothing": {
			wanted: vm("{a: {}, b: null, c: [], d: {e: {}}}"), live: vm("{}"),
		},
		"a quantity in another form": {
			wanted: vm("{memory: {guest: 1024Mi}, requests: {cpu: 1, storage: 1Ti}}"),
			live:   vm("{memory: {guest: 1Gi}, requests: {cpu: \"1\", storage: 1024Gi}}"),
		},
		"another quantity": {
			wanted: vm("{memory: {guest: 1Gi}}"), live: vm("{memory: {guest: 1G}}"),
			want: []change{{compare.Update, "a", "spec.memory.guest"}},
		},
		"a text that looks like a quantity is a text": {
			wanted: vm("{serial: 1024Mi}"), live: vm("{serial: 1Gi}"),
			want: []change{{compare.Update, "a", "spec.serial"}},
		},
		"a number is a number": {
			wanted: vm("{port: 80}"), live: vm("{port: 80.0}"),
		},
		"a number is no text": {
			wanted: vm("{port: 80}"), live: vm("{port: \"80\"}"),
			want: []change{{compare.Update, "a", "spec.port"}},
		},
		"a map in place of a value": {
			wanted: vm("{source: {blank: {}}}"), live: vm("{source: none}"),
			want: []change{{compare.Update, "a", "spec.source"}},
		},
		"what the fleet no longer sets is taken away": {
			wanted: vm("{runStrategy: Always}"), previous: vm("{runStrategy: Always, template: {priorityClassName: high}}"),
			live: vm("{runStrategy: Always, template: {priorityClassName: high, filled: in}}"),
			want: []change{{compare.Update, "a", "spec.template"}},
		},
		"what the fleet no longer sets and is gone already": {
			wanted: vm("{runStrategy: Always}"), previous: vm("{runStrategy: Always, priorityClassName: high}"),
			live: vm("{runStrategy: Always}"),
		},
		"a new object": {
			wanted: vm("{runStrategy: Always}"),
			want:   []change{{compare.Create, "a", ""}},
		},
		"an object that goes": {
			previous: vm("{runStrategy: Always}"), live: vm("{runStrategy: Always}"),
			want: []change{{compare.Delete, "a", ""}},
		},
		"an object that goes and is gone already": {
			previous: vm("{runStrategy: Always}"),
		},
		"an object that leaves and is kept, as the live one says": {
			previous: "{apiVersion: cdi/v1, kind: DataVolume, metadata: {name: d, namespace: ns}}",
			live:     "{apiVersion: cdi/v1, kind: DataVolume, metadata: {name: d, namespace: ns, annotations: {helm.sh/resource-policy: keep}}}",
			want:     []change{{compare.Release, "d", ""}},
		},
		"an object without a namespace": {
			wanted: "{apiVersion: nmstate.io/v1, kind: NodeNetworkConfigurationPolicy, metadata: {name: policy}, spec: {a: 1}}",
			live:   "{apiVersion: nmstate.io/v1, kind: NodeNetworkConfigurationPolicy, metadata: {name: policy}, spec: {a: 2}}",
			want:   []change{{compare.Update, "policy", "spec.a"}},
		},
		"a Secret as the server keeps it": {
			wanted: "{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: ns}, stringData: {userdata: hello}}",
			live:   "{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: ns}, data: {userdata: aGVsbG8=}, type: Opaque}",
		},
		"a Secret that changes": {
			wanted: "{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: ns}, stringData: {userdata: hello}}",
			live:   "{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: ns}, data: {userdata: Ynll}}",
			want:   []change{{compare.Update, "s", "data.userdata"}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var got []change
			for _, c := range changes(t, tc.wanted, tc.previous, tc.live) {
				got = append(got, change{c.Action, c.Key.Name, strings.Join(c.Fields, " ")})
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("changes differ (-want +got):\n%s", diff)
			}
		})
	}
}

// plain leaves text as it is, and marks it so that a test can see the colour.
type marks struct{}

func (marks) Red(text string) string   { return "red:" + text }
func (marks) Green(text string) string { return "green:" + text }
func (marks) Cyan(text string) string  { return "cyan:" + text }
func (marks) Bold(text string) string  { return "bold:" + text }

func unified(t *testing.T, list []compare.Change) string {
	t.Helper()
	var text strings.Builder
	for _, c := range list {
		if err := compare.WriteUnified(&text, c, marks{}); err != nil {
			t.Fatal(err)
		}
	}
	return text.String()
}

func TestUnifiedDiff(t *testing.T) {
	got := unified(t, changes(t, vm("{runStrategy: Always, a: 1}"), "", vm("{runStrategy: Halted, a: 1, filled: in}")))
	want := `bold:--- live/VirtualMachine/a
bold:+++ fleet/VirtualMachine/a
cyan:@@ -5,4 +5,4 @@
   namespace: ns
 spec:
   a: 1
red:-  runStrategy: Halted
green:+  runStrategy: Always
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("diff differs (-want +got):\n%s", diff)
	}
}

func TestSecretsAreNeverShown(t *testing.T) {
	secret := func(field, user, network string) string {
		return "{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: ns}, " + field + ": {userdata: " + user + ", networkdata: " + network + "}}"
	}
	// hunter2, hunter3 and same, as text and in base64.
	wanted, before := secret("stringData", "hunter2", "same"), secret("data", "aHVudGVyMw==", "c2FtZQ==")
	texts := map[string]string{
		"create": unified(t, changes(t, wanted, "", "")),
		"update": unified(t, changes(t, wanted, "", before)),
		"delete": unified(t, changes(t, "", wanted, before)),
	}
	for action, text := range texts {
		for _, secret := range []string{"hunter", "aHVudGVy", "same", "c2FtZQ"} {
			if strings.Contains(text, secret) {
				t.Errorf("%s shows %q:\n%s", action, secret, text)
			}
		}
	}
	for _, line := range []string{"red:-  userdata: '*** (before)'", "green:+  userdata: '*** (after)'", "   networkdata: '***'"} {
		if !strings.Contains(texts["update"], line+"\n") {
			t.Errorf("update does not say %q:\n%s", line, texts["update"])
		}
	}
}

func TestSpecNamesEveryDifference(t *testing.T) {
	dv := func(spec string) *unstructured.Unstructured {
		return parse(t, "{apiVersion: cdi/v1, kind: DataVolume, metadata: {name: d}, spec: "+spec+"}")[0]
	}
	got := compare.Spec(
		dv("{source: {http: {url: b}}, storage: {storageClassName: fast, resources: {requests: {storage: 2Gi}}}}"),
		dv("{source: {http: {url: a}}, storage: {accessModes: [RWO], resources: {requests: {storage: 2048Mi}}}}"),
	)
	want := []compare.Difference{
		{Path: "source.http.url", Live: "a", Wanted: "b"},
		{Path: "storage.storageClassName", Live: nil, Wanted: "fast"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("differences differ (-want +got):\n%s", diff)
	}
}
