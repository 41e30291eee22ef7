package main

import (
	"context"
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"wukong.io/wukong/test/stockhelm"
	"wukong.io/wukong/test/world"
)

//go:embed fleets/*.yaml
var fleetFiles embed.FS

const (
	// namespace of the fleets.
	namespace = "demo"
	// goldenNamespace holds what fleets of other namespaces clone.
	goldenNamespace = "golden"

	// fleetPatience bounds how long a fleet may take to run.
	fleetPatience = 2 * time.Minute

	megabyte = 1 << 20
	// imageSize is the size of every image: small, as the demo shows that copies are right, not that disks
	// are large.
	imageSize = 16 * megabyte
)

// fleet is one of the demo's fleets.
type fleet struct {
	name     string
	source   string
	machines int
	// set are the values that only this run of the demo knows.
	set []string
	// clones are the claims that must begin with an image.
	clones map[string]string
}

func (f fleet) key() client.ObjectKey {
	return client.ObjectKey{Namespace: namespace, Name: f.name}
}

// fleets are those of the demo, one for every disk source and one for all of them. The golden image of shop
// comes first, as others use it.
func (d *demo) fleets() []fleet {
	web := "http.url=" + d.web
	return []fleet{
		{
			name: "shop", source: "golden image from a registry", machines: 6,
			set:    []string{"images.base.importSource.registry.url=" + d.registry},
			clones: named("shop-web-%d-root", 0, 6, "base"),
		},
		{
			name: "probe", source: "import in place over HTTP, sha256", machines: 1,
			set: []string{
				"pools.one.template.disks.root.source.import." + web,
				"pools.one.template.disks.root.source.import.http.checksum=" + world.Checksum(d.images["probe"]),
			},
			clones: named("probe-one-%d-root", 0, 1, "probe"),
		},
		{
			name: "files", source: "existing claim for each ordinal", machines: 3,
			clones: named("files-nfs-%d-root", 0, 3, "base"),
		},
		{name: "legacy", source: "existing system disk", machines: 2},
		{
			name: "census", source: "clone of a claim", machines: 3,
			clones: named("census-analyst-%d-data", 1, 3, "census"),
		},
		{
			name: "nightly", source: "clone of a VolumeSnapshot", machines: 3,
			clones: named("nightly-report-%d-data", 0, 3, "census"),
		},
		{
			name: "repro", source: "clone of a machine's disk", machines: 2,
			clones: named("repro-bug-%d-root", 0, 2, "staging"),
		},
		{
			name: "branch", source: "clone from another namespace", machines: 2,
			clones: named("branch-office-%d-root", 0, 2, "office"),
		},
		{name: "blank", source: "empty disks only", machines: 2},
		{
			name: "mixed", source: "all of these in one machine", machines: 1,
			set: []string{"pools.bench.template.disks.rescue.source.import." + web},
			clones: map[string]string{
				"mixed-bench-0-root": "base", "mixed-bench-0-rescue": "probe",
				"mixed-bench-0-census": "census", "mixed-bench-0-nightly": "census",
			},
		},
	}
}

func named(format string, start, count int, image string) map[string]string {
	claims := map[string]string{}
	for ordinal := start; ordinal < start+count; ordinal++ {
		claims[fmt.Sprintf(format, ordinal)] = image
	}
	return claims
}

// release is a fleet as helm is told about it.
func (d *demo) release(f fleet) stockhelm.Release {
	return stockhelm.Release{Namespace: namespace, Name: f.name, Values: filepath.Join(d.dir, "fleets", f.name+".yaml"), Set: f.set}
}

// writeFleets puts the fleet files where helm can read them.
func (d *demo) writeFleets() error {
	if err := os.CopyFS(d.dir, fleetFiles); err != nil {
		return fmt.Errorf("writing the fleet files: %w", err)
	}
	return nil
}

// prepare makes what the fleets stand on, as their files say under "before".
func (d *demo) prepare(ctx context.Context) error {
	for _, name := range []string{namespace, goldenNamespace} {
		if err := d.world.Namespace(ctx, name); err != nil {
			return err
		}
	}
	for _, name := range []string{"base", "probe", "census", "staging", "office", "share", "legacy", "tools"} {
		d.images[name] = world.Image(name, imageSize)
	}
	d.web = d.world.Sources.Web("probe", d.images["probe"])
	url, err := d.world.Sources.Push("base", d.images["base"])
	if err != nil {
		return err
	}
	d.registry = url
	d.show.done("a registry with a containerdisk and a web server with an image, on loopback")
	if err := d.prepareClaims(ctx); err != nil {
		return err
	}
	d.show.done("9 claims, a VolumeSnapshot and a stopped machine made by hand, all with known bytes")
	return nil
}

func (d *demo) prepareClaims(ctx context.Context) error {
	claims := map[client.ObjectKey]string{
		{Namespace: goldenNamespace, Name: "office-disk"}: "office",
		{Namespace: namespace, Name: "census-2020"}:       "census",
		{Namespace: namespace, Name: "tools"}:             "tools",
	}
	for ordinal := range 3 {
		claims[client.ObjectKey{Namespace: namespace, Name: "share-" + strconv.Itoa(ordinal)}] = "share"
	}
	for ordinal := range 2 {
		claims[client.ObjectKey{Namespace: namespace, Name: "legacy-" + strconv.Itoa(ordinal)}] = "legacy"
	}
	for key, image := range claims {
		if err := d.world.Claim(ctx, key, "32Mi", d.images[image]); err != nil {
			return err
		}
	}
	if err := d.world.Snapshot(ctx, client.ObjectKey{Namespace: namespace, Name: "census-nightly"}, "census-2020"); err != nil {
		return err
	}
	return d.world.Machine(ctx, client.ObjectKey{Namespace: namespace, Name: "staging"}, "32Mi", d.images["staging"])
}

// installFleets installs one fleet after the other, so that each has a time of its own.
func (d *demo) installFleets(ctx context.Context) error {
	d.show.command("helm install <fleet> charts/vm-fleet -f test/demo/fleets/<fleet>.yaml")
	rows := d.show.table(
		column{title: "fleet", width: 9}, column{title: "disks", width: 34},
		column{title: "machines", width: 8, right: true}, column{title: "running", width: 7, right: true},
		column{title: "helm", width: 7, right: true}, column{title: "running in", width: 10, right: true},
	)
	for _, f := range d.fleets() {
		if err := d.installFleet(ctx, rows, f); err != nil {
			return err
		}
		d.machines += f.machines
	}
	return nil
}

func (d *demo) installFleet(ctx context.Context, rows *table, f fleet) error {
	began := time.Now()
	rows.draft(f.name, f.source, strconv.Itoa(f.machines), "…")
	if _, err := d.helm.Install(ctx, d.release(f)); err != nil {
		return err
	}
	installed := time.Since(began)
	ctx, cancel := context.WithTimeoutCause(ctx, fleetPatience, fmt.Errorf("not all of them ran within %s", fleetPatience))
	defer cancel()
	err := d.world.Running(ctx, f.key(), "", f.machines, func(running int) {
		rows.draft(f.name, f.source, strconv.Itoa(f.machines), strconv.Itoa(running), seconds(installed), "…")
	})
	if err != nil {
		return err
	}
	rows.row(f.name, f.source, strconv.Itoa(f.machines), strconv.Itoa(f.machines), seconds(installed), seconds(time.Since(began)))
	return nil
}
