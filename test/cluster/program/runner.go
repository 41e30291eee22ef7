package program

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"wukong.io/wukong/test/cluster/node"
)

const (
	// cannotRun is the exit code of a container that could not be started, as container runtimes have it.
	cannotRun = 128
	// maxMessage is what the kubelet keeps of a termination message.
	maxMessage = 4096
)

// Options say where programs run and what they find there.
type Options struct {
	// Client and Clientset reach the API server as the kubelet does.
	Client    client.Client
	Clientset kubernetes.Interface
	// Server is host and port of the API server as Pods are to see it.
	Server string
	// Programs maps the image of a container, without tag or digest, to the program that is behind it.
	Programs map[string]string
	// Dir holds a folder for each Pod, LogDir a log.
	Dir    string
	LogDir string
	// Disk returns the file with the bytes of a claim's volume.
	Disk func(ctx context.Context, claim client.ObjectKey) (string, error)
	// Start starts a command; it may tie its life to that of this process.
	Start func(*exec.Cmd) error
	// Port returns a free port on the loopback interface.
	Port func() (int, error)
	// Environment is added to that of every program, and gives way to what the Pod says.
	Environment []corev1.EnvVar
}

// Runner runs programs, and knows where those that serve can be reached.
type Runner struct {
	options Options

	mu      sync.Mutex
	ports   map[types.UID]int
	running sync.WaitGroup
}

// New makes a Runner.
func New(options Options) *Runner {
	return &Runner{options: options, ports: map[types.UID]int{}}
}

// Process returns what runs the Pod's program, or nil where its image is not one of the programs.
func (r *Runner) Process(pod *corev1.Pod) node.Process {
	if len(pod.Spec.Containers) != 1 || len(pod.Spec.InitContainers) > 0 {
		return nil
	}
	path, ok := r.options.Programs[imageName(pod.Spec.Containers[0].Image)]
	if !ok {
		return nil
	}
	return func(ctx context.Context) node.Result {
		r.running.Add(1)
		defer r.running.Done()
		result, err := r.run(ctx, pod, path)
		if err != nil && ctx.Err() == nil {
			return node.Result{ExitCode: cannotRun, Message: err.Error()}
		}
		return result
	}
}

// Wait returns when no program runs any more.
func (r *Runner) Wait() { r.running.Wait() }

// imageName is an image's name without tag and digest.
func imageName(image string) string {
	image, _, _ = strings.Cut(image, "@")
	if colon := strings.LastIndex(image, ":"); colon > strings.LastIndex(image, "/") {
		image = image[:colon]
	}
	return image
}

// run lays out the Pod's files and runs the program until it ends or ctx does.
func (r *Runner) run(ctx context.Context, pod *corev1.Pod, path string) (node.Result, error) {
	container := &pod.Spec.Containers[0]
	box, err := r.layOut(ctx, pod, container, path)
	if err != nil {
		return node.Result{}, fmt.Errorf("laying out Pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	environment, err := r.environment(ctx, pod, container)
	if err != nil {
		return node.Result{}, fmt.Errorf("making the environment of Pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	port, err := r.portOf(pod.UID)
	if err != nil {
		return node.Result{}, err
	}
	// Several servers share the loopback interface; virt-exportserver is told by this variable where to listen.
	environment.set("LISTEN_ADDR", fmt.Sprintf("127.0.0.1:%d", port))

	log, err := r.openLog(pod)
	if err != nil {
		return node.Result{}, err
	}
	defer log.Close()
	cmd := box.command(ctx, environment.expandAll(arguments(container)))
	cmd.Env = environment.list()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.WaitDelay = gracePeriod(pod)
	err = r.options.Start(cmd)
	if err == nil {
		err = cmd.Wait()
	}
	if ctx.Err() != nil {
		r.forget(pod.UID, box)
	}
	return box.result(container, err)
}

// arguments are those of the container: what stands in for its image has the entry point of the image.
func arguments(container *corev1.Container) []string {
	if len(container.Command) > 1 {
		return append(append([]string{}, container.Command[1:]...), container.Args...)
	}
	return container.Args
}

func gracePeriod(pod *corev1.Pod) time.Duration {
	const usual = 30
	seconds := int64(usual)
	if pod.Spec.TerminationGracePeriodSeconds != nil {
		seconds = *pod.Spec.TerminationGracePeriodSeconds
	}
	return time.Duration(max(seconds, 1)) * time.Second
}

func (r *Runner) openLog(pod *corev1.Pod) (*os.File, error) {
	path := filepath.Join(r.options.LogDir, pod.Namespace+"_"+pod.Name+".log")
	return os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
}

// portOf is the port of a Pod, the same after each restart.
func (r *Runner) portOf(pod types.UID) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if port, ok := r.ports[pod]; ok {
		return port, nil
	}
	port, err := r.options.Port()
	if err != nil {
		return 0, fmt.Errorf("choosing a port: %w", err)
	}
	r.ports[pod] = port
	return port, nil
}

// forget removes what a Pod that is deleted leaves.
func (r *Runner) forget(pod types.UID, b *box) {
	r.mu.Lock()
	delete(r.ports, pod)
	r.mu.Unlock()
	_ = os.RemoveAll(b.dir)
}

// result tells the kubelet how the program ended.
func (b *box) result(container *corev1.Container, err error) (node.Result, error) {
	message, readErr := os.ReadFile(b.message)
	if readErr != nil {
		message = nil // the Pod is deleted, and its folder with it
	}
	if len(message) > maxMessage {
		message = message[:maxMessage]
	}
	result := node.Result{Message: string(message)}
	var exit *exec.ExitError
	switch {
	case err == nil:
		return result, nil
	case !errors.As(err, &exit):
		return result, fmt.Errorf("running %s: %w", container.Image, err)
	}
	result.ExitCode = int32(exit.ExitCode())
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		result.ExitCode = cannotRun + int32(status.Signal())
	}
	return result, nil
}
