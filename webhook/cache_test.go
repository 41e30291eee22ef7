package webhook

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubevirtv1 "kubevirt.io/api/core/v1"
)

func TestATrimmedMachineKeepsItsAddresses(t *testing.T) {
	vm := &kubevirtv1.VirtualMachine{ObjectMeta: metav1.ObjectMeta{
		Name: "web-0", Namespace: "shop", Labels: map[string]string{"tier": "a"}, Annotations: map[string]string{"note": "long"},
	}}
	vm.Spec.Template = &kubevirtv1.VirtualMachineInstanceTemplateSpec{}
	vm.Spec.Template.Spec.Domain.Devices.Interfaces = []kubevirtv1.Interface{
		{Name: "default", MacAddress: "02-00-00-00-00-0A"}, {Name: "none"}, {Name: "lan", MacAddress: "02:00:00:00:00:0b"},
	}
	want := []string{"02:00:00:00:00:0a", "02:00:00:00:00:0b"}
	var object any = vm
	for range 2 { // informers may trim what is trimmed
		trimmed, err := trim(object)
		if err != nil {
			t.Fatal(err)
		}
		machine, ok := trimmed.(*kubevirtv1.VirtualMachine)
		if !ok {
			t.Fatalf("got a %T", trimmed)
		}
		if diff := cmp.Diff(want, macsOf(machine)); diff != "" {
			t.Errorf("MAC addresses differ (-want +got):\n%s", diff)
		}
		if machine.Name != "web-0" || machine.Labels != nil || machine.Spec.Template != nil {
			t.Errorf("got %v, want name and addresses alone", machine)
		}
		object = trimmed
	}
}
