package validation_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/validation/field"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
	"sigs.k8s.io/yaml"

	"wukong.io/wukong/pkg/apis/wukong/v1alpha1"
	"wukong.io/wukong/pkg/validation"
)

// parse reads YAML into an object of the API.
func parse[T any](t *testing.T, text string) *T {
	t.Helper()
	object := new(T)
	if err := yaml.UnmarshalStrict([]byte(strings.TrimSpace(text)), object); err != nil {
		t.Fatalf("reading %s: %v", text, err)
	}
	return object
}

func compare(t *testing.T, want []string, errs field.ErrorList) {
	t.Helper()
	got := messages(errs)
	if len(got) == 0 && len(want) == 0 {
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
}

func openPolicy(t *testing.T) *validation.Policy {
	t.Helper()
	policy, err := validation.ParsePolicy(validation.PolicySpec{Registries: []string{"registry.example.com"}, S3: []string{"https://s3.example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	return policy
}

func TestValidateCloneJob(t *testing.T) {
	cases := map[string]struct {
		job  string
		want []string
	}{
		"of a machine": {job: `{metadata: {namespace: prod}, spec: {source: {virtualMachine: {name: web-0}, mode: Online}, targets: {name: web-1}}}`},
		"of a fleet": {job: `{metadata: {namespace: prod}, spec: {source: {snapshot: {name: shop-desk-1}, mode: Online}, retentionPolicy: Delete,
			targets: {name: shop-desk-0, labels: {wukong.io/fleet: shop, wukong.io/pool: desk, wukong.io/ordinal: "0", wukong.io/vm: shop-desk-0}}}}`},
		"from another namespace under the same name": {job: `{metadata: {namespace: prod}, spec: {source: {virtualMachine: {namespace: golden, name: web-0}}, targets: {name: web-0}}}`},
		"numbered past the source":                   {job: `{metadata: {namespace: prod}, spec: {source: {virtualMachine: {name: web-0}}, targets: {namePrefix: web, count: 3, start: 1}}}`},
		"a prefix of a numbered name":                {job: `{metadata: {namespace: prod}, spec: {source: {virtualMachine: {name: web-00}}, targets: {namePrefix: web, count: 3}}}`},
		"without a source": {job: `{spec: {source: {}, targets: {name: a}}}`, want: []string{
			`spec.source: Required value: must have exactly one of virtualMachine or snapshot`,
		}},
		"with two sources": {job: `{spec: {source: {virtualMachine: {name: a}, snapshot: {name: b}}, targets: {name: c}}}`, want: []string{
			`spec.source: Invalid value: "virtualMachine, snapshot": must have exactly one of virtualMachine or snapshot: take the others out`,
		}},
		"of a token": {job: `{spec: {source: {virtualMachine: {name: "@@name@@"}}, targets: {name: c}}}`, want: []string{
			`spec.source.virtualMachine.name: Invalid value: "@@name@@": must not hold tokens such as @@name@@: they are replaced in a fleet's pools alone, so write the value itself`,
		}},
		"of a bad snapshot": {job: `{spec: {source: {snapshot: {name: A, namespace: B}}, targets: {name: c}}}`, want: []string{
			`spec.source.snapshot.name: Invalid value: "A": must be a DNS name: at most 253 lower-case letters, digits, '-' and '.', each part beginning and ending with a letter or digit`,
			`spec.source.snapshot.namespace: Invalid value: "B": must be a DNS label: at most 63 lower-case letters, digits and '-', beginning and ending with a letter or digit`,
		}},
		"onto itself by namespace": {job: `{metadata: {namespace: prod}, spec: {source: {virtualMachine: {namespace: golden, name: a}}, targets: {namespace: golden, name: a}}}`, want: []string{
			`spec.targets.name: Invalid value: "a": must not be the machine that is cloned: choose another name`,
		}},
		"with a label that is not an identity": {job: `{spec: {source: {virtualMachine: {name: a}}, targets: {name: b, labels: {wukong.io/admin: "yes"}}}}`, want: []string{
			`spec.targets.labels[wukong.io/admin]: Forbidden: must not be one of Wukong's own labels, which say what belongs to a fleet: take it out`,
		}},
		"sharing Secrets out of another namespace": {job: `{metadata: {namespace: prod}, spec: {source: {virtualMachine: {namespace: golden, name: a}, identity: {cloudInit: Share}}, targets: {name: b}}}`, want: []string{
			`spec.source.identity.cloudInit: Invalid value: "Share": must be Copy for machines in another namespace, "prod": a machine reads Secrets of its own namespace alone`,
		}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			compare(t, tc.want, validation.ValidateCloneJob(parse[v1alpha1.CloneJob](t, tc.job)))
		})
	}
}

func TestValidateExportJob(t *testing.T) {
	cases := map[string]struct {
		job    string
		closed bool
		want   []string
	}{
		"of a machine":  {job: `{spec: {source: {virtualMachine: web-0}, target: {registry: {image: "registry.example.com/vms/web:v1", secretName: push}}}}`},
		"of a snapshot": {job: `{spec: {source: {snapshot: before}, target: {s3: {endpoint: "https://s3.example.com", bucket: vms, prefix: web/}}}}`},
		"of a claim":    {job: `{spec: {source: {pvc: data}, target: {pvc: {claimName: out, path: a/b/}}}}`, closed: true},
		"on a schedule": {job: `{spec: {source: {virtualMachine: web-0}, target: {registry: {image: registry.example.com/web}, schedule: "0 3 * * 1-5", timeZone: Asia/Shanghai, serviceAccountName: backup}}}`},
		"of nothing": {job: `{spec: {source: {}, target: {pvc: {claimName: out}}}}`, want: []string{
			`spec.source: Required value: must have exactly one of virtualMachine, snapshot or pvc`,
		}},
		"of too much": {job: `{spec: {source: {virtualMachine: a, pvc: b}, target: {pvc: {claimName: out}}}}`, want: []string{
			`spec.source: Invalid value: "virtualMachine, pvc": must have exactly one of virtualMachine, snapshot or pvc: take the others out`,
		}},
		"onto itself": {job: `{spec: {source: {pvc: data}, target: {pvc: {claimName: data}}}}`, want: []string{
			`spec.target.pvc.claimName: Invalid value: "data": must not be the claim that is exported: export to another claim`,
		}},
		"to where nothing is allowed": {job: `{spec: {source: {pvc: data}, target: {registry: {image: registry.example.com/web}}}}`, closed: true, want: []string{
			`spec.target.registry.image: Forbidden: image "registry.example.com/web" is not allowed: no destination is, until the cluster's administrator lists it in policy.destinations.registries of the wukong chart's values`,
		}},
		"to a bad image once": {job: `{spec: {source: {pvc: data}, target: {registry: {image: "web:v1"}}}}`, closed: true, want: []string{
			`spec.target.registry.image: Invalid value: "web:v1": must name its registry, such as registry.example.com/vms/web:v1`,
		}},
		"with a token": {job: `{spec: {source: {pvc: data}, target: {registry: {image: "registry.example.com/@@name@@"}}}}`, want: []string{
			`spec.target.registry.image: Invalid value: "registry.example.com/@@name@@": must not hold tokens such as @@name@@: they are replaced in a fleet's pools alone, so write the value itself`,
		}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			policy := openPolicy(t)
			if tc.closed {
				policy = nil
			}
			compare(t, tc.want, validation.ValidateExportJob(parse[v1alpha1.ExportJob](t, tc.job), policy))
		})
	}
}

func TestValidateImportJob(t *testing.T) {
	digest := strings.Repeat("a", 64)
	const target = `target: {name: fedora, size: 10Gi}`
	cases := map[string]struct {
		job  string
		want []string
	}{
		"from a registry": {job: `{spec: {source: {registry: {url: "docker://quay.io/containerdisks/fedora:41", pullMethod: pod, secretName: pull, architecture: amd64}}, ` + target + `}}`},
		"from HTTP":       {job: `{spec: {source: {http: {url: "https://example.com/a.qcow2", checksum: "sha256:` + digest + `", extraHeaders: ["Accept: a/b"], secretExtraHeaders: [auth]}}, rawSHA256: ` + digest + `, ` + target + `}}`},
		"from S3":         {job: `{spec: {source: {s3: {url: "s3://s3.amazonaws.com/bucket/key", secretName: s3}}, ` + target + `}}`},
		"from GCS":        {job: `{spec: {source: {gcs: {url: "gs://bucket/key"}}, ` + target + `}}`},
		"from oVirt":      {job: `{spec: {source: {imageio: {url: "https://engine.example.com/api", diskId: d1, secretName: s}}, ` + target + `}}`},
		"from vSphere":    {job: `{spec: {source: {vddk: {url: "https://vcenter.example.com/sdk", uuid: u, backingFile: "[ds] a/a.vmdk", thumbprint: "AA:BB", secretName: s, initImageURL: "quay.io/vddk/init:8"}}, ` + target + `}}`},
		"from an upload":  {job: `{spec: {source: {upload: {}}, target: {name: a, size: 1Mi, accessModes: [ReadWriteOnce, ReadOnlyMany], volumeMode: Block, storageClassName: ceph}}}`},
		"from a claim":    {job: `{metadata: {namespace: prod}, spec: {source: {pvc: {namespace: golden, name: fedora}}, ` + target + `}}`},
		"from nowhere": {job: `{spec: {source: {}, ` + target + `}}`, want: []string{
			`spec.source: Required value: must have exactly one of registry, http, s3, gcs, imageio, vddk, upload or pvc`,
		}},
		"from two places": {job: `{spec: {source: {upload: {}, pvc: {name: a}}, ` + target + `}}`, want: []string{
			`spec.source: Invalid value: "upload, pvc": must have exactly one of registry, http, s3, gcs, imageio, vddk, upload or pvc: take the others out`,
		}},
		"onto itself": {job: `{metadata: {namespace: prod}, spec: {source: {pvc: {name: fedora, namespace: prod}}, ` + target + `}}`, want: []string{
			`spec.target.name: Invalid value: "fedora": must not be the claim that is imported: choose another name`,
		}},
		"from a private host": {job: `{spec: {source: {http: {url: "https://10.0.0.1/a"}}, ` + target + `}}`, want: []string{
			`spec.source.http.url: Forbidden: host "10.0.0.1" is a private address, and imports come from the public Internet alone: take another source, or ask the cluster's administrator to list it in policy.imports of the wukong chart's values`,
		}},
		"without encryption": {job: `{spec: {source: {http: {url: "http://example.com/a"}}, ` + target + `}}`, want: []string{
			`spec.source.http.url: Forbidden: host "example.com" is asked without encryption, so anybody on the way could change the disk: write https://, or ask the cluster's administrator to list it in policy.imports of the wukong chart's values`,
		}},
		"with a password in the URL": {job: `{spec: {source: {http: {url: "https://ann:hunter2@example.com/a"}}, ` + target + `}}`, want: []string{
			`spec.source.http.url: Invalid value: "https://…@example.com/a": must not hold a user or password before the host: name a Secret instead`,
		}},
		"with a secret in the query": {job: `{spec: {source: {http: {url: "https://127.1/a?sig=abc@hunter2"}}, ` + target + `}}`, want: []string{
			`spec.source.http.url: Invalid value: "https://…": must hold an IPv4 address as four decimal numbers without leading zeros, a.b.c.d: octal, hexadecimal and short forms are read differently by different programs`,
		}},
		"with a password that holds a slash": {job: `{spec: {source: {s3: {url: "s3://key:hun/ter2@s3.amazonaws.com/a?x=hunter2"}}, ` + target + `}}`, want: []string{
			`spec.source.s3.url: Invalid value: "s3://…@s3.amazonaws.com/a?…": must hold a port from 1 to 65535, without leading zeros`,
		}},
		"with a secret in a header": {job: `{spec: {source: {http: {url: "https://example.com/a", extraHeaders: ["authorization: Bearer hunter2", "Host: 127.0.0.1", "X: a\r\nY: b", "none"]}}, ` + target + `}}`, want: []string{
			`spec.source.http.extraHeaders[0]: Forbidden: must not be authorization, as extraHeaders are stored in the clear: put it in a Secret and name that in secretExtraHeaders`,
			`spec.source.http.extraHeaders[1]: Forbidden: must not be Host, which the importer sets itself: take it out`,
			`spec.source.http.extraHeaders[2]: Invalid value: "…": must be a header on one line, as Name: value, of at most 1024 characters`,
			`spec.source.http.extraHeaders[3]: Invalid value: "…": must be a header on one line, as Name: value, of at most 1024 characters`,
		}},
		"with bad digests": {job: `{spec: {source: {http: {url: "https://example.com/a", checksum: "sha256:abc"}}, rawSHA256: ABC, ` + target + `}}`, want: []string{
			`spec.source.http.checksum: Invalid value: "sha256:abc": must be md5:, sha1:, sha256: or sha512: and as many lower-case hexadecimal digits as the algorithm has`,
			`spec.rawSHA256: Invalid value: "ABC": must be 64 lower-case hexadecimal digits`,
		}},
		"by the node with a Secret": {job: `{spec: {source: {registry: {url: "docker://quay.io/a/b", pullMethod: node, secretName: pull}}, ` + target + `}}`, want: []string{
			`spec.source.registry.pullMethod: Invalid value: "node": must be pod with secretName or certConfigMap: the node pulls with credentials and certificates of its own, and CDI ignores these`,
		}},
		"from an incomplete vSphere": {job: `{spec: {source: {vddk: {initImageURL: "localhost/vddk"}}, ` + target + `}}`, want: []string{
			`spec.source.vddk.url: Required value: must be a URL: must begin with https:// or http://`,
			`spec.source.vddk.secretName: Required value: must name a Secret with keys accessKeyId and secretKey`,
			`spec.source.vddk.uuid: Required value: must be the machine's uuid`,
			`spec.source.vddk.backingFile: Required value: must be the path of the disk's file`,
			`spec.source.vddk.thumbprint: Required value: must be the thumbprint of the host's certificate`,
			`spec.source.vddk.initImageURL: Forbidden: host "localhost" is this host itself, and imports come from the public Internet alone: take another source, or ask the cluster's administrator to list it in policy.imports of the wukong chart's values`,
		}},
		"into nothing": {job: `{spec: {source: {upload: {}}, target: {name: ""}}}`, want: []string{
			`spec.target.name: Required value: must name the claim to make`,
			`spec.target.size: Required value: must be the size of the disk, such as 10Gi`,
		}},
		"into a bad claim": {job: `{spec: {source: {upload: {}}, onFailure: Panic, target: {name: A, size: 1k, storageClassName: C, accessModes: [RWO, ReadWriteOncePod, ReadWriteOncePod], volumeMode: block}}}`, want: []string{
			`spec.target.name: Invalid value: "A": must be a DNS label: at most 63 lower-case letters, digits and '-', beginning and ending with a letter or digit`,
			`spec.target.size: Invalid value: "1k": must be at least 1Mi`,
			`spec.target.storageClassName: Invalid value: "C": must be a DNS name: at most 253 lower-case letters, digits, '-' and '.', each part beginning and ending with a letter or digit`,
			`spec.target.accessModes[0]: Invalid value: "RWO": must be ReadWriteOnce, ReadOnlyMany, ReadWriteMany or ReadWriteOncePod`,
			`spec.target.accessModes[2]: Duplicate value: "ReadWriteOncePod": must be written once: take one of them out`,
			`spec.target.accessModes: Invalid value: "RWO, ReadWriteOncePod, ReadWriteOncePod": must have ReadWriteOncePod alone or not at all, as Kubernetes demands`,
			`spec.target.volumeMode: Invalid value: "block": must be Block or Filesystem`,
			`spec.onFailure: Invalid value: "Panic": must be Delete or Keep`,
		}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			compare(t, tc.want, validation.ValidateImportJob(parse[v1alpha1.ImportJob](t, tc.job), nil))
		})
	}
}

func TestSpecsAreImmutable(t *testing.T) {
	want := []string{`spec: Forbidden: is immutable, as the job may have begun: create another job with the new spec`}
	clone := parse[v1alpha1.CloneJob](t, `{spec: {targets: {name: a}}}`)
	otherClone := parse[v1alpha1.CloneJob](t, `{spec: {targets: {name: b}}}`)
	compare(t, nil, validation.ValidateCloneJobUpdate(clone, clone.DeepCopy()))
	compare(t, want, validation.ValidateCloneJobUpdate(clone, otherClone))
	export, otherExport := &v1alpha1.ExportJob{}, &v1alpha1.ExportJob{}
	otherExport.Spec.Target.Disks = []string{"root"}
	compare(t, nil, validation.ValidateExportJobUpdate(export, export.DeepCopy()))
	compare(t, want, validation.ValidateExportJobUpdate(export, otherExport))
	imported := parse[v1alpha1.ImportJob](t, `{spec: {target: {name: a, size: 1024Mi}}}`)
	same := parse[v1alpha1.ImportJob](t, `{spec: {target: {name: a, size: 1Gi}}}`)
	larger := parse[v1alpha1.ImportJob](t, `{spec: {target: {name: a, size: 2Gi}}}`)
	compare(t, nil, validation.ValidateImportJobUpdate(imported, same))
	compare(t, want, validation.ValidateImportJobUpdate(imported, larger))
	rollback := &v1alpha1.RollbackJob{}
	other := rollback.DeepCopy()
	other.Spec.Snapshot = "s"
	other.Labels = map[string]string{"a": "b"}
	compare(t, want, validation.ValidateRollbackJobUpdate(rollback, other))
	other.Spec.Snapshot = ""
	compare(t, nil, validation.ValidateRollbackJobUpdate(rollback, other))
}

func TestValidateRollbackJob(t *testing.T) {
	compare(t, nil, validation.ValidateRollbackJob(parse[v1alpha1.RollbackJob](t, `{spec: {virtualMachine: web-0, snapshot: v1.2, start: Never, deadlineSeconds: 60, ttlSecondsAfterFinished: 0}}`)))
	compare(t, []string{
		`spec.virtualMachine: Required value: must name the machine to take back`,
		`spec.snapshot: Required value: must name the VirtualMachineSnapshot to go back to`,
		`spec.start: Invalid value: "Yes": must be AsBefore or Never`,
		`spec.deadlineSeconds: Invalid value: 1: must be from 60 to 2592000`,
		`spec.ttlSecondsAfterFinished: Invalid value: -1: must be from 0 to 31536000`,
	}, validation.ValidateRollbackJob(parse[v1alpha1.RollbackJob](t, `{spec: {virtualMachine: "", snapshot: "", start: "Yes", deadlineSeconds: 1, ttlSecondsAfterFinished: -1}}`)))
}

func TestValidateSnapshotPolicy(t *testing.T) {
	const mustBeCron = `must be a cron expression of five fields, minute hour day month weekday, such as "15 2 * * *"`
	cases := map[string]struct {
		spec string
		want []string
	}{
		"nightly":            {spec: `{schedule: "15 2 * * *", timeZone: Asia/Shanghai, retention: {maxCount: 7}, consistency: Required, concurrencyPolicy: Forbid, whenDeleted: Retain}`},
		"names and ranges":   {spec: `{schedule: "*/15 8-18/2 1,15 JAN-JUN MON-FRI"}`},
		"selected":           {spec: `{schedule: "0 * * * *", selector: {matchLabels: {app: web}}, virtualMachines: [a, b]}`},
		"staggered":          {spec: `{schedule: "0 * * * *", staggerWindowSeconds: 3600}`},
		"long retention":     {spec: `{schedule: "0 2 * * *", retention: {maxAge: 8760h, keepDaily: 7, keepWeekly: 4, keepMonthly: 12, maxCount: 24, maxFailed: 0}}`},
		"keeping one":        {spec: `{schedule: "0 2 * * *", retention: {keepLast: 1, keepDaily: 0}}`},
		"on a leap day":      {spec: `{schedule: "0 2 29 2 *"}`},
		"without a schedule": {spec: `{}`, want: []string{`spec.schedule: Invalid value: "": ` + mustBeCron}},
		"with seconds":       {spec: `{schedule: "0 15 2 * * *"}`, want: []string{`spec.schedule: Invalid value: "0 15 2 * * *": ` + mustBeCron + `: found 6 fields`}},
		"with one field":     {spec: `{schedule: daily}`, want: []string{`spec.schedule: Invalid value: "daily": ` + mustBeCron + `: found 1 field`}},
		"with a descriptor":  {spec: `{schedule: "@hourly"}`, want: []string{`spec.schedule: Invalid value: "@hourly": ` + mustBeCron + `: descriptors such as @daily are not read`}},
		"with a zone inside": {spec: `{schedule: "CRON_TZ=Asia/Shanghai 15 2 * * *"}`, want: []string{`spec.schedule: Invalid value: "CRON_TZ=Asia/Shanghai 15 2 * * *": ` + mustBeCron + `: set the time zone in timeZone`}},
		"at minute 61":       {spec: `{schedule: "61 2 * * *"}`, want: []string{`spec.schedule: Invalid value: "61 2 * * *": ` + mustBeCron + `: end of range (61) above maximum (59): 61`}},
		"on 31 June":         {spec: `{schedule: "0 2 31 6 *"}`, want: []string{`spec.schedule: Invalid value: "0 2 31 6 *": must come to pass: it names a day that no year has`}},
		"in a zone nobody has": {spec: `{schedule: "0 2 * * *", timeZone: Asia/Atlantis}`, want: []string{
			`spec.timeZone: Invalid value: "Asia/Atlantis": must be a time zone by its IANA name, such as Asia/Shanghai or UTC`,
		}},
		"in the host's zone": {spec: `{schedule: "0 2 * * *", timeZone: Local}`, want: []string{
			`spec.timeZone: Invalid value: "Local": must be a time zone by its IANA name, such as Asia/Shanghai or UTC: Local is another zone on every host`,
		}},
		"in an offset": {spec: `{schedule: "0 2 * * *", timeZone: "UTC+08:00"}`, want: []string{
			`spec.timeZone: Invalid value: "UTC+08:00": must be a time zone by its IANA name, such as Asia/Shanghai or UTC`,
		}},
		"with choices nobody offers": {spec: `{schedule: "0 2 * * *", consistency: Best, concurrencyPolicy: Replace, whenDeleted: Keep}`, want: []string{
			`spec.concurrencyPolicy: Invalid value: "Replace": must be Forbid or Allow`,
			`spec.consistency: Invalid value: "Best": must be Required, Preferred or CrashConsistent`,
			`spec.whenDeleted: Invalid value: "Keep": must be Retain or Delete`,
		}},
		"staggered past the next run": {spec: `{schedule: "*/30 * * * *", staggerWindowSeconds: 3600}`, want: []string{
			`spec.staggerWindowSeconds: Invalid value: 3600: must be at most 1800, the shortest time between two runs of the schedule, or the next run begins before the last machine's turn`,
		}},
		"with bounds passed": {spec: `{schedule: "0 2 * * *", staggerWindowSeconds: 86401, startingDeadlineSeconds: -1, retention: {maxCount: 0, maxFailed: 101, maxAge: 0s, keepLast: -1}}`, want: []string{
			`spec.startingDeadlineSeconds: Invalid value: -1: must be from 0 to 604800`,
			`spec.staggerWindowSeconds: Invalid value: 86401: must be from 0 to 86400`,
			`spec.retention.maxCount: Invalid value: 0: must be from 1 to 1000`,
			`spec.retention.maxFailed: Invalid value: 101: must be from 0 to 100`,
			`spec.retention.maxAge: Invalid value: "0s": must be a duration above zero, such as 720h`,
			`spec.retention.keepLast: Invalid value: -1: must be from 0 to 1000`,
		}},
		"keeping nothing": {spec: `{schedule: "0 2 * * *", retention: {keepLast: 0, keepDaily: 0}}`, want: []string{
			`spec.retention: Invalid value: "keepLast, keepDaily: 0": must keep something: all keep rules are 0, so every snapshot but the last would be deleted; raise one, or leave them out`,
		}},
		"keeping more than the most": {spec: `{schedule: "0 2 * * *", retention: {maxCount: 5, keepDaily: 7}}`, want: []string{
			`spec.retention.keepDaily: Invalid value: 7: must be at most maxCount, 5, past which snapshots are deleted whatever keeps them: raise maxCount or lower keepDaily`,
		}},
		"keeping longer than the longest": {spec: `{schedule: "0 2 * * *", retention: {maxAge: 720h, keepMonthly: 12}}`, want: []string{
			`spec.retention.keepMonthly: Invalid value: 12: must not reach further back than maxAge, 720h0m0s, past which snapshots are deleted whatever keeps them: raise maxAge to 7392h or more, or lower keepMonthly`,
		}},
		"of bad machines": {spec: `{schedule: "0 2 * * *", selector: {matchExpressions: [{key: a, operator: Near}]}, virtualMachines: [A, b, c, b, ""]}`, want: []string{
			`spec.selector: Invalid value: "\"Near\" is not a valid label selector operator": must be a label selector`,
			`spec.virtualMachines[0]: Invalid value: "A": must be a DNS label: at most 63 lower-case letters, digits and '-', beginning and ending with a letter or digit`,
			`spec.virtualMachines[3]: Duplicate value: "b": must be written once: take one of them out`,
			`spec.virtualMachines[4]: Required value: must name a machine`,
		}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			policy := parse[v1alpha1.SnapshotPolicy](t, `{spec: `+tc.spec+`}`)
			compare(t, tc.want, validation.ValidateSnapshotPolicy(policy))
			compare(t, tc.want, validation.ValidateSnapshotPolicyUpdate(&v1alpha1.SnapshotPolicy{}, policy))
		})
	}
}

func TestValidateDataVolumeSource(t *testing.T) {
	const suffix = `, and imports come from the public Internet alone: take another source, or ask the cluster's administrator to list it in policy.imports of the wukong chart's values`
	cases := map[string]struct {
		source *cdiv1.DataVolumeSource
		want   []string
	}{
		"none":       {},
		"blank":      {source: &cdiv1.DataVolumeSource{Blank: &cdiv1.DataVolumeBlankImage{}}},
		"public":     {source: &cdiv1.DataVolumeSource{HTTP: &cdiv1.DataVolumeSourceHTTP{URL: "https://example.com/a"}}},
		"http":       {source: &cdiv1.DataVolumeSource{HTTP: &cdiv1.DataVolumeSourceHTTP{URL: "https://169.254.169.254/a"}}, want: []string{`spec.source.http.url: Forbidden: host "169.254.169.254" is a link-local address, where clouds serve their metadata` + suffix}},
		"s3":         {source: &cdiv1.DataVolumeSource{S3: &cdiv1.DataVolumeSourceS3{URL: "s3://minio/a"}}, want: []string{`spec.source.s3.url: Forbidden: host "minio" is a name without a domain, which resolves within the cluster` + suffix}},
		"gcs":        {source: &cdiv1.DataVolumeSource{GCS: &cdiv1.DataVolumeSourceGCS{URL: "https://[::1]/a"}}, want: []string{`spec.source.gcs.url: Forbidden: host "::1" is a loopback address` + suffix}},
		"registry":   {source: &cdiv1.DataVolumeSource{Registry: &cdiv1.DataVolumeSourceRegistry{URL: new("docker://registry.infra.svc/a")}}, want: []string{`spec.source.registry.url: Forbidden: host "registry.infra.svc" is a Service of the cluster` + suffix}},
		"archive":    {source: &cdiv1.DataVolumeSource{Registry: &cdiv1.DataVolumeSourceRegistry{URL: new("oci-archive:///a.tar")}}, want: []string{`spec.source.registry.url: Invalid value: "oci-archive:///a.tar": must not begin with oci-archive://, which is a file in the importer's own Pod: write docker://`}},
		"by stream":  {source: &cdiv1.DataVolumeSource{Registry: &cdiv1.DataVolumeSourceRegistry{ImageStream: new("fedora")}}},
		"imageio":    {source: &cdiv1.DataVolumeSource{Imageio: &cdiv1.DataVolumeSourceImageIO{URL: "https://nas.local/a"}}, want: []string{`spec.source.imageio.url: Forbidden: host "nas.local" is a name of the local network` + suffix}},
		"vddk":       {source: &cdiv1.DataVolumeSource{VDDK: &cdiv1.DataVolumeSourceVDDK{URL: "https://files.corp/sdk"}}, want: []string{`spec.source.vddk.url: Forbidden: host "files.corp" is under no public top-level domain, so it resolves within the cluster or the company` + suffix}},
		"vddk image": {source: &cdiv1.DataVolumeSource{VDDK: &cdiv1.DataVolumeSourceVDDK{URL: "https://vcenter.example.com/sdk", InitImageURL: "10.0.0.1.nip.io/vddk"}}, want: []string{`spec.source.vddk.initImageURL: Forbidden: host "10.0.0.1.nip.io" is under a domain that resolves to any address` + suffix}},
		"without":    {source: &cdiv1.DataVolumeSource{HTTP: &cdiv1.DataVolumeSourceHTTP{}}, want: []string{`spec.source.http.url: Required value: must be a URL: must begin with https:// or http://`}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			compare(t, tc.want, validation.ValidateDataVolumeSource(tc.source, nil, field.NewPath("spec", "source")))
		})
	}
}

func TestSecretNames(t *testing.T) {
	source := parse[v1alpha1.ImportSource](t, `{http: {url: x, secretName: b, secretExtraHeaders: [c, a, b]}, vddk: {secretName: z}, s3: {secretName: x}, gcs: {}, imageio: {secretName: w}, registry: {secretName: v}}`)
	if diff := cmp.Diff([]string{"a", "b", "c", "v", "w", "x", "z"}, validation.ImportSecretNames(source)); diff != "" {
		t.Errorf("ImportSecretNames (-want +got):\n%s", diff)
	}
	target := parse[v1alpha1.ExportTarget](t, `{registry: {image: x, secretName: b}, s3: {secretName: a}}`)
	if diff := cmp.Diff([]string{"a", "b"}, validation.ExportSecretNames(target)); diff != "" {
		t.Errorf("ExportSecretNames (-want +got):\n%s", diff)
	}
}

func BenchmarkParseRequest(b *testing.B) {
	vm := machine()
	for name, value := range map[string]string{
		"short": "web-copy",
		"json":  `{"source":{"mode":"Online","identity":{"guest":"Regenerate"}},"targets":{"namePrefix":"copy","count":20,"start":1,"labels":{"app":"web","tier":"front"}},"deadlineSeconds":600}`,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, errs := validation.ParseRequest("clone", value, vm); len(errs) > 0 {
					b.Fatal(errs)
				}
			}
		})
	}
}

// TestLargestRequestIsCheap bounds the cost of text made to be expensive, by what
// does not depend on how busy the machine is.
func TestLargestRequestIsCheap(t *testing.T) {
	fill := func(head, part, tail string) string {
		return head + strings.Repeat(part, (validation.RequestMax-len(head)-len(tail))/len(part)) + tail
	}
	vm := machine()
	for name, value := range map[string]string{
		"nesting":    fill("{", `"a":{`, ""),
		"lists":      fill(`{"a":`, "[", ""),
		"keys":       fill(`{"z":1`, `,"a":1`, "}"),
		"labels":     fill(`{"targets":{"labels":{"z":"1"`, `,"a b":"c"`, "}}}"),
		"disks":      fill(`{"target":{"pvc":{"claimName":"a"},"disks":["z"`, `,"A"`, "]}}"),
		"numbers":    fill(`{"deadlineSeconds":`, "9", "}"),
		"escapes":    fill(`{"snapshot":"`, `\u0061`, `"}`),
		"whitespace": fill("{", " ", "}"),
	} {
		t.Run(name, func(t *testing.T) {
			for _, verb := range v1alpha1.RequestVerbs() {
				var errs field.ErrorList
				allocs := testing.AllocsPerRun(1, func() { _, errs = validation.ParseRequest(verb, value, vm) })
				if allocs > 60000 {
					t.Errorf("%s allocates %.0f times, want at most 60000", verb, allocs)
				}
				if len(errs) == 0 || len(errs) > 21 {
					t.Errorf("%s: %d errors, want from 1 to 21", verb, len(errs))
				}
			}
		})
	}
}
