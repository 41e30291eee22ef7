package admission

import (
	"context"
	"slices"
	"strings"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clonev1beta1 "kubevirt.io/api/clone/v1beta1"
	kubevirtv1 "kubevirt.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// ears hear the API server's warnings.
type ears struct {
	mu   sync.Mutex
	said []string
}

// HandleWarningHeader implements rest.WarningHandler.
func (e *ears) HandleWarningHeader(code int, _, text string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if code == 299 {
		e.said = append(e.said, text)
	}
}

func (e *ears) all() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.said)
}

// keysOfOurs lists a machine's annotations of Wukong.
func keysOfOurs(vm *kubevirtv1.VirtualMachine) (keys []string) {
	for key := range vm.Annotations {
		if strings.HasPrefix(key, "wukong.io/") {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

func machineRef(name string) *corev1.TypedLocalObjectReference {
	group := "kubevirt.io"
	return &corev1.TypedLocalObjectReference{APIGroup: &group, Kind: "VirtualMachine", Name: name}
}

func cloneClient(context.Context) client.Client {
	GinkgoHelper()
	scheme := runtime.NewScheme()
	Expect(clonev1beta1.AddToScheme(scheme)).To(Succeed())
	c, err := client.New(shared.config, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
	return c
}
