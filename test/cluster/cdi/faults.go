package cdi

import (
	"encoding/json"
	"fmt"
	"sync"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// AnnotationFault on a DataVolume, or on a claim that a populator fills, is a Fault as JSON.
const AnnotationFault = "test.wukong.io/import-fault"

// Fault is what goes wrong with one import or copy.
type Fault struct {
	// Stall stops the transfer half way, until the fault is taken away.
	Stall bool `json:"stall,omitempty"`
	// Restarts is how many attempts end in the middle, as when the importer is killed.
	Restarts int `json:"restarts,omitempty"`
	// Corrupt turns one byte of the data over after it was verified.
	Corrupt bool `json:"corrupt,omitempty"`
	// Fatal ends the import for good with this message.
	Fatal string `json:"fatal,omitempty"`
	// BytesPerSecond slows the transfer down.
	BytesPerSecond int64 `json:"bytesPerSecond,omitempty"`
}

// Faults makes imports fail on command. The zero value does nothing, and every method may be called while CDI runs.
type Faults struct {
	mu      sync.Mutex
	byClaim map[client.ObjectKey]Fault
	every   Fault
}

// Set makes the import into one claim go wrong; the zero Fault ends that.
func (f *Faults) Set(namespace, claim string, fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.byClaim == nil {
		f.byClaim = map[client.ObjectKey]Fault{}
	}
	f.byClaim[client.ObjectKey{Namespace: namespace, Name: claim}] = fault
}

// SetAll makes every import go wrong that has no fault of its own.
func (f *Faults) SetAll(fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.every = fault
}

// Reset ends every fault that was set here; annotations stay.
func (f *Faults) Reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.byClaim, f.every = nil, Fault{}
}

func (f *Faults) of(claim client.ObjectKey) Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fault, ok := f.byClaim[claim]; ok {
		return fault
	}
	return f.every
}

func parseFault(annotation string) (Fault, error) {
	var fault Fault
	if annotation == "" {
		return fault, nil
	}
	if err := json.Unmarshal([]byte(annotation), &fault); err != nil {
		return fault, fmt.Errorf("annotation %s must be JSON of a Fault: %w", AnnotationFault, err)
	}
	return fault, nil
}
