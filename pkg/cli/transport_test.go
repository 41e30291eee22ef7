package cli

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/utils/clock"
)

// server answers requests as a test wants it to.
type server func(*http.Request) (*http.Response, error)

func (s server) RoundTrip(request *http.Request) (*http.Response, error) { return s(request) }

func newRequest(t *testing.T, method string) *http.Request {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "https://api/vms", strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	return request
}

// answer is what the server says.
type answer struct {
	code int
	body string
}

func (a answer) response() *http.Response {
	return &http.Response{StatusCode: a.code, Body: io.NopCloser(strings.NewReader(a.body))}
}

// send sends a request and reads the answer.
func send(t *testing.T, g *gentle, method string) answer {
	t.Helper()
	response, err := g.RoundTrip(newRequest(t, method))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return answer{response.StatusCode, string(body)}
}

func TestWritesAreSentAgainWhenAWebhookDidNotAnswer(t *testing.T) {
	const busy = `{"message":"failed calling webhook \"x\": context deadline exceeded"}`
	cases := map[string]struct {
		method       string
		answers      []answer
		wantAttempts int
		want         answer
		wantPause    time.Duration
	}{
		"it answers":                {method: "POST", answers: []answer{{201, ""}}, wantAttempts: 1, want: answer{201, ""}},
		"it answers the third time": {method: "POST", answers: []answer{{500, busy}, {500, busy}, {201, ""}}, wantAttempts: 3, want: answer{201, ""}, wantPause: 3 * time.Second},
		"it never answers": {
			method: "PATCH", answers: []answer{{500, busy}, {500, busy}, {500, busy}, {500, busy}},
			wantAttempts: writeAttempts, want: answer{500, busy}, wantPause: 7 * time.Second,
		},
		"it refuses":            {method: "POST", answers: []answer{{403, "admission webhook denied"}}, wantAttempts: 1, want: answer{403, "admission webhook denied"}},
		"another server error":  {method: "POST", answers: []answer{{500, "etcd"}}, wantAttempts: 1, want: answer{500, "etcd"}},
		"a read is not a write": {method: "GET", answers: []answer{{500, busy}}, wantAttempts: 1, want: answer{500, busy}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				attempts := 0
				g := &gentle{slots: make(chan struct{}, 1), clock: clock.RealClock{}, next: server(func(request *http.Request) (*http.Response, error) {
					body, err := io.ReadAll(request.Body)
					if err != nil || string(body) != "body" {
						t.Errorf("attempt %d: found body %q, %v", attempts, body, err)
					}
					attempts++
					return tc.answers[attempts-1].response(), nil
				})}
				started := time.Now()
				if got := send(t, g, tc.method); got != tc.want {
					t.Errorf("found %v, want %v", got, tc.want)
				}
				if attempts != tc.wantAttempts {
					t.Errorf("found %d attempts, want %d", attempts, tc.wantAttempts)
				}
				if pause := time.Since(started); pause != tc.wantPause {
					t.Errorf("found pauses of %s, want %s", pause, tc.wantPause)
				}
			})
		})
	}
}

func TestWritesAtOnceAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int32
		g := &gentle{slots: make(chan struct{}, 3), clock: clock.RealClock{}, next: server(func(*http.Request) (*http.Response, error) {
			most.Store(max(most.Load(), now.Add(1)))
			time.Sleep(time.Second)
			now.Add(-1)
			return answer{201, ""}.response(), nil
		})}
		var done sync.WaitGroup
		for range 9 {
			done.Go(func() { send(t, g, "POST") })
		}
		started := time.Now()
		done.Wait()
		if most.Load() != 3 || time.Since(started) != 3*time.Second {
			t.Errorf("found %d at once and %s, want 3 and 3s", most.Load(), time.Since(started))
		}
	})
}
