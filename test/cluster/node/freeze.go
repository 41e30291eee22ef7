package node

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	kubevirtv1 "kubevirt.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// What the journal of a FreezeServer calls its own entries.
const (
	// Frozen is a freeze that was answered with success.
	Frozen = "freeze"
	// Thawed is a thaw that was answered with success.
	Thawed = "unfreeze"
	// Expired is a thaw that came of itself, when the time given with the freeze was over.
	Expired = "expired"
	// Refused is a freeze that failed, by command or because no guest agent is connected.
	Refused = "refused"
)

// Entry is one line of the journal.
type Entry struct {
	Time time.Time
	// Kind is one of the constants above, or what Record was given.
	Kind string
	// Name is namespace/name of the machine, or what Record was given.
	Name string
}

// FreezeServer is the part of virt-handler that virt-api calls to freeze and thaw a guest. It writes down
// the order of what it saw, and can be made slow or to fail.
type FreezeServer struct {
	address string
	tls     *tls.Config

	mu      sync.Mutex
	journal []Entry
	fail    int
	message string
	delay   time.Duration
	timers  map[client.ObjectKey]*time.Timer
	set     func(ctx context.Context, key client.ObjectKey, frozen bool) error
}

// NewFreezeServer makes a server for virt-api's --console-server-port. The certificate must be of the CA in
// ConfigMap kubevirt-ca and for kubevirt.io:system:node:virt-handler.
func NewFreezeServer(address string, config *tls.Config) *FreezeServer {
	return &FreezeServer{address: address, tls: config, timers: map[client.ObjectKey]*time.Timer{}}
}

// Fail makes the next n freezes fail with the message, as a guest agent that cannot freeze does.
func (s *FreezeServer) Fail(n int, message string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail, s.message = n, message
}

// Delay holds every coming freeze for d; virt-api and virt-controller give up in their own time.
func (s *FreezeServer) Delay(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delay = d
}

// Record adds a line to the journal, so that a snapshot can be put in order with the freeze around it.
func (s *FreezeServer) Record(kind, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.journal = append(s.journal, Entry{Time: time.Now(), Kind: kind, Name: name})
}

// Journal returns what happened so far.
func (s *FreezeServer) Journal() []Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.journal)
}

// Reset forgets the journal and every fault.
func (s *FreezeServer) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.journal, s.fail, s.message, s.delay = nil, 0, "", 0
}

func (s *FreezeServer) attach(set func(ctx context.Context, key client.ObjectKey, frozen bool) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set = set
}

// Start serves until ctx ends.
func (s *FreezeServer) Start(ctx context.Context) error {
	if s.tls == nil {
		return errors.New("node: the FreezeServer must have a TLS configuration")
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.address)
	if err != nil {
		return fmt.Errorf("listening for freezes: %w", err)
	}
	mux := http.NewServeMux()
	const machine = "PUT /v1/namespaces/{namespace}/virtualmachineinstances/{name}/"
	mux.HandleFunc(machine+"freeze", s.freeze)
	mux.HandleFunc(machine+"unfreeze", s.unfreeze)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(tls.NewListener(listener, s.tls)); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// NeedLeaderElection says that there is no leader to wait for.
func (s *FreezeServer) NeedLeaderElection() bool { return false }

func keyOf(r *http.Request) client.ObjectKey {
	return client.ObjectKey{Namespace: r.PathValue("namespace"), Name: r.PathValue("name")}
}

func (s *FreezeServer) freeze(w http.ResponseWriter, r *http.Request) {
	var timeout kubevirtv1.FreezeUnfreezeTimeout
	if err := json.NewDecoder(r.Body).Decode(&timeout); err != nil && !errors.Is(err, io.EOF) {
		http.Error(w, "failed to unmarshal unfreeze timeout", http.StatusBadRequest)
		return
	}
	if timeout.UnfreezeTimeout == nil {
		http.Error(w, "Unfreeze timeout in freeze request is not set", http.StatusBadRequest)
		return
	}
	key := keyOf(r)
	if message := s.fault(r.Context()); message != "" {
		s.Record(Refused, key.String())
		http.Error(w, message, http.StatusBadRequest)
		return
	}
	s.answer(w, r, key, true, timeout.UnfreezeTimeout.Duration)
}

func (s *FreezeServer) unfreeze(w http.ResponseWriter, r *http.Request) {
	s.answer(w, r, keyOf(r), false, 0)
}

// fault waits and fails as told.
func (s *FreezeServer) fault(ctx context.Context) string {
	s.mu.Lock()
	delay := s.delay
	s.mu.Unlock()
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return "the caller gave up"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail == 0 {
		return ""
	}
	s.fail--
	return s.message
}

func (s *FreezeServer) answer(w http.ResponseWriter, r *http.Request, key client.ObjectKey, frozen bool, thawAfter time.Duration) {
	kind := Thawed
	if frozen {
		kind = Frozen
	}
	err := s.set(r.Context(), key, frozen)
	switch {
	case apierrors.IsNotFound(err):
		http.Error(w, err.Error(), http.StatusNotFound)
	case err != nil:
		s.Record(Refused, key.String())
		http.Error(w, err.Error(), http.StatusBadRequest)
	default:
		s.Record(kind, key.String()) // before the answer, or the snapshot could be written down first
		s.thawLater(key, thawAfter)
		w.WriteHeader(http.StatusAccepted)
	}
}

// thawLater replaces the timer of a machine; a thaw has none.
func (s *FreezeServer) thawLater(key client.ObjectKey, after time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if timer := s.timers[key]; timer != nil {
		timer.Stop()
		delete(s.timers, key)
	}
	if after <= 0 {
		return
	}
	s.timers[key] = time.AfterFunc(after, func() {
		s.Record(Expired, key.String())
		_ = s.set(context.Background(), key, false) // the machine may be gone by now
	})
}
