package fleet_test

import (
	"fmt"
	"testing"

	"wukong.io/wukong/pkg/fleet"
)

// benchFleet gives a fleet of one pool whose machines have four objects each:
// the machine, its cloud-init Secret and two disks.
func benchFleet(tb testing.TB, machines int) fleet.Fleet {
	tb.Helper()
	values, err := fleet.ParseValues(fmt.Appendf(nil, `
images:
  fedora:
    importSource: {registry: {url: "docker://quay.io/containerdisks/fedora:41"}}
    size: 10Gi
pools:
  web:
    replicas: %d
    template:
      resources: {cpu: 2, memory: 4Gi}
      disks:
        root: {size: 20Gi, source: {image: fedora}, bootOrder: 1}
        data: {size: 100Gi, source: {empty: {}}}
      networks:
        default: {pod: {}}
      cloudInit:
        user: ops
        sshAuthorizedKeys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINMLK6juJazvoX9OSaQ4SQRw8IJmcGpz5+WqadBsWojv]
        packages: [nginx]
        runCommands: ["echo 'Welcome to @@name@@' > /etc/motd"]
`, machines))
	if err != nil {
		tb.Fatal(err)
	}
	return fleet.Fleet{Namespace: "team-a", Name: "shop", Values: values}
}

func benchRenderer(b *testing.B) *fleet.Renderer {
	b.Helper()
	renderer, err := fleet.New()
	if err != nil {
		b.Fatal(err)
	}
	return renderer
}

func BenchmarkRender(b *testing.B) {
	renderer := benchRenderer(b)
	for _, machines := range []int{1, 100, 1_000, 10_000} {
		input := benchFleet(b, machines)
		b.Run(fmt.Sprintf("machines=%d", machines), func(b *testing.B) {
			b.ReportAllocs()
			objects := 0
			for b.Loop() {
				rendered, err := renderer.Render(b.Context(), input, fleet.Options{InCluster: true})
				if err != nil {
					b.Fatal(err)
				}
				objects = len(rendered)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*objects), "ns/object")
		})
	}
}

// BenchmarkWindow is what a controller does for one changed machine.
func BenchmarkWindow(b *testing.B) {
	renderer := benchRenderer(b)
	input := benchFleet(b, 10_000)
	b.ReportAllocs()
	for b.Loop() {
		options := fleet.Options{InCluster: true, Window: &fleet.Window{Pool: "web", Start: 5_000, Count: 1}}
		if _, err := renderer.Render(b.Context(), input, options); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkManifests(b *testing.B) {
	renderer := benchRenderer(b)
	input := benchFleet(b, 1_000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := renderer.Manifests(b.Context(), input, fleet.Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReleaseBytes(b *testing.B) {
	renderer := benchRenderer(b)
	input := benchFleet(b, 3_000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := renderer.ReleaseBytes(b.Context(), input); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNew(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := fleet.New(); err != nil {
			b.Fatal(err)
		}
	}
}
