package wait

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kubevirtv1 "kubevirt.io/api/core/v1"
)

// assessMachine says how far a VirtualMachine is, by its printable status and
// its run strategy.
func assessMachine(vm *unstructured.Unstructured) Verdict {
	status := kubevirtv1.VirtualMachinePrintableStatus(nestedText(vm, "status", "printableStatus"))
	if failure := findCondition(vm, string(kubevirtv1.VirtualMachineFailure)); failure.isTrue() {
		return failing(failure.reason, failure.message)
	}
	if verdict, ok := assessError(vm, status); ok {
		return verdict
	}
	verdict := assessRun(vm, runStrategy(vm), status)
	if restart := findCondition(vm, string(kubevirtv1.VirtualMachineRestartRequired)); restart.isTrue() && verdict.State == Ready {
		verdict.Warning = "a restart is required before the change takes effect: " + restart.message
	}
	return verdict
}

// runStrategy gives the strategy of a machine, also of one that says running
// instead.
func runStrategy(vm *unstructured.Unstructured) kubevirtv1.VirtualMachineRunStrategy {
	if strategy := nestedText(vm, "spec", "runStrategy"); strategy != "" {
		return kubevirtv1.VirtualMachineRunStrategy(strategy)
	}
	if nestedBool(vm, "spec", "running") {
		return kubevirtv1.RunStrategyAlways
	}
	return kubevirtv1.RunStrategyHalted
}

// assessError speaks of the statuses that say something is wrong, whatever the
// run strategy. KubeVirt goes on trying in all of them.
func assessError(vm *unstructured.Unstructured, status kubevirtv1.VirtualMachinePrintableStatus) (Verdict, bool) {
	switch status {
	case kubevirtv1.VirtualMachineStatusUnschedulable:
		return failing(string(status), findCondition(vm, "PodScheduled").message), true
	case kubevirtv1.VirtualMachineStatusErrImagePull,
		kubevirtv1.VirtualMachineStatusImagePullBackOff,
		kubevirtv1.VirtualMachineStatusPvcNotFound:
		return failing(string(status), findCondition(vm, "Synchronized").message), true
	case kubevirtv1.VirtualMachineStatusDataVolumeError:
		return failing(string(status), "a disk cannot be filled; see its DataVolume"), true
	case kubevirtv1.VirtualMachineStatusCrashLoopBackOff:
		fails := nestedInt(vm, "status", "startFailure", "consecutiveFailCount")
		return failing(string(status), fmt.Sprintf("failed to start %d times in a row", fails)), true
	case kubevirtv1.VirtualMachineStatusTerminating:
		return pending(string(status), "the machine is being deleted"), true
	default:
		return Verdict{}, false
	}
}

// assessRun compares what a machine does with what it should do.
func assessRun(vm *unstructured.Unstructured, strategy kubevirtv1.VirtualMachineRunStrategy, status kubevirtv1.VirtualMachinePrintableStatus) Verdict {
	switch status {
	case kubevirtv1.VirtualMachineStatusStopped:
		return assessStopped(vm, strategy)
	case kubevirtv1.VirtualMachineStatusRunning, kubevirtv1.VirtualMachineStatusMigrating, kubevirtv1.VirtualMachineStatusPaused:
		return assessRunning(vm, strategy, status)
	case kubevirtv1.VirtualMachineStatusWaitingForVolumeBinding:
		if strategy == kubevirtv1.RunStrategyHalted {
			return ready(string(status))
		}
	case "":
		return pending("Unknown", "KubeVirt has not reported on the machine yet")
	}
	return pending(string(status), "")
}

// assessStopped knows that a machine may be meant to be stopped: a halted one
// is, one of Manual runs only by hand, and those of Once and RerunOnFailure
// have ended by themselves once they were started.
func assessStopped(vm *unstructured.Unstructured, strategy kubevirtv1.VirtualMachineRunStrategy) Verdict {
	stopped := string(kubevirtv1.VirtualMachineStatusStopped)
	switch strategy {
	case kubevirtv1.RunStrategyHalted, kubevirtv1.RunStrategyManual:
		return ready(stopped)
	case kubevirtv1.RunStrategyOnce:
		// KubeVirt keeps the instance of a machine that ran once.
		if nestedBool(vm, "status", "created") {
			return ready(stopped)
		}
	case kubevirtv1.RunStrategyRerunOnFailure:
		// The status takes over the strategy when the machine is first started.
		if nestedText(vm, "status", "runStrategy") == string(strategy) {
			return ready(stopped)
		}
	}
	return pending(stopped, "waiting to be started")
}

// assessRunning also asks for the readiness probe where there is one, and that
// KubeVirt has seen the latest change, of which it may want a restart.
func assessRunning(vm *unstructured.Unstructured, strategy kubevirtv1.VirtualMachineRunStrategy, status kubevirtv1.VirtualMachinePrintableStatus) Verdict {
	if strategy == kubevirtv1.RunStrategyHalted {
		return pending(string(status), "waiting to be stopped")
	}
	if seen := nestedInt(vm, "status", "desiredGeneration"); seen != 0 && seen < vm.GetGeneration() {
		return pending(string(status), "KubeVirt has not seen the latest change yet")
	}
	if has(vm, "spec", "template", "spec", "readinessProbe") {
		if probe := findCondition(vm, string(kubevirtv1.VirtualMachineReady)); !probe.isTrue() {
			return pending(string(status), "the readiness probe has not succeeded: "+probe.message)
		}
	}
	verdict := ready(string(status))
	if status == kubevirtv1.VirtualMachineStatusPaused {
		verdict.Warning = "the machine is paused"
	}
	return verdict
}
