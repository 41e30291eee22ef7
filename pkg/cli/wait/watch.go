package wait

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"

	"wukong.io/wukong/pkg/apis/wukong/v1alpha1"
	"wukong.io/wukong/pkg/cli/manifest"
)

// The paces of a wait.
const (
	// beat is how often the state is looked at while events come in: thousands
	// of machines make events faster than anyone can read them.
	beat = 500 * time.Millisecond
	// patience is how long something that fails may go on failing when nothing
	// else is on its way: schedulers and importers do recover.
	patience = 30 * time.Second
)

// How a wait can end badly.
var (
	// ErrNotReady says that something has failed.
	ErrNotReady = errors.New("the fleet is not ready")
	// ErrTimeout says that the time was up.
	ErrTimeout = errors.New("the time was up before the fleet was ready")
)

// Cluster is what a wait needs of the cluster.
type Cluster struct {
	Client dynamic.Interface
	Mapper apimeta.RESTMapper
	Clock  clock.WithTicker
}

// Target is the fleet that is waited for.
type Target struct {
	Namespace string
	Fleet     string
	Plan      *Plan
	// Timeout of the wait.
	Timeout time.Duration
	// Report is told how far the fleet is, at least once.
	Report func(Summary)
}

// For waits until the fleet is ready. It returns ErrNotReady where something
// has failed and nothing is on its way any more, and ErrTimeout; with both
// comes the last state.
func For(ctx context.Context, cluster Cluster, target Target) (Summary, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, target.Timeout, ErrTimeout)
	defer cancel()
	watcher, err := startWatcher(ctx, cluster, target.Namespace, target.Fleet, target.Plan.Kinds())
	if err != nil {
		return Summary{}, err
	}
	defer watcher.stop()
	var summary Summary
	timer := newStopwatch(cluster.Clock)
	end := func() (bool, error) {
		summary = Evaluate(target.Plan, watcher.world())
		target.Report(summary)
		return timer.decide(summary)
	}
	err = watcher.until(end)
	return summary, err
}

// Gone waits until no machine of the fleet is left, and reports how many are.
func Gone(ctx context.Context, cluster Cluster, namespace, fleet string, timeout time.Duration, report func(left int)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, ErrTimeout)
	defer cancel()
	machines := []manifest.Key{{Group: "kubevirt.io", Kind: kindMachine}}
	watcher, err := startWatcher(ctx, cluster, namespace, fleet, machines)
	if err != nil {
		return err
	}
	defer watcher.stop()
	return watcher.until(func() (bool, error) {
		left := len(watcher.world())
		report(left)
		return left == 0, nil
	})
}

// stopwatch remembers since when a fleet has been in a bad way.
type stopwatch struct {
	clock clock.PassiveClock
	since time.Time
}

func newStopwatch(c clock.PassiveClock) *stopwatch { return &stopwatch{clock: c} }

// decide says whether the wait is over, and how.
func (s *stopwatch) decide(summary Summary) (bool, error) {
	if !summary.settled() {
		s.since = time.Time{}
		return false, nil
	}
	if !summary.broken() {
		return true, nil
	}
	if s.since.IsZero() {
		s.since = s.clock.Now()
	}
	if summary.retried() && s.clock.Since(s.since) < patience {
		return false, nil
	}
	return true, ErrNotReady
}

// watcher keeps what the cluster knows of a fleet up to date.
type watcher struct {
	clock     clock.WithTicker
	namespace string
	stores    []cache.Store
	synced    []cache.InformerSynced
	running   sync.WaitGroup
	done      <-chan struct{}
	cause     func() error
	cancel    context.CancelCauseFunc
}

// startWatcher lists and watches the kinds of a fleet by its label, and
// returns when the first lists are complete.
func startWatcher(ctx context.Context, cluster Cluster, namespace, fleet string, kinds []manifest.Key) (*watcher, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &watcher{
		clock: cluster.Clock, namespace: namespace,
		done: ctx.Done(), cause: func() error { return context.Cause(ctx) }, cancel: cancel,
	}
	selector := labels.SelectorFromSet(labels.Set{v1alpha1.LabelFleet: fleet}).String()
	for _, kind := range kinds {
		if err := w.watch(cluster, kind, selector); err != nil {
			w.stop()
			return nil, err
		}
	}
	if !cache.WaitForCacheSync(w.done, w.synced...) {
		err := fmt.Errorf("listing the objects of fleet %q: %w", fleet, w.cause())
		w.stop()
		return nil, err
	}
	return w, nil
}

// watch starts to watch one kind.
func (w *watcher) watch(cluster Cluster, kind manifest.Key, selector string) error {
	mapping, err := cluster.Mapper.RESTMapping(schema.GroupKind{Group: kind.Group, Kind: kind.Kind})
	if err != nil {
		return fmt.Errorf("finding kind %s of group %s in the cluster: %w", kind.Kind, kind.Group, err)
	}
	informer := dynamicinformer.NewFilteredDynamicInformer(cluster.Client, mapping.Resource, w.namespace, 0, cache.Indexers{},
		func(options *metav1.ListOptions) { options.LabelSelector = selector }).Informer()
	if err := errors.Join(informer.SetTransform(strip), informer.SetWatchErrorHandler(w.refused)); err != nil {
		return fmt.Errorf("preparing to watch kind %s: %w", kind.Kind, err)
	}
	w.stores = append(w.stores, informer.GetStore())
	w.synced = append(w.synced, informer.HasSynced)
	w.running.Go(func() { informer.Run(w.done) })
	return nil
}

// refused ends the wait where trying again is of no use.
func (w *watcher) refused(_ *cache.Reflector, err error) {
	if apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) {
		w.cancel(err)
	}
}

func (w *watcher) stop() {
	w.cancel(nil)
	w.running.Wait()
}

// world gives what is known now.
func (w *watcher) world() World {
	world := World{}
	for _, store := range w.stores {
		for _, item := range store.List() {
			if object, ok := item.(*unstructured.Unstructured); ok {
				world[manifest.KeyOf(object, w.namespace)] = object
			}
		}
	}
	return world
}

// until calls end on every beat until it says so, or there is no more time.
func (w *watcher) until(end func() (bool, error)) error {
	ticker := w.clock.NewTicker(beat)
	defer ticker.Stop()
	for {
		if over, err := end(); over {
			return err
		}
		select {
		case <-ticker.C():
		case <-w.done:
			return w.cause()
		}
	}
}

// strip keeps of an object what readiness needs, as thousands are held.
func strip(item any) (any, error) {
	object, ok := item.(*unstructured.Unstructured)
	if !ok {
		return item, nil // a tombstone
	}
	object.SetManagedFields(nil)
	object.SetAnnotations(nil)
	unstructured.RemoveNestedField(object.Object, "status", "volumeSnapshotStatuses")
	kept := map[string]any{}
	for _, path := range [][]string{{"runStrategy"}, {"running"}, {"template", "spec", "readinessProbe"}} {
		if value, found, _ := unstructured.NestedFieldNoCopy(object.Object, append([]string{"spec"}, path...)...); found {
			if err := unstructured.SetNestedField(kept, value, path...); err != nil {
				return nil, err
			}
		}
	}
	object.Object["spec"] = kept
	return object, nil
}
