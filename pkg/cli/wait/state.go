package wait

// State is how far an object is on its way to what the fleet asks for.
type State int

// The states. All but Pending are settled: without an event from outside they
// stay as they are.
const (
	// Pending is on its way.
	Pending State = iota
	// Ready is as it should be.
	Ready
	// Held waits for a person, such as an image for its upload.
	Held
	// Failing has failed and is tried again by the cluster.
	Failing
	// Failed will not be tried again.
	Failed
	// Blocked waits for something that is failing or has failed.
	Blocked
)

// String names the state.
func (s State) String() string {
	switch s {
	case Ready:
		return "Ready"
	case Held:
		return "Held"
	case Failing:
		return "Failing"
	case Failed:
		return "Failed"
	case Blocked:
		return "Blocked"
	default:
		return "Pending"
	}
}

// Verdict is the state of one object, and why.
type Verdict struct {
	State State
	// Reason is a word, as KubeVirt or CDI has it: Running, ImportInProgress,
	// ErrorUnschedulable.
	Reason string
	// Message says more, where the cluster does.
	Message string
	// Warning is what a person should know although the object is ready.
	Warning string
	// Progress is a percentage such as 43.21%, where the cluster tells one.
	Progress string
}

func pending(reason, message string) Verdict {
	return Verdict{State: Pending, Reason: reason, Message: message}
}

func ready(reason string) Verdict {
	return Verdict{State: Ready, Reason: reason}
}

func failing(reason, message string) Verdict {
	return Verdict{State: Failing, Reason: reason, Message: message}
}

func failed(reason, message string) Verdict {
	return Verdict{State: Failed, Reason: reason, Message: message}
}
