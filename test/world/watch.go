package world

import (
	"context"
	"errors"
	"fmt"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	toolswatch "k8s.io/client-go/tools/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Query says which objects to watch.
type Query struct {
	Namespace string
	// Labels and Fields are selectors; empty is everything.
	Labels, Fields string
}

// Until watches all objects of one kind that a query finds, and returns when done has no objection to them.
// When ctx ends first, the last objection is in the error.
func Until[T client.Object](ctx context.Context, c client.WithWatch, query Query, list client.ObjectList, kind T, done func(map[string]T) error) error {
	u := &until[T]{objects: map[string]T{}, done: done}
	_, err := toolswatch.UntilWithSync(ctx, listWatch(c, query, list), kind, u.synced, u.event)
	if err == nil {
		return nil
	}
	return errors.Join(u.objection, context.Cause(ctx), ignoreEnd(err))
}

// One watches one object until done has no objection to it.
func One[T client.Object](ctx context.Context, c client.WithWatch, key client.ObjectKey, list client.ObjectList, kind T, done func(T) error) error {
	query := Query{Namespace: key.Namespace, Fields: fields.OneTermEqualSelector(metav1.ObjectNameField, key.Name).String()}
	err := Until(ctx, c, query, list, kind, func(objects map[string]T) error {
		object, ok := objects[key.Name]
		if !ok {
			return errors.New("it does not exist")
		}
		return done(object)
	})
	if err != nil {
		return fmt.Errorf("waiting for %T %s: %w", kind, key, err)
	}
	return nil
}

// until holds what is known of the objects.
type until[T client.Object] struct {
	objects   map[string]T
	done      func(map[string]T) error
	objection error
}

// synced looks at the objects when all of them are known, and event at every change after that.
func (u *until[T]) synced(store cache.Store) (bool, error) {
	for _, item := range store.List() {
		if object, ok := item.(T); ok {
			u.objects[object.GetName()] = object
		}
	}
	u.objection = u.done(u.objects)
	return u.objection == nil, nil
}

func (u *until[T]) event(event watch.Event) (bool, error) {
	object, ok := event.Object.(T)
	if !ok {
		return false, nil
	}
	if event.Type == watch.Deleted {
		delete(u.objects, object.GetName())
	} else {
		u.objects[object.GetName()] = object
	}
	u.objection = u.done(u.objects)
	return u.objection == nil, nil
}

// ignoreEnd drops the words of the watch for a context that ended.
func ignoreEnd(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, toolswatch.ErrWatchClosed) {
		return nil
	}
	return err
}

func listWatch(c client.WithWatch, query Query, example client.ObjectList) cache.ListerWatcher {
	options := func(raw metav1.ListOptions) *client.ListOptions {
		raw.LabelSelector, raw.FieldSelector = query.Labels, query.Fields
		return &client.ListOptions{Namespace: query.Namespace, Raw: &raw}
	}
	fresh := func() (client.ObjectList, error) {
		list, ok := example.DeepCopyObject().(client.ObjectList)
		if !ok {
			return nil, fmt.Errorf("%T is no list", example)
		}
		return list, apimeta.SetList(list, nil)
	}
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, raw metav1.ListOptions) (runtime.Object, error) {
			list, err := fresh()
			if err != nil {
				return nil, err
			}
			return list, c.List(ctx, list, options(raw))
		},
		WatchFuncWithContext: func(ctx context.Context, raw metav1.ListOptions) (watch.Interface, error) {
			list, err := fresh()
			if err != nil {
				return nil, err
			}
			return c.Watch(ctx, list, options(raw))
		},
	}
}
