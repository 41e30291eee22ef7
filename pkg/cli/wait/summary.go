package wait

import (
	"cmp"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"wukong.io/wukong/pkg/cli/manifest"
)

// World is what is known of the cluster.
type World map[manifest.Key]*unstructured.Unstructured

// Item is one object of the fleet and how far it is.
type Item struct {
	Key     manifest.Key
	Image   string
	Verdict Verdict
}

// Summary is how far a fleet is.
type Summary struct {
	Items []Item
}

// Evaluate says how far the fleet of the plan is in the world.
func Evaluate(plan *Plan, world World) Summary {
	e := evaluation{plan: plan, world: world, byKey: map[manifest.Key]int{}, verdicts: make([]*Verdict, len(plan.objects))}
	for i, object := range plan.objects {
		e.byKey[object.key] = i
	}
	var summary Summary
	for i, object := range plan.objects {
		verdict := e.verdict(i)
		if object.watch {
			summary.Items = append(summary.Items, Item{Key: object.key, Image: object.image, Verdict: verdict})
		}
	}
	summary.Items = append(summary.Items, e.leaving()...)
	return summary
}

// evaluation walks the objects along what they are made from, each once.
type evaluation struct {
	plan     *Plan
	world    World
	byKey    map[manifest.Key]int
	verdicts []*Verdict
}

// leaving are the machines that are no longer part of the fleet and still shut
// down.
func (e *evaluation) leaving() []Item {
	var items []Item
	for key, object := range e.world {
		if _, expected := e.byKey[key]; expected || key.Kind != kindMachine || object.GetDeletionTimestamp() == nil {
			continue
		}
		items = append(items, Item{Key: key, Verdict: pending("Terminating", "the machine left the fleet and is being deleted")})
	}
	return items
}

// verdict of an object that waits, or fails, is that of what it is made from
// where that fails: the cause is told once, and nothing else would ever end a
// wait for machines whose image cannot be imported.
func (e *evaluation) verdict(i int) Verdict {
	if known := e.verdicts[i]; known != nil {
		return *known
	}
	e.verdicts[i] = &Verdict{} // ends a circle, which no fleet has
	verdict := e.own(i)
	if verdict.State == Pending || verdict.State == Failing {
		verdict = e.inherit(verdict, e.plan.objects[i].needs)
	}
	e.verdicts[i] = &verdict
	return verdict
}

// own is the verdict of an object by itself.
func (e *evaluation) own(i int) Verdict {
	object := e.plan.objects[i]
	if !object.watch {
		return pending("", "") // stands for what it is made from
	}
	live := e.world[object.key]
	if live == nil {
		return pending("NotFound", "the object does not exist yet")
	}
	return Assess(live, e.idle(object.key))
}

func (e *evaluation) inherit(verdict Verdict, needs []manifest.Key) Verdict {
	for _, need := range needs {
		i, known := e.byKey[need]
		if !known {
			continue
		}
		switch cause := e.verdict(i); cause.State {
		case Failing, Failed:
			return Verdict{State: Blocked, Reason: verdict.Reason, Message: "waits for " + need.Kind + " " + need.Name}
		case Blocked:
			return Verdict{State: Blocked, Reason: verdict.Reason, Message: cause.Message}
		case Held:
			return Verdict{State: Held, Reason: verdict.Reason, Message: "waits for " + need.Kind + " " + need.Name}
		default: // go on looking
		}
	}
	return verdict
}

// idle says that no machine is going to run with the volume for now.
func (e *evaluation) idle(volume manifest.Key) bool {
	consumers := e.plan.consumers[volume]
	for _, consumer := range consumers {
		vm := e.world[consumer]
		if vm == nil {
			return false
		}
		switch runStrategy(vm) {
		case kubevirtv1.RunStrategyHalted:
		case kubevirtv1.RunStrategyManual:
			if nestedBool(vm, "status", "created") {
				return false
			}
		default:
			return false
		}
	}
	return len(consumers) > 0
}

// Count counts the objects of a kind: all, and those that are ready.
func (s Summary) Count(kind string) (isReady, total int) {
	for _, item := range s.Items {
		if item.Key.Kind != kind {
			continue
		}
		total++
		if item.Verdict.State == Ready {
			isReady++
		}
	}
	return isReady, total
}

// With gives the items in one of the states, images first, then by kind and
// name.
func (s Summary) With(states ...State) []Item {
	var items []Item
	for _, item := range s.Items {
		if slices.Contains(states, item.Verdict.State) {
			items = append(items, item)
		}
	}
	slices.SortFunc(items, func(a, b Item) int {
		return cmp.Or(
			cmp.Compare(afterImages(a), afterImages(b)),
			cmp.Compare(a.Key.Kind, b.Key.Kind),
			cmp.Compare(a.Key.Name, b.Key.Name),
		)
	})
	return items
}

// afterImages is 0 for what belongs to an image, else 1.
func afterImages(item Item) int {
	if item.Image != "" {
		return 0
	}
	return 1
}

// Warnings gives the items that are well but say something.
func (s Summary) Warnings() []Item {
	var items []Item
	for _, item := range s.Items {
		if item.Verdict.Warning != "" {
			items = append(items, item)
		}
	}
	return items
}

// settled says that nothing is on its way any more.
func (s Summary) settled() bool {
	return !slices.ContainsFunc(s.Items, func(item Item) bool { return item.Verdict.State == Pending })
}

// broken says that something has failed, or is failing.
func (s Summary) broken() bool {
	return slices.ContainsFunc(s.Items, func(item Item) bool {
		return item.Verdict.State == Failing || item.Verdict.State == Failed
	})
}

// retried says that something that fails may still succeed.
func (s Summary) retried() bool {
	return slices.ContainsFunc(s.Items, func(item Item) bool { return item.Verdict.State == Failing })
}
