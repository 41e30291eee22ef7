package validation_test

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wukong.io/wukong/pkg/apis/wukong/v1alpha1"
	"wukong.io/wukong/pkg/validation"
)

func TestValidateWukong(t *testing.T) {
	cases := map[string]struct {
		spec string
		want []string
	}{
		"a whole fleet": {spec: `
images: {fedora: {importSource: {registry: {url: "docker://quay.io/containerdisks/fedora:41"}}, size: 10Gi, schedule: "0 3 * * *"}, golden: {dataSource: {name: rhel}}}
defaults: {disks: {root: {size: 1Gi, source: {image: fedora}}}}
pools:
  web:
    template: {disks: {iso: {size: 1Gi, source: {import: {http: {url: "https://example.com/a.iso"}}}}}}
    overrides: {"1": {disks: {iso: {source: {import: {http: {url: "https://example.com/b.iso"}}}}}}}
    snapshotPolicy: {schedule: "0 2 * * *"}
    exportTarget: {registry: {image: "registry.example.com/vms/@@name@@:@@ordinal@@"}}
  desk: {cloneSource: {virtualMachine: {name: golden}, mode: Online}}
`},
		"leading everywhere it should not": {spec: `
images: {fedora: {importSource: {registry: {url: "docker://localhost/fedora"}}, schedule: "@daily"}}
defaults: {disks: {a: {source: {import: {http: {url: "http://example.com/a"}}}}}}
pools:
  web:
    template: {disks: {b: {source: {import: {s3: {url: "s3://10.0.0.1/b/k"}}}}}}
    overrides: {"1": {disks: {c: {source: {import: {registry: {url: "docker://x.svc/c"}}}}}}}
    snapshotPolicy: {schedule: "0 0 2 * * *", selector: {}, virtualMachines: [a]}
    exportTarget: {registry: {image: "registry.example.com.@@name@@.com/web"}}
  out: {template: {}, exportTarget: {registry: {image: "quay.io/vms/web"}, schedule: "0 2 * * *"}}
  desk: {cloneSource: {virtualMachine: {name: golden}, mode: Live}}
`, want: []string{
			`spec.images[fedora].importSource.registry.url: Forbidden: host "localhost" is this host itself, and imports come from the public Internet alone: take another source, or ask the cluster's administrator to list it in policy.imports of the wukong chart's values`,
			`spec.images[fedora].schedule: Invalid value: "@daily": must be a cron expression of five fields, minute hour day month weekday, such as "15 2 * * *": descriptors such as @daily are not read`,
			`spec.defaults.disks[a].source.import.http.url: Forbidden: host "example.com" is asked without encryption, so anybody on the way could change the disk: write https://, or ask the cluster's administrator to list it in policy.imports of the wukong chart's values`,
			`spec.pools[desk].cloneSource.mode: Invalid value: "Live": must be Offline or Online`,
			`spec.pools[out].exportTarget.serviceAccountName: Required value: must be set with schedule: scheduled exports have the rights of a ServiceAccount, checked at every run`,
			`spec.pools[web].template.disks[b].source.import.s3.url: Forbidden: host "10.0.0.1" is a private address, and imports come from the public Internet alone: take another source, or ask the cluster's administrator to list it in policy.imports of the wukong chart's values`,
			`spec.pools[web].overrides[1].disks[c].source.import.registry.url: Forbidden: host "x.svc" is a Service of the cluster, and imports come from the public Internet alone: take another source, or ask the cluster's administrator to list it in policy.imports of the wukong chart's values`,
			`spec.pools[web].snapshotPolicy.schedule: Invalid value: "0 0 2 * * *": must be a cron expression of five fields, minute hour day month weekday, such as "15 2 * * *": found 6 fields`,
			`spec.pools[web].snapshotPolicy.selector: Forbidden: must not be set in a pool: the policy selects the pool's machines`,
			`spec.pools[web].snapshotPolicy.virtualMachines: Forbidden: must not be set in a pool: the policy selects the pool's machines`,
			`spec.pools[web].exportTarget.registry.image: Forbidden: image "registry.example.com.x.com/web" is not allowed: export to a listed destination, or ask the cluster's administrator to list it in policy.destinations.registries of the wukong chart's values`,
		}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			fleet := &v1alpha1.Wukong{Spec: *parse[v1alpha1.WukongSpec](t, tc.spec)}
			compare(t, tc.want, validation.ValidateWukong(fleet, openPolicy(t)))
		})
	}
}

const newKeyAdvice = `give the disk another key to have a new one made beside it, or delete a machine's disk and the machine to have both made anew`

const moveAdvice = `give the disk another key and clone the old one into it, or move a machine's volume by hand with updateVolumesStrategy: Migration`

type updateCase struct {
	old, changed string
	want         []string
	wantWarnings []string
}

func TestValidateWukongUpdate(t *testing.T) {
	for name, tc := range wukongUpdates() {
		t.Run(name, func(t *testing.T) {
			old, changed := parse[v1alpha1.WukongSpec](t, tc.old), parse[v1alpha1.WukongSpec](t, tc.changed)
			compare(t, tc.want, validation.ValidateWukongUpdate(old, changed))
			if diff := cmp.Diff(tc.wantWarnings, validation.WukongUpdateWarnings(old, changed)); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}

func wukongUpdates() map[string]updateCase {
	return map[string]updateCase{
		"nothing changes": {
			old:     `pools: {web: {replicas: 3, template: {disks: {root: {size: 20Gi, source: {image: fedora}}}}}}`,
			changed: `pools: {web: {replicas: 3, template: {disks: {root: {size: 20480Mi, source: {image: fedora}}}}}}`,
		},
		"what KubeVirt heeds": {
			old:     `pools: {web: {replicas: 3, template: {resources: {cpu: 1}, disks: {root: {size: 20Gi, source: {image: fedora}}}}}}`,
			changed: `pools: {web: {replicas: 9, template: {resources: {cpu: 2}, disks: {root: {size: 20Gi, source: {image: fedora}, bus: scsi}, data: {size: 1Gi, source: {empty: {}}}}}}}`,
		},
		"another source": {
			old:     `pools: {web: {replicas: 3, template: {disks: {root: {source: {image: fedora}}}}}}`,
			changed: `pools: {web: {replicas: 3, template: {disks: {root: {source: {image: debian}}}}}}`,
			want: []string{
				`spec.pools[web].template.disks[root].source: Forbidden: cannot change from image "fedora" to image "debian", as machines 0 to 2 have the disk: CDI fills a disk once and ignores another source: ` + newKeyAdvice,
			},
		},
		"another source in the defaults": {
			old:     `{defaults: {disks: {root: {source: {empty: {}}}}}, pools: {web: {template: {}}}}`,
			changed: `{defaults: {disks: {root: {source: {clone: {pvc: {name: seed}}}}}}, pools: {web: {template: {}}}}`,
			want: []string{
				`spec.defaults.disks[root].source: Forbidden: cannot change from empty to clone of claim "seed", as machine 0 has the disk: CDI fills a disk once and ignores another source: ` + newKeyAdvice,
			},
		},
		"a secret in a URL is not repeated": {
			old:     `pools: {web: {template: {disks: {root: {source: {import: {http: {url: "https://a:hunter2@x.com/a?sig=hunter2"}}}}}}}}`,
			changed: `pools: {web: {template: {disks: {root: {source: {import: {http: {url: "https://x.com/b?sig=hunter2"}}}}}}}}`,
			want: []string{
				`spec.pools[web].template.disks[root].source: Forbidden: cannot change from import from http https://…@x.com/a?… to import from http https://x.com/b?…, as machine 0 has the disk: CDI fills a disk once and ignores another source: ` + newKeyAdvice,
			},
		},
		"a disk that shrinks": {
			old:     `pools: {web: {replicas: 1, ordinals: {start: 5}, template: {disks: {root: {size: 20Gi, source: {empty: {}}}}}}}`,
			changed: `pools: {web: {replicas: 1, ordinals: {start: 5}, template: {disks: {root: {size: 10Gi, source: {empty: {}}}}}}}`,
			want: []string{
				`spec.pools[web].template.disks[root].size: Forbidden: cannot change from 20Gi to 10Gi, as machine 5 has the disk: no disk can shrink: set it back, or ` + newKeyAdvice,
			},
		},
		"a disk that grows": {
			old:     `pools: {web: {replicas: 2, template: {disks: {root: {size: 10Gi, source: {empty: {}}}}}}}`,
			changed: `pools: {web: {replicas: 2, template: {disks: {root: {size: 20Gi, source: {empty: {}}}}}}}`,
			wantWarnings: []string{
				`spec.pools[web].template.disks[root].size: grows from 10Gi to 20Gi, and machines 0 to 1 keep their disks: enlarge the claim, by kubectl patch pvc, on a StorageClass with allowVolumeExpansion`,
			},
		},
		"another class and mode": {
			old:     `pools: {web: {template: {disks: {root: {storageClassName: ceph, accessModes: [ReadWriteOnce], source: {empty: {}}}}}}}`,
			changed: `pools: {web: {template: {disks: {root: {accessModes: [ReadWriteMany], volumeMode: Block, source: {empty: {}}}}}}}`,
			want: []string{
				`spec.pools[web].template.disks[root].storageClassName: Forbidden: cannot change from "ceph" to the default, as machine 0 has the disk: a disk stays on the storage it was made on: ` + moveAdvice,
				`spec.pools[web].template.disks[root].accessModes: Forbidden: cannot change from ReadWriteOnce to ReadWriteMany, as machine 0 has the disk: a claim keeps its access modes: ` + moveAdvice,
				`spec.pools[web].template.disks[root].volumeMode: Forbidden: cannot change from the default to Block, as machine 0 has the disk: a claim keeps its volume mode: ` + moveAdvice,
			},
		},
		"another claim, which KubeVirt heeds": {
			old:     `pools: {web: {template: {disks: {root: {source: {pvc: {claimName: a}}}, data: {source: {empty: {}}}}}}}`,
			changed: `pools: {web: {template: {disks: {root: {source: {pvc: {claimName: b}}}, data: {source: {pvc: {claimName: c}}}}}}}`,
		},
		"a pool that keeps no machine": {
			old:     `pools: {web: {replicas: 0, template: {disks: {root: {size: 2Gi, source: {empty: {}}}}}}, api: {replicas: 2, template: {disks: {root: {size: 2Gi, source: {empty: {}}}}}}}`,
			changed: `pools: {web: {replicas: 9, template: {disks: {root: {size: 1Gi, source: {image: a}}}}}, api: {ordinals: {start: 2}, replicas: 2, retentionPolicy: {whenDeleted: Delete}, template: {disks: {root: {size: 1Gi, source: {image: a}}}}}}`,
		},
		"a pool that goes, and one that comes": {
			old:     `pools: {web: {template: {disks: {root: {size: 2Gi, source: {empty: {}}}}}}}`,
			changed: `pools: {api: {template: {disks: {root: {size: 1Gi, source: {image: a}}}}}}`,
		},
		"a disk that goes, and one that comes": {
			old:     `pools: {web: {template: {disks: {root: {size: 2Gi, source: {empty: {}}}}}}}`,
			changed: `pools: {web: {template: {disks: {boot: {size: 1Gi, source: {image: a}}}}}}`,
		},
		"retention from Retain to Delete": {
			old:     `pools: {web: {replicas: 2, template: {}}}`,
			changed: `pools: {web: {replicas: 3, template: {}, retentionPolicy: {whenDeleted: Delete, whenScaled: Delete}}}`,
			want: []string{
				`spec.pools[web].retentionPolicy.whenDeleted: Invalid value: "Delete": must stay Retain, as the disks of machines 0 to 1 are made in another way than with Delete and would be left as they are: add a pool with Delete whose disks clone these, by source.clone.virtualMachine, and remove this pool when it runs`,
			},
		},
		"retention from Delete to Retain by leaving it out": {
			old:     `pools: {web: {template: {}, retentionPolicy: {whenDeleted: Delete}}}`,
			changed: `pools: {web: {template: {}}}`,
			want: []string{
				`spec.pools[web].retentionPolicy.whenDeleted: Invalid value: "Retain": must stay Delete, as the disks of machine 0 are made in another way than with Retain and would be left as they are: add a pool with Retain whose disks clone these, by source.clone.virtualMachine, and remove this pool when it runs`,
			},
		},
		"retention when scaled, which the controller carries out": {
			old:     `pools: {web: {template: {}, retentionPolicy: {whenDeleted: Retain}}}`,
			changed: `pools: {web: {template: {}, retentionPolicy: {whenDeleted: Retain, whenScaled: Delete}}}`,
		},
		"from a template to clones": {
			old:     `pools: {web: {template: {disks: {root: {size: 2Gi, source: {empty: {}}}}}}}`,
			changed: `pools: {web: {cloneSource: {virtualMachine: {name: golden}}}}`,
			want: []string{
				`spec.pools[web].cloneSource: Forbidden: cannot be set on a pool with a template, whose machine 0 would not become a clone: name the pool anew to make machines from it, and remove this one`,
			},
		},
		"from clones to a template": {
			old:     `pools: {web: {replicas: 2, cloneSource: {virtualMachine: {name: golden}}}}`,
			changed: `pools: {web: {replicas: 2, template: {}}}`,
			want: []string{
				`spec.pools[web].cloneSource: Forbidden: cannot be taken from a pool of clones, whose machines 0 to 1 would not be made from a template: name the pool anew to make machines from it, and remove this one`,
			},
		},
		"clones of another machine": {
			old:     `pools: {web: {replicas: 2, cloneSource: {virtualMachine: {name: golden}}}}`,
			changed: `pools: {web: {replicas: 2, cloneSource: {virtualMachine: {name: silver}}}}`,
			want: []string{
				`spec.pools[web].cloneSource: Forbidden: cannot change while the pool has machines, as machines 0 to 1 would stay clones of the old source: name the pool anew to make machines from it, and remove this one`,
			},
		},
		"an override of a kept machine": {
			old:     `pools: {web: {replicas: 3, template: {disks: {root: {size: 2Gi, source: {empty: {}}}}}, overrides: {"1": {disks: {root: {size: 8Gi}}}}}}`,
			changed: `pools: {web: {replicas: 3, template: {disks: {root: {size: 2Gi, source: {empty: {}}}}}, overrides: {"1": {disks: {root: {size: 4Gi}}}}}}`,
			want: []string{
				`spec.pools[web].overrides[1].disks[root].size: Forbidden: cannot change from 8Gi to 4Gi, as machines 0 to 2 have the disk: no disk can shrink: set it back, or ` + newKeyAdvice,
			},
		},
		"an override that goes": {
			old:     `pools: {web: {replicas: 3, template: {disks: {root: {size: 2Gi, source: {empty: {}}}}}, overrides: {"1": {disks: {root: {size: 8Gi}}}}}}`,
			changed: `pools: {web: {replicas: 3, template: {disks: {root: {size: 2Gi, source: {empty: {}}}}}}}`,
			want: []string{
				`spec.pools[web].template.disks[root].size: Forbidden: cannot change from 8Gi to 2Gi, as machines 0 to 2 have the disk: no disk can shrink: set it back, or ` + newKeyAdvice,
			},
		},
		"an override of a machine that goes": {
			old:     `pools: {web: {replicas: 3, template: {disks: {root: {size: 2Gi, source: {empty: {}}}}}, overrides: {"2": {disks: {root: {size: 8Gi}}}}}}`,
			changed: `pools: {web: {replicas: 2, template: {disks: {root: {size: 2Gi, source: {empty: {}}}}}, overrides: {"2": {disks: {root: {size: 1Gi}}}}}}`,
		},
		"a template that every machine overrides": {
			old:     `pools: {web: {replicas: 1, template: {disks: {root: {size: 2Gi, source: {empty: {}}}}}, overrides: {"0": {disks: {root: {size: 8Gi}}}}}}`,
			changed: `pools: {web: {replicas: 1, template: {disks: {root: {size: 1Gi, source: {empty: {}}}}}, overrides: {"0": {disks: {root: {size: 8Gi}}}}}}`,
		},
		"a template that every machine inherits through an override": {
			old:     `pools: {web: {replicas: 1, template: {disks: {root: {size: 2Gi, source: {empty: {}}}}}, overrides: {"0": {resources: {cpu: 2}}}}}`,
			changed: `pools: {web: {replicas: 1, template: {disks: {root: {size: 1Gi, source: {empty: {}}}}}, overrides: {"0": {resources: {cpu: 2}}}}}`,
			want: []string{
				`spec.pools[web].template.disks[root].size: Forbidden: cannot change from 2Gi to 1Gi, as machine 0 has the disk: no disk can shrink: set it back, or ` + newKeyAdvice,
			},
		},
		"what an override inherits is said once": {
			old:     `pools: {web: {replicas: 2, template: {disks: {root: {size: 2Gi, source: {empty: {}}}}}, overrides: {"0": {resources: {cpu: 2}}}}}`,
			changed: `pools: {web: {replicas: 2, template: {disks: {root: {size: 1Gi, source: {empty: {}}}}}, overrides: {"0": {resources: {cpu: 2}}}}}`,
			want: []string{
				`spec.pools[web].template.disks[root].size: Forbidden: cannot change from 2Gi to 1Gi, as machines 0 to 1 have the disk: no disk can shrink: set it back, or ` + newKeyAdvice,
			},
		},
		"an image that changes": {
			old:     `{images: {fedora: {importSource: {registry: {url: "docker://quay.io/f:41"}}}}, pools: {web: {replicas: 2, template: {disks: {root: {source: {image: fedora}}}}}}}`,
			changed: `{images: {fedora: {importSource: {registry: {url: "docker://quay.io/f:42"}}}}, pools: {web: {replicas: 2, template: {disks: {root: {source: {image: fedora}}}}}}}`,
			wantWarnings: []string{
				`spec.pools[web].template.disks[root].source.image: image "fedora" changes, and machines 0 to 1 keep their disks: new machines get the new image; delete a machine's disk and the machine to have both made anew`,
			},
		},
		"pools in their order": {
			old:     `pools: {b: {template: {disks: {d: {size: 2Gi, source: {empty: {}}}, c: {size: 2Gi, source: {empty: {}}}}}}, a: {template: {}, retentionPolicy: {whenDeleted: Delete}}}`,
			changed: `pools: {b: {template: {disks: {d: {size: 1Gi, source: {empty: {}}}, c: {size: 1Gi, source: {empty: {}}}}}}, a: {template: {}}}`,
			want: []string{
				`spec.pools[a].retentionPolicy.whenDeleted: Invalid value: "Retain": must stay Delete, as the disks of machine 0 are made in another way than with Retain and would be left as they are: add a pool with Retain whose disks clone these, by source.clone.virtualMachine, and remove this pool when it runs`,
				`spec.pools[b].template.disks[c].size: Forbidden: cannot change from 2Gi to 1Gi, as machine 0 has the disk: no disk can shrink: set it back, or ` + newKeyAdvice,
				`spec.pools[b].template.disks[d].size: Forbidden: cannot change from 2Gi to 1Gi, as machine 0 has the disk: no disk can shrink: set it back, or ` + newKeyAdvice,
			},
		},
	}
}

// TestLargeFleetUpdateIsCheap bounds the cost of an edit of 100,000 machines: it
// goes by overrides, not by machines.
func TestLargeFleetUpdateIsCheap(t *testing.T) {
	var overrides strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&overrides, "%q: {disks: {root: {size: %dGi}}}, ", strconv.Itoa(i), 10+i)
	}
	text := `pools: {web: {replicas: 100000, template: {disks: {root: {size: 1Gi, source: {empty: {}}}}}, overrides: {` + overrides.String() + `}}}`
	old := parse[v1alpha1.WukongSpec](t, text)
	changed := parse[v1alpha1.WukongSpec](t, strings.ReplaceAll(text, "1Gi,", "2Gi,"))
	if errs := validation.ValidateWukongUpdate(old, changed); len(errs) > 0 {
		t.Errorf("refused: %v", messages(errs))
	}
	allocs := testing.AllocsPerRun(1, func() { validation.ValidateWukongUpdate(old, changed) })
	if allocs > 30000 {
		t.Errorf("allocates %.0f times for 1000 overrides, want at most 30000", allocs)
	}
}

// TestLinksNoClient keeps the package pure: facts come in as values.
func TestLinksNoClient(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatalf("listing dependencies: %v", err)
	}
	for path := range strings.FieldsSeq(string(out)) {
		for _, denied := range []string{"k8s.io/client-go", "sigs.k8s.io/controller-runtime", "helm.sh/helm"} {
			if strings.HasPrefix(path, denied) {
				t.Errorf("links %s", path)
			}
		}
	}
}
