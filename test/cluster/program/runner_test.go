package program

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"wukong.io/wukong/test/cluster/node"
)

func TestImageNames(t *testing.T) {
	for image, want := range map[string]string{
		"quay.io/kubevirt/virt-exportserver:v1.8.0": "quay.io/kubevirt/virt-exportserver",
		"localhost:5000/worker":                     "localhost:5000/worker",
		"localhost:5000/worker:dev":                 "localhost:5000/worker",
		"worker@sha256:0123":                        "worker",
		"worker:v1@sha256:0123":                     "worker",
	} {
		if got := imageName(image); got != want {
			t.Errorf("imageName(%q) = %q, want %q", image, got, want)
		}
	}
}

// probe is a program that says what it sees, and ends as it is told.
const probe = `package main

import (
	"fmt"
	"os"
	"strconv"
)

func main() {
	entries, _ := os.ReadDir("/")
	for _, entry := range entries {
		fmt.Println(entry.Name())
	}
	kept, _ := os.ReadFile("/scratch/kept")
	fmt.Printf("kept %q\n", kept)
	check(os.WriteFile("/scratch/kept", []byte("from before"), 0o600))
	check(os.WriteFile("/dev/termination-log", []byte("why "+os.Args[2]), 0o600))
	code, err := strconv.Atoi(os.Args[1])
	check(err)
	os.Exit(code)
}

func check(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(99)
	}
}
`

func buildProbe(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for file, content := range map[string]string{"go.mod": "module probe.test\n\ngo 1.26\n", "main.go": probe} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", "probe", ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	return filepath.Join(dir, "probe")
}

func TestAProgramSeesItsOwnRootAndItsEndBecomesThePods(t *testing.T) {
	trial := exec.CommandContext(t.Context(), "/bin/sh", "-c", `mount -o bind "$1" "$1"`, "sh", t.TempDir())
	trial.SysProcAttr = Namespaces()
	if output, err := trial.CombinedOutput(); err != nil {
		t.Skipf("no mount namespaces here: %v: %s", err, output)
	}
	logs := t.TempDir()
	r := New(Options{
		Server: "127.0.0.1:6443", Dir: t.TempDir(), LogDir: logs,
		Programs: map[string]string{"probe": buildProbe(t)},
		Start:    (*exec.Cmd).Start,
		Port:     func() (int, error) { return 20000, nil },
	})
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "1"},
		Spec: corev1.PodSpec{
			Volumes: []corev1.Volume{{Name: "scratch", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}},
			Containers: []corev1.Container{{
				Image: "probe:v1", Args: []string{"7", "$(HOSTNAME)"},
				VolumeMounts: []corev1.VolumeMount{{Name: "scratch", MountPath: "/scratch"}},
			}},
		},
	}
	process := r.Process(pod)
	if process == nil {
		t.Fatal("Process() = nil for an image that is a program")
	}
	for range 2 { // the second is a restart
		if diff := cmp.Diff(node.Result{ExitCode: 7, Message: "why web"}, process(t.Context())); diff != "" {
			t.Errorf("result (-want +got):\n%s", diff)
		}
	}
	content, err := os.ReadFile(filepath.Join(logs, "shop_web.log"))
	if err != nil {
		t.Fatal(err)
	}
	root := "dev\nentrypoint\netc\nproc\nscratch\ntmp\nvar\n"
	if want := root + "kept \"\"\n" + root + "kept \"from before\"\n"; string(content) != want {
		t.Errorf("log (-want +got):\n%s", cmp.Diff(want, string(content)))
	}

	pod.Spec.Containers[0].VolumeMounts[0].Name = "missing"
	result := r.Process(pod)(t.Context())
	if result.ExitCode != cannotRun || !strings.Contains(result.Message, `volume "missing": the Pod has no volume of that name`) {
		t.Errorf("result = %+v, want that it cannot run, and why", result)
	}
	pod.Spec.Containers[0].Image = "other"
	if r.Process(pod) != nil {
		t.Error("Process() is something for an image that is no program")
	}
}
