package validation_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"wukong.io/wukong/pkg/validation"
)

func TestValidateVirtualMachineUpdate(t *testing.T) {
	template := func(spec string) string {
		return `spec: {dataVolumeTemplates: [{metadata: {name: web-0-root}, spec: ` + spec + `}]}`
	}
	const again = `name another template and volume to have a new disk made, or delete the machine to have both made anew`
	const move = `name another template and volume to have a new disk made, or move the volume with updateVolumesStrategy: Migration`
	cases := map[string]updateCase{
		"nothing changes": {
			old:     template(`{source: {blank: {}}, storage: {resources: {requests: {storage: 1Gi}}}}`),
			changed: template(`{source: {blank: {}}, storage: {resources: {requests: {storage: 1024Mi}}}}`),
		},
		"defaults are filled in": {
			old:     template(`{source: {blank: {}}, storage: {resources: {requests: {storage: 1Gi}}}}`),
			changed: template(`{source: {blank: {}}, storage: {storageClassName: ceph, accessModes: [ReadWriteMany], volumeMode: Block, resources: {requests: {storage: 1Gi}}}}`),
		},
		"defaults are left out again": {
			old:     template(`{sourceRef: {kind: DataSource, name: a, namespace: prod}, storage: {storageClassName: ceph, accessModes: [ReadWriteMany], volumeMode: Block}}`),
			changed: template(`{sourceRef: {kind: DataSource, name: a}, storage: {}}`),
		},
		"by pvc in place of storage": {
			old:     template(`{source: {blank: {}}, storage: {storageClassName: ceph, resources: {requests: {storage: 1Gi}}}}`),
			changed: template(`{source: {blank: {}}, pvc: {storageClassName: ceph, resources: {requests: {storage: 1Gi}}}}`),
		},
		"another template": {
			old:     template(`{source: {blank: {}}, storage: {resources: {requests: {storage: 2Gi}}}}`),
			changed: `spec: {dataVolumeTemplates: [{metadata: {name: web-0-root2}, spec: {source: {upload: {}}, storage: {resources: {requests: {storage: 1Gi}}}}}]}`,
		},
		"another source": {
			old:     template(`{source: {http: {url: "https://a:hunter2@x.com"}}, storage: {}}`),
			changed: template(`{source: {blank: {}}, storage: {}}`),
			want: []string{
				`spec.dataVolumeTemplates[0].spec.source: Forbidden: cannot change, as DataVolume "web-0-root" exists and is filled once, so KubeVirt would ignore it: ` + again,
			},
		},
		"another reference": {
			old:     template(`{sourceRef: {kind: DataSource, name: a}, storage: {}}`),
			changed: template(`{sourceRef: {kind: DataSource, name: b}, storage: {}}`),
			want: []string{
				`spec.dataVolumeTemplates[0].spec.sourceRef: Forbidden: cannot change, as DataVolume "web-0-root" exists and is filled once, so KubeVirt would ignore it: ` + again,
			},
		},
		"a reference into another namespace": {
			old:     template(`{sourceRef: {kind: DataSource, name: a, namespace: x}, storage: {}}`),
			changed: template(`{sourceRef: {kind: DataSource, name: a, namespace: y}, storage: {}}`),
			want: []string{
				`spec.dataVolumeTemplates[0].spec.sourceRef: Forbidden: cannot change, as DataVolume "web-0-root" exists and is filled once, so KubeVirt would ignore it: ` + again,
			},
		},
		"a reference that goes": {
			old:     template(`{sourceRef: {kind: DataSource, name: a}, storage: {}}`),
			changed: template(`{storage: {}}`),
			want: []string{
				`spec.dataVolumeTemplates[0].spec.sourceRef: Forbidden: cannot change, as DataVolume "web-0-root" exists and is filled once, so KubeVirt would ignore it: ` + again,
			},
		},
		"a disk that shrinks": {
			old:     template(`{source: {blank: {}}, storage: {resources: {requests: {storage: 2Gi}}}}`),
			changed: template(`{source: {blank: {}}, storage: {resources: {requests: {storage: 1Gi}}}}`),
			want: []string{
				`spec.dataVolumeTemplates[0].spec.storage.resources.requests[storage]: Forbidden: cannot change from 2Gi to 1Gi, as claim "web-0-root" exists and KubeVirt would leave it as it is: no disk can shrink; set it back, or name another template and volume to have a new disk made`,
			},
		},
		"a disk that grows": {
			old:     template(`{source: {blank: {}}, pvc: {resources: {requests: {storage: 1Gi}}}}`),
			changed: template(`{source: {blank: {}}, pvc: {resources: {requests: {storage: 2Gi}}}}`),
			wantWarnings: []string{
				`spec.dataVolumeTemplates[0].spec.pvc.resources.requests[storage]: grows from 1Gi to 2Gi, and KubeVirt leaves the existing disk as it is: enlarge claim "web-0-root", by kubectl patch pvc, on a StorageClass with allowVolumeExpansion`,
			},
		},
		"another class and mode": {
			old:     template(`{source: {blank: {}}, pvc: {storageClassName: a, accessModes: [ReadWriteOnce], volumeMode: Block}}`),
			changed: template(`{source: {blank: {}}, pvc: {storageClassName: b, accessModes: [ReadWriteMany], volumeMode: Filesystem}}`),
			want: []string{
				`spec.dataVolumeTemplates[0].spec.pvc.storageClassName: Forbidden: cannot change from "a" to "b", as claim "web-0-root" exists and KubeVirt would leave it as it is: ` + move,
				`spec.dataVolumeTemplates[0].spec.pvc.accessModes: Forbidden: cannot change from ReadWriteOnce to ReadWriteMany, as claim "web-0-root" exists and KubeVirt would leave it as it is: ` + move,
				`spec.dataVolumeTemplates[0].spec.pvc.volumeMode: Forbidden: cannot change from Block to Filesystem, as claim "web-0-root" exists and KubeVirt would leave it as it is: ` + move,
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			old, changed := parse[kubevirtv1.VirtualMachine](t, tc.old), parse[kubevirtv1.VirtualMachine](t, tc.changed)
			compare(t, tc.want, validation.ValidateVirtualMachineUpdate(old, changed))
			if diff := cmp.Diff(tc.wantWarnings, validation.VirtualMachineUpdateWarnings(old, changed)); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
	compare(t, nil, validation.ValidateVirtualMachineUpdate(nil, &kubevirtv1.VirtualMachine{}))
	compare(t, nil, validation.ValidateVirtualMachineUpdate(&kubevirtv1.VirtualMachine{}, nil))
}
