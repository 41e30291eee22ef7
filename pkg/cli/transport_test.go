package cli

import (
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

func answer(code int, body string) *http.Response {
	return &http.Response{StatusCode: code, Body: io.NopCloser(strings.NewReader(body))}
}

func TestWritesAreSentAgainWhenAWebhookDidNotAnswer(t *testing.T) {
	const busy = `{"message":"failed calling webhook \"x\": context deadline exceeded"}`
	cases := map[string]struct {
		method       string
		answers      []*http.Response
		wantAttempts int
		wantCode     int
		wantPause    time.Duration
	}{
		"it answers":                {method: "POST", answers: []*http.Response{answer(201, "")}, wantAttempts: 1, wantCode: 201},
		"it answers the third time": {method: "POST", answers: []*http.Response{answer(500, busy), answer(500, busy), answer(201, "")}, wantAttempts: 3, wantCode: 201, wantPause: 3 * time.Second},
		"it never answers": {
			method: "PATCH", answers: []*http.Response{answer(500, busy), answer(500, busy), answer(500, busy), answer(500, busy)},
			wantAttempts: writeAttempts, wantCode: 500, wantPause: 7 * time.Second,
		},
		"it refuses":            {method: "POST", answers: []*http.Response{answer(403, "admission webhook denied")}, wantAttempts: 1, wantCode: 403},
		"another server error":  {method: "POST", answers: []*http.Response{answer(500, "etcd")}, wantAttempts: 1, wantCode: 500},
		"a read is not a write": {method: "GET", answers: []*http.Response{answer(500, busy)}, wantAttempts: 1, wantCode: 500},
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
					return tc.answers[attempts-1], nil
				})}
				started := time.Now()
				response, err := g.RoundTrip(newRequest(t, tc.method))
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(response.Body)
				if err != nil || response.StatusCode != tc.wantCode || (tc.wantCode == 500 && len(body) == 0) {
					t.Errorf("found code %d, body %q, %v; want code %d with its body", response.StatusCode, body, err, tc.wantCode)
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
			return answer(201, ""), nil
		})}
		var done sync.WaitGroup
		for range 9 {
			done.Go(func() {
				if _, err := g.RoundTrip(newRequest(t, "POST")); err != nil {
					t.Error(err)
				}
			})
		}
		started := time.Now()
		done.Wait()
		if most.Load() != 3 || time.Since(started) != 3*time.Second {
			t.Errorf("found %d at once and %s, want 3 and 3s", most.Load(), time.Since(started))
		}
	})
}
