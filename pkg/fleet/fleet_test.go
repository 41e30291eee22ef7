package fleet

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	kubevirtv1 "kubevirt.io/api/core/v1"
)

func TestParseValues(t *testing.T) {
	cases := map[string]struct {
		input   string
		want    map[string]any
		wantErr bool
	}{
		"an empty file is an empty fleet":  {input: "# nothing\n", want: map[string]any{}},
		"a list is refused":                {input: "- a\n", wantErr: true},
		"a key that stands twice":          {input: "pools: {}\npools: {}\n", wantErr: true},
		"broken YAML":                      {input: "pools: {\n", wantErr: true},
		"an alias that refers to nothing":  {input: "pools: *x\n", wantErr: true},
		"text stays text, also if it is y": {input: "nameOverride: 'y'\n", want: map[string]any{"nameOverride": "y"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := ParseValues([]byte(tc.input))
			if (err != nil) != tc.wantErr {
				t.Fatalf("got error %v, want error %t", err, tc.wantErr)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("values differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSchemaMistakesAreSaidInWords(t *testing.T) {
	values := parse(t, `
foo: 1
images: {Fed: {size: 10Gi}}
pools:
  web:
    replicas: "3"
    ordinals: {start: -1}
    overrides: {first: {}}
    template:
      runStrategy: Sometimes
      disks: {root: {size: {}, serial: "a b"}}
      placement: {tolerations: nope}
`)
	err := newRenderer(t).Validate(t.Context(), Fleet{Namespace: "prod", Name: "shop", Values: values})
	var got ErrorList
	if !errors.As(err, &got) {
		t.Fatalf("got %v, want an ErrorList", err)
	}
	const key = "must be under another key: keys are words of a-z and 0-9, each beginning with a letter, joined by dashes, at most 63 characters"
	want := ErrorList{
		{Path: "foo", Message: "is no key here, must be one of defaults, expand, global, hostNetworks, images, nameOverride, pools"},
		{Path: "images.Fed", Message: `found the key "Fed", ` + key},
		{Path: "pools.web.ordinals.start", Message: "found -1, must be at least 0"},
		{Path: "pools.web.overrides.first", Message: `found the key "first", must be under another key: keys are the ordinals of machines, such as 0 or 12`},
		{Path: "pools.web.replicas", Message: `found "3" (text), must be a whole number`},
		{Path: "pools.web.template.disks.root.serial", Message: `found "a b", must match ^[A-Za-z0-9_.+@-]+$`},
		{Path: "pools.web.template.disks.root.size", Message: "found {} (a map), must be a whole number or text"},
		{Path: "pools.web.template.placement.tolerations", Message: `found "nope" (text), must be a list`},
		{Path: "pools.web.template.runStrategy", Message: `found "Sometimes", must be one of Always, RerunOnFailure, Manual, Halted, Once`},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("mistakes differ (-want +got):\n%s", diff)
	}
}

const small = `
pools:
  web:
    replicas: %d
    template:
      resources: {memory: 1Gi}
      disks: {data: {size: 1Gi, source: {empty: {}}}}
      cloudInit: {user: ops}
`

func TestAWindowIsThatPartOfTheWhole(t *testing.T) {
	renderer := newRenderer(t)
	fleet := Fleet{Namespace: "prod", Name: "shop", Values: parse(t, fmt.Sprintf(small, 2000))}
	whole, err := renderer.Render(t.Context(), fleet, Options{})
	if err != nil {
		t.Fatal(err)
	}
	part, err := renderer.Render(t.Context(), fleet, Options{Window: &Window{Pool: "web", Start: 700, Count: 600}})
	if err != nil {
		t.Fatal(err)
	}
	const shared, each = 1, 3 // the headless Service; Secret, DataVolume and VirtualMachine
	want := whole[shared+700*each : shared+1300*each]
	if diff := cmp.Diff(want, part); diff != "" {
		t.Errorf("window differs (-want +got):\n%.2000s", diff)
	}
}

func TestAWindowOutsideItsPoolIsRefused(t *testing.T) {
	renderer := newRenderer(t)
	fleet := Fleet{Namespace: "prod", Name: "shop", Values: parse(t, fmt.Sprintf(small, 3))}
	for name, window := range map[string]Window{
		"no such pool":   {Pool: "db", Count: 1},
		"past the end":   {Pool: "web", Start: 2, Count: 2},
		"before it":      {Pool: "web", Start: -1, Count: 1},
		"negative count": {Pool: "web", Start: 1, Count: -1},
	} {
		t.Run(name, func(t *testing.T) {
			var list ErrorList
			if _, err := renderer.Render(t.Context(), fleet, Options{Window: &window}); !errors.As(err, &list) {
				t.Errorf("got %v, want an ErrorList", err)
			}
		})
	}
}

func TestRenderStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	fleet := Fleet{Namespace: "prod", Name: "shop", Values: parse(t, fmt.Sprintf(small, 2000))}
	if _, err := newRenderer(t).Render(ctx, fleet, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func TestExpandServer(t *testing.T) {
	values := parse(t, fmt.Sprintf(small, 20000))
	values["expand"] = "server"
	fleet := Fleet{Namespace: "prod", Name: "shop", Values: values}
	renderer := newRenderer(t)
	release, err := renderer.Render(t.Context(), fleet, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(release) != 1 || release[0].GetName() != "shop" {
		t.Fatalf("got %d objects, want the one Wukong object", len(release))
	}
	window := &Window{Pool: "web", Start: 19999, Count: 1}
	machine, err := renderer.Render(t.Context(), fleet, Options{InCluster: true, Window: window})
	if err != nil {
		t.Fatal(err)
	}
	if vm, ok := machine[len(machine)-1].(*kubevirtv1.VirtualMachine); !ok || vm.Name != "shop-web-19999" {
		t.Errorf("got %v, want the machine shop-web-19999", machine[len(machine)-1].GetName())
	}
}

func TestPlan(t *testing.T) {
	plan, err := newRenderer(t).Plan(t.Context(), Fleet{Namespace: "prod", Name: "shop", Values: readValues(t, "testdata/disks/input.yaml")})
	if err != nil {
		t.Fatal(err)
	}
	if plan.ReleaseBytes < 10_000 || plan.ReleaseBytes > 100_000 || !plan.Fits {
		t.Errorf("got a release of %d bytes that fits: %t", plan.ReleaseBytes, plan.Fits)
	}
	plan.ReleaseBytes = 0
	want := &Plan{
		Machines: 1,
		Pools:    []PoolPlan{{Name: "box", Machines: 1, First: "shop-box-7", Last: "shop-box-7", Source: "template"}},
		Objects: map[string]int{
			"DataImportCron": 1, "DataSource": 1, "Service": 1, "SnapshotPolicy": 1, "ExportJob": 1, "VirtualMachine": 1,
		},
		Imports: 2, ImportBytes: 6 << 30,
		Clones: 5,
		Empty:  1, EmptyBytes: 1 << 30,
		ExistingClaims: 1,
		ReleaseLimit:   ReleaseLimit, Fits: true,
	}
	if diff := cmp.Diff(want, plan); diff != "" {
		t.Errorf("plan differs (-want +got):\n%s", diff)
	}
}

// The chart cannot compress, so it estimates: it must not refuse what fits by
// a good margin, nor let pass what is far too large.
func TestTheChartKnowsWhatFitsARelease(t *testing.T) {
	renderer := newRenderer(t)
	for name, template := range map[string]string{
		"bare":         "{resources: {memory: 1Gi}}",
		"typical":      "{resources: {memory: 1Gi}, disks: {a: {size: 1Gi, source: {empty: {}}}, root: {size: 1Gi, source: {empty: {}}}}, cloudInit: {user: ops}}",
		"two networks": "{resources: {memory: 1Gi}, networks: {p: {pod: {}}, v: {multus: {networkName: net}, ipam: {cidr: 10.0.0.0/8, first: 10.0.0.1}}}}",
	} {
		t.Run(name, func(t *testing.T) {
			fleetOf := func(machines int) Fleet {
				return Fleet{Namespace: "prod", Name: "shop", Values: parse(t, fmt.Sprintf("pools: {web: {replicas: %d, template: %s}}", machines, template))}
			}
			refused := 0 // the least the chart refuses, by bisection
			for low, high := 1000, 20000; high-low > 50; {
				refused = (low + high) / 2
				if renderer.Validate(t.Context(), fleetOf(refused)) == nil {
					low = refused
				} else {
					high = refused
				}
			}
			bytes, err := renderer.ReleaseBytes(t.Context(), fleetOf(refused))
			if err != nil {
				t.Fatal(err)
			}
			if share := float64(bytes) / ReleaseLimit; share < 0.85 || share > 1.05 {
				t.Errorf("the chart refuses %d machines, whose release takes %.0f %% of the limit", refused, share*100)
			}
		})
	}
}
