package node

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// guests remembers which machines are frozen, as their status would.
type guests map[client.ObjectKey]bool

func (g guests) set(_ context.Context, key client.ObjectKey, frozen bool) error {
	if key.Name == "no-agent" {
		return errors.New("no agent")
	}
	g[key] = frozen
	return nil
}

func TestFreezeServer(t *testing.T) {
	frozen := guests{}
	server := NewFreezeServer("unused", &tls.Config{MinVersion: tls.VersionTLS12})
	server.attach(frozen.set)
	put := func(name, verb, body string) int {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodPut,
			"/v1/namespaces/team/virtualmachineinstances/"+name+"/"+verb, strings.NewReader(body))
		request.SetPathValue("namespace", "team")
		request.SetPathValue("name", name)
		recorder := httptest.NewRecorder()
		handle := server.freeze
		if verb == "unfreeze" {
			handle = server.unfreeze
		}
		handle(recorder, request)
		return recorder.Code
	}
	const fiveMinutes = `{"unfreezeTimeout":"5m0s"}`
	steps := []struct {
		name, verb, body string
		want             int
	}{
		{"web", "freeze", `{}`, http.StatusBadRequest},
		{"web", "freeze", fiveMinutes, http.StatusAccepted},
		{"web", "unfreeze", "", http.StatusAccepted},
		{"no-agent", "freeze", fiveMinutes, http.StatusBadRequest},
	}
	for _, step := range steps {
		if got := put(step.name, step.verb, step.body); got != step.want {
			t.Errorf("%s %s: want %d, got %d", step.verb, step.name, step.want, got)
		}
	}
	server.Fail(1, "VSS said no")
	if got := put("web", "freeze", fiveMinutes); got != http.StatusBadRequest {
		t.Errorf("want the freeze refused on command, got %d", got)
	}
	if got := put("web", "freeze", fiveMinutes); got != http.StatusAccepted {
		t.Errorf("want only one freeze refused, got %d", got)
	}
	var kinds []string
	for _, entry := range server.Journal() {
		kinds = append(kinds, entry.Kind+" "+entry.Name)
	}
	want := []string{"freeze team/web", "unfreeze team/web", "refused team/no-agent", "refused team/web", "freeze team/web"}
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Errorf("journal (-want +got):\n%s", diff)
	}
	if !frozen[client.ObjectKey{Namespace: "team", Name: "web"}] {
		t.Error("want the machine frozen at the end")
	}
}

func TestAFreezeThatIsForgottenThawsItself(t *testing.T) {
	thawed := make(chan struct{})
	server := NewFreezeServer("unused", &tls.Config{MinVersion: tls.VersionTLS12})
	server.attach(func(_ context.Context, _ client.ObjectKey, frozen bool) error {
		if !frozen {
			close(thawed)
		}
		return nil
	})
	server.thawLater(client.ObjectKey{Name: "web"}, 10*time.Millisecond)
	select {
	case <-thawed:
	case <-time.After(10 * time.Second):
		t.Fatal("the machine stayed frozen")
	}
	if journal := server.Journal(); len(journal) != 1 || journal[0].Kind != Expired {
		t.Errorf("want one expired freeze, got %v", journal)
	}
}
