package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	kubevirtv1 "kubevirt.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"wukong.io/wukong/pkg/apis/wukong/v1alpha1"
	"wukong.io/wukong/pkg/fleet"
	"wukong.io/wukong/test/cluster"
)

// stage is a cluster, and the machines that are created on it.
type stage struct {
	*bench
	cluster *cluster.Cluster
	client  client.Client
	rest    rest.Interface
	// machines of one fleet, none of which is created twice.
	machines []*kubevirtv1.VirtualMachine
	next     atomic.Int64
	updated  []*kubevirtv1.VirtualMachine
	changes  atomic.Int64
}

func newStage(ctx context.Context, b *bench, c *cluster.Cluster) (*stage, error) {
	if err := createNamespace(ctx, c, namespace); err != nil {
		return nil, err
	}
	s := &stage{bench: b, cluster: c}
	config := rest.CopyConfig(c.Config)
	config.QPS = -1
	scheme := runtime.NewScheme()
	builder := runtime.NewSchemeBuilder(clientgoscheme.AddToScheme, kubevirtv1.AddToScheme)
	if err := builder.AddToScheme(scheme); err != nil {
		return nil, err
	}
	var err error
	if s.client, err = client.New(config, client.Options{Scheme: scheme}); err != nil {
		return nil, err
	}
	typed, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	s.rest = typed.CoreV1().RESTClient()
	turn := steadyRequests/2 + singleRequests + quickMachines
	s.machines, err = fleetMachines(ctx, updatedMachines+strangers+1000+3*(b.runs+1)*turn)
	return s, err
}

// fleetMachines renders machines as users have them. They are halted, so that
// those that are there already rest.
func fleetMachines(ctx context.Context, count int) ([]*kubevirtv1.VirtualMachine, error) {
	renderer, err := fleet.New()
	if err != nil {
		return nil, err
	}
	input, err := parseFleet(count)
	if err != nil {
		return nil, err
	}
	objects, err := renderer.Render(ctx, input, fleet.Options{InCluster: true})
	if err != nil {
		return nil, err
	}
	var machines []*kubevirtv1.VirtualMachine
	for _, object := range objects {
		vm, ok := object.(*kubevirtv1.VirtualMachine)
		if !ok {
			continue
		}
		vm.Spec.RunStrategy, vm.Spec.Running = new(kubevirtv1.RunStrategyHalted), nil
		machines = append(machines, vm)
	}
	if len(machines) != count {
		return nil, fmt.Errorf("found %d machines in a fleet of %d", len(machines), count)
	}
	if machines[0].Labels[v1alpha1.LabelManaged] == "" {
		return nil, fmt.Errorf("the fleet's machines have not opted in: found no label %s", v1alpha1.LabelManaged)
	}
	return machines, nil
}

// machine gives the next machine that does not exist yet.
func (s *stage) machine() (*kubevirtv1.VirtualMachine, error) {
	i := int(s.next.Add(1)) - 1
	if i >= len(s.machines) {
		return nil, errors.New("the bench has run out of machines")
	}
	return s.machines[i], nil
}

func (s *stage) create(ctx context.Context, options ...client.CreateOption) error {
	vm, err := s.machine()
	if err != nil {
		return err
	}
	return s.client.Create(ctx, vm.DeepCopy(), options...)
}

// createUpdated creates the machines that are changed later.
func (s *stage) createUpdated(ctx context.Context) error {
	for range updatedMachines {
		vm, err := s.machine()
		if err != nil {
			return err
		}
		if err := s.client.Create(ctx, vm.DeepCopy()); err != nil {
			return err
		}
		s.updated = append(s.updated, vm)
	}
	return s.quiet(ctx)
}

// update changes a machine as a user does who edits a label.
func (s *stage) update(ctx context.Context) error {
	i := s.changes.Add(1)
	return s.label(ctx, s.updated[int(i)%len(s.updated)], i)
}

func (s *stage) label(ctx context.Context, vm *kubevirtv1.VirtualMachine, value int64) error {
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": map[string]any{"example.com/turn": strconv.FormatInt(value, 10)}}})
	if err != nil {
		return err
	}
	changed := &kubevirtv1.VirtualMachine{ObjectMeta: metav1.ObjectMeta{Namespace: vm.Namespace, Name: vm.Name}}
	return s.client.Patch(ctx, changed, client.RawPatch(types.MergePatchType, body))
}

// steady sends requests at a rate that does not depend on how fast they are
// answered, and gives how long each took in milliseconds.
func (s *stage) steady(ctx context.Context) (creates, updates sample, err error) {
	var mu sync.Mutex
	var all sync.WaitGroup
	ticks := time.NewTicker(time.Second / steadyRate)
	defer ticks.Stop()
	for i := range steadyRequests {
		<-ticks.C
		all.Go(func() {
			request, into := s.update, &updates
			if i%2 == 0 {
				request, into = func(ctx context.Context) error { return s.create(ctx) }, &creates
			}
			began := time.Now()
			failed := request(ctx)
			took := time.Since(began)
			mu.Lock()
			defer mu.Unlock()
			err = errors.Join(err, failed)
			*into = append(*into, float64(took)/float64(time.Millisecond))
		})
	}
	all.Wait()
	return creates, updates, err
}

// single sends requests one by one, and gives how long the API server says that
// each waited for the hooks, in milliseconds. Other calls that were counted
// meanwhile are shared out.
func (s *stage) single(ctx context.Context, setting setting) (took sample, err error) {
	if err := s.quiet(ctx); err != nil {
		return nil, err
	}
	before, err := s.counters(ctx)
	if err != nil {
		return nil, err
	}
	for range singleRequests {
		if err := s.update(ctx); err != nil {
			return nil, err
		}
		after, err := s.counters(ctx)
		if err != nil {
			return nil, err
		}
		spent := after.minus(before)
		if spent.count[setting.mutating] == 0 || spent.count[setting.validating] == 0 {
			return nil, errors.New("a machine was changed and the hooks were not called")
		}
		took = append(took, 1000*spent.meanOf(setting.mutating, setting.validating))
		before = after
	}
	return took, nil
}

// quick creates machines as fast as the API server takes them.
func (s *stage) quick(ctx context.Context) (time.Duration, error) {
	var mu sync.Mutex
	var all sync.WaitGroup
	var failed error
	began := time.Now()
	left := atomic.Int64{}
	left.Store(quickMachines)
	for range quickWorkers {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				if err := s.create(ctx); err != nil {
					mu.Lock()
					failed = errors.Join(failed, err)
					mu.Unlock()
					return
				}
			}
		})
	}
	all.Wait()
	return time.Since(began), failed
}

// quiet waits until nobody writes machines any more: virt-controller goes on
// for a while after they were created.
func (s *stage) quiet(ctx context.Context) error {
	last, calm := "", 0
	for range 300 {
		raw, err := s.rest.Get().AbsPath("/metrics").DoRaw(ctx)
		if err != nil {
			return err
		}
		now := writes(string(raw))
		if calm++; now != last {
			calm = 0
		}
		if calm == 2 {
			return nil
		}
		last = now
		time.Sleep(300 * time.Millisecond)
	}
	return errors.New("waiting until virt-controller is done with the machines: it is not")
}

// writes are the lines of the metrics that count writes to machines.
func writes(metrics string) string {
	var found []string
	for line := range strings.Lines(metrics) {
		if strings.HasPrefix(line, "apiserver_request_total{") && strings.Contains(line, `resource="virtualmachines"`) &&
			(strings.Contains(line, `verb="PUT"`) || strings.Contains(line, `verb="PATCH"`) || strings.Contains(line, `verb="POST"`) || strings.Contains(line, `verb="UPDATE"`) || strings.Contains(line, `verb="CREATE"`)) {
			found = append(found, line)
		}
	}
	return strings.Join(found, "")
}

// callsForStrangers counts the calls of our hooks for machines without a word
// of ours.
func (s *stage) callsForStrangers(ctx context.Context, ours setting) (float64, error) {
	if err := errors.Join(s.enter(ctx, ours), s.quiet(ctx)); err != nil {
		return 0, err
	}
	before, err := s.counters(ctx)
	if err != nil {
		return 0, err
	}
	for i := range strangers {
		vm, err := s.machine()
		if err != nil {
			return 0, err
		}
		vm = vm.DeepCopy()
		isOurs := func(key, _ string) bool { return strings.HasPrefix(key, "wukong.io/") }
		maps.DeleteFunc(vm.Labels, isOurs)
		maps.DeleteFunc(vm.Annotations, isOurs)
		if err := errors.Join(s.client.Create(ctx, vm), s.label(ctx, vm, int64(i))); err != nil {
			return 0, err
		}
	}
	if err := s.quiet(ctx); err != nil { // virt-controller writes them too
		return 0, err
	}
	after, err := s.counters(ctx)
	if err != nil {
		return 0, err
	}
	spent, calls := after.minus(before), 0.0
	for hook, n := range spent.count {
		if strings.HasSuffix(hook, ".wukong.io") {
			calls += n
		}
	}
	return calls, nil
}

// protobuf is access in the API server's own encoding, which built-in kinds have.
func (s *stage) protobuf() *rest.Config {
	config := rest.CopyConfig(s.cluster.Config)
	config.QPS = -1
	config.ContentType = runtime.ContentTypeProtobuf
	return config
}
