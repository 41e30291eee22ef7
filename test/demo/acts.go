package main

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	kubevirtv1 "kubevirt.io/api/core/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"wukong.io/wukong/test/stockhelm"
	"wukong.io/wukong/test/world"
)

func inDemo(name string) client.ObjectKey {
	return client.ObjectKey{Namespace: namespace, Name: name}
}

// compareBytes compares every copied disk with its source where the storage driver keeps them.
func (d *demo) compareBytes(ctx context.Context) error {
	source, clone := inDemo("census-2020"), inDemo("census-analyst-1-data")
	sums := [2]string{}
	for i, key := range []client.ObjectKey{source, clone} {
		sum, err := d.world.Digest(ctx, key)
		if err != nil {
			return err
		}
		d.show.line("   %s  %s", sum, key)
		sums[i] = sum
	}
	if sums[0] != sums[1] {
		return fmt.Errorf("the clone %s is not its source %s", clone, source)
	}
	d.show.done("source and clone are the same, byte for byte")
	for _, f := range d.fleets() {
		for claim, image := range f.clones {
			if err := d.world.Begins(ctx, inDemo(claim), d.images[image]); err != nil {
				return err
			}
			d.clones++
		}
	}
	d.show.done("%d copied disks begin with the image they are of", d.clones)
	if err := d.checkExisting(ctx); err != nil {
		return err
	}
	d.show.done("existing claims are in the machines of their ordinals, as they were")
	if downloads := d.world.Sources.Downloads("base"); downloads != 1 {
		return fmt.Errorf("the golden image was downloaded %d times, want once", downloads)
	}
	d.show.done("the registry was asked once for the golden image that 10 disks are clones of")
	return nil
}

// checkExisting finds the claims that existed before in the Pods of the machines whose ordinal they have.
func (d *demo) checkExisting(ctx context.Context) error {
	for machine, claim := range map[string]string{
		"files-nfs-0": "share-0", "files-nfs-1": "share-1", "files-nfs-2": "share-2",
		"legacy-server-0": "legacy-0", "legacy-server-1": "legacy-1", "mixed-bench-0": "tools",
	} {
		pods := &corev1.PodList{}
		if err := d.world.Client.List(ctx, pods, client.InNamespace(namespace), client.MatchingLabels{"wukong.io/vm": machine}); err != nil {
			return fmt.Errorf("listing the Pods of machine %q: %w", machine, err)
		}
		if len(pods.Items) != 1 || !mounts(pods.Items[0], claim) {
			return fmt.Errorf("machine %q does not run with claim %q", machine, claim)
		}
		image, _, _ := strings.Cut(claim, "-")
		if err := d.world.Begins(ctx, inDemo(claim), d.images[image]); err != nil {
			return err
		}
	}
	return nil
}

func mounts(pod corev1.Pod, claim string) bool {
	return slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool {
		return v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == claim
	})
}

// scale takes machines away and brings them back, on the disks they had.
func (d *demo) scale(ctx context.Context) error {
	shop := d.fleets()[0]
	note, last := []byte("written by the guest of shop-web-5"), inDemo("shop-web-5-root")
	if err := d.world.Write(ctx, last, imageSize, note); err != nil {
		return err
	}
	before, err := d.diskIdentities(ctx, shop.key())
	if err != nil {
		return err
	}
	if err := d.resize(ctx, shop, 2); err != nil {
		return err
	}
	after, err := d.diskIdentities(ctx, shop.key())
	if err != nil {
		return err
	}
	if !maps.Equal(before, after) {
		return fmt.Errorf("the disks were %v and are now %v", before, after)
	}
	d.show.done("4 machines are gone, all %d disks are still there", len(after))
	if err := d.resize(ctx, shop, 6); err != nil {
		return err
	}
	again, err := d.diskIdentities(ctx, shop.key())
	if err != nil {
		return err
	}
	if !maps.Equal(before, again) {
		return fmt.Errorf("the disks were %v and are now %v", before, again)
	}
	have, err := d.world.Read(ctx, last, imageSize, len(note))
	if err != nil {
		return err
	}
	if string(have) != string(note) {
		return fmt.Errorf("disk %s holds %q where its guest wrote %q", last, have, note)
	}
	d.show.done("the machines are back on the disks they had, with what their guests wrote")
	return nil
}

func (d *demo) resize(ctx context.Context, f fleet, replicas int) error {
	set := "pools.web.replicas=" + strconv.Itoa(replicas)
	d.show.command("helm upgrade", f.name, "charts/vm-fleet -f", f.name+".yaml --set", set)
	release := d.release(f)
	release.Set = append(slices.Clone(release.Set), set)
	if _, err := d.helm.Upgrade(ctx, release); err != nil {
		return err
	}
	return d.world.Running(ctx, f.key(), "web", replicas, nil)
}

// diskIdentities gives the claims of a fleet's disks with their UIDs.
func (d *demo) diskIdentities(ctx context.Context, fleet client.ObjectKey) (map[string]types.UID, error) {
	disks := &cdiv1.DataVolumeList{}
	selector := client.MatchingLabels{"wukong.io/fleet": fleet.Name}
	if err := d.world.Client.List(ctx, disks, client.InNamespace(fleet.Namespace), selector, client.HasLabels{"wukong.io/disk"}); err != nil {
		return nil, fmt.Errorf("listing the disks of fleet %s: %w", fleet, err)
	}
	identities := map[string]types.UID{}
	for _, disk := range disks.Items {
		claim := &corev1.PersistentVolumeClaim{}
		if err := d.world.Client.Get(ctx, client.ObjectKeyFromObject(&disk), claim); err != nil {
			return nil, fmt.Errorf("reading the claim of disk %q: %w", disk.Name, err)
		}
		identities[disk.Name] = claim.UID
	}
	return identities, nil
}

// upgrade installs a later version of the chart, and then changes another fleet in a way that does take
// restarts, to show that they would have been noticed.
func (d *demo) upgrade(ctx context.Context) error {
	shop := d.fleets()[0]
	before, err := d.world.Instances(ctx, shop.key())
	if err != nil {
		return err
	}
	const version = "99.0.0"
	release := d.release(shop)
	if release.Chart, err = stockhelm.CopyChart("vm-fleet", filepath.Join(d.dir, "later"), version); err != nil {
		return err
	}
	d.show.command("helm upgrade shop <vm-fleet of version " + version + "> -f shop.yaml")
	if _, err := d.helm.Upgrade(ctx, release); err != nil {
		return err
	}
	changed, err := d.changeGuests(ctx)
	if err != nil {
		return err
	}
	machines, err := d.world.Machines(ctx, shop.key())
	if err != nil {
		return err
	}
	after, err := d.world.Instances(ctx, shop.key())
	if err != nil {
		return err
	}
	for name, machine := range machines {
		if err := untouched(machine, before[name], after[name], "vm-fleet-"+version); err != nil {
			return err
		}
	}
	if len(machines) != shop.machines {
		return fmt.Errorf("fleet %q has %d machines, want %d", shop.name, len(machines), shop.machines)
	}
	d.show.done("chart vm-fleet-%s is on all %d machines; every one is the same instance as before", version, len(machines))
	d.show.done("none of them asks for a restart, as the %d of fleet blank do, which have just got a tablet", changed)
	return nil
}

// untouched is an error unless a machine has the chart's label and went on running.
func untouched(machine kubevirtv1.VirtualMachine, before, after kubevirtv1.VirtualMachineInstance, chart string) error {
	switch {
	case machine.Labels["helm.sh/chart"] != chart:
		return fmt.Errorf("machine %q is of chart %q, want %q", machine.Name, machine.Labels["helm.sh/chart"], chart)
	case before.UID == "" || before.UID != after.UID:
		return fmt.Errorf("machine %q was restarted: its instance was %q and is %q", machine.Name, before.UID, after.UID)
	case asksForRestart(&machine):
		return fmt.Errorf("machine %q asks for a restart", machine.Name)
	}
	return nil
}

func asksForRestart(machine *kubevirtv1.VirtualMachine) bool {
	return slices.ContainsFunc(machine.Status.Conditions, func(c kubevirtv1.VirtualMachineCondition) bool {
		return c.Type == kubevirtv1.VirtualMachineRestartRequired && c.Status == corev1.ConditionTrue
	})
}

// changeGuests changes the hardware of another fleet, and waits until KubeVirt says of all its machines that
// this takes a restart. KubeVirt has by then seen the change before.
func (d *demo) changeGuests(ctx context.Context) (int, error) {
	blank := fleet{name: "blank", machines: 2, set: []string{"pools.node.template.devices.tablet=true"}}
	if _, err := d.helm.Upgrade(ctx, d.release(blank)); err != nil {
		return 0, err
	}
	query := world.Query{Namespace: namespace, Labels: "wukong.io/fleet=" + blank.name}
	err := world.Until(ctx, d.world.Client, query, &kubevirtv1.VirtualMachineList{}, &kubevirtv1.VirtualMachine{},
		func(machines map[string]*kubevirtv1.VirtualMachine) error {
			asking := 0
			for _, machine := range machines {
				if asksForRestart(machine) {
					asking++
				}
			}
			if asking != blank.machines {
				return fmt.Errorf("%d machines of fleet %q ask for a restart after a change of their hardware, want %d", asking, blank.name, blank.machines)
			}
			return nil
		})
	return blank.machines, err
}

// uninstall removes a fleet whose disks are to stay and one whose disks go with it.
func (d *demo) uninstall(ctx context.Context) error {
	rows := [][]string{}
	for _, f := range []struct{ name, policy string }{{"shop", "Retain"}, {"repro", "Delete"}} {
		fleet := fleet{name: f.name}
		before, err := d.claimsOf(ctx, fleet)
		if err != nil {
			return err
		}
		d.show.command("helm uninstall", f.name)
		if _, err := d.helm.Uninstall(ctx, d.release(fleet)); err != nil {
			return err
		}
		want := len(before)
		if f.policy == "Delete" {
			want = 0
		}
		after, err := d.gone(ctx, fleet, want)
		if err != nil {
			return err
		}
		rows = append(rows, []string{f.name, f.policy, strconv.Itoa(len(before)), strconv.Itoa(after), strings.Join(shorten(before, want), " ")})
		d.kept += after
	}
	t := d.show.table(column{title: "fleet", width: 9}, column{title: "policy", width: 8},
		column{title: "disks", width: 5, right: true}, column{title: "stayed", width: 6, right: true}, column{title: "which", width: 34})
	for _, row := range rows {
		t.row(row...)
	}
	return nil
}

// shorten names the first and the last of the disks that stayed.
func shorten(disks []string, stayed int) []string {
	if stayed == 0 {
		return []string{"-"}
	}
	return []string{disks[0], "..", disks[len(disks)-1]}
}

func (d *demo) claimsOf(ctx context.Context, f fleet) ([]string, error) {
	identities, err := d.diskIdentities(ctx, f.key())
	return slices.Sorted(maps.Keys(identities)), err
}

// gone waits until a fleet has no machine and as many disks as are to stay.
func (d *demo) gone(ctx context.Context, f fleet, want int) (int, error) {
	if err := d.world.Running(ctx, f.key(), "", 0, nil); err != nil {
		return 0, err
	}
	disks := 0
	query := world.Query{Namespace: namespace, Labels: "wukong.io/disk,wukong.io/fleet=" + f.name}
	err := world.Until(ctx, d.world.Client, query, &cdiv1.DataVolumeList{}, &cdiv1.DataVolume{},
		func(have map[string]*cdiv1.DataVolume) error {
			if disks = len(have); disks != want {
				return fmt.Errorf("fleet %q left %d disks, want %d", f.name, disks, want)
			}
			return nil
		})
	return disks, err
}
