package cli

import (
	"bytes"
	"io"
	"net/http"
	"time"

	"k8s.io/utils/clock"
)

// The bounds on what is asked of the API server at once. client-go's own limit
// of 5 requests a second is meant for controllers of few objects; a fleet has
// thousands. Helm sends all objects of a kind side by side, and a thousand
// machines at once keep KubeVirt's admission busy beyond its deadline.
const (
	requestsPerSecond = 200
	requestBurst      = 400
	writesAtOnce      = 16
)

// How often, and after which pause, a write is sent again whose webhook did not
// answer. Nothing has been stored then.
const (
	writeAttempts = 4
	firstPause    = time.Second
)

// gentle sends no more than some writes at once, and again what failed because
// a webhook was too busy to answer.
type gentle struct {
	next  http.RoundTripper
	slots chan struct{}
	clock clock.Clock
}

// RoundTrip implements http.RoundTripper.
func (g *gentle) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Method == http.MethodGet || request.Method == http.MethodHead {
		return g.next.RoundTrip(request)
	}
	select {
	case g.slots <- struct{}{}:
		defer func() { <-g.slots }()
	case <-request.Context().Done():
		return nil, request.Context().Err()
	}
	return g.write(request)
}

func (g *gentle) write(request *http.Request) (*http.Response, error) {
	pause := firstPause
	for attempt := 1; ; attempt++ {
		response, err := g.next.RoundTrip(request)
		if err != nil || attempt == writeAttempts || !webhookFailed(response) {
			return response, err
		}
		again, ok := rewind(request)
		if !ok {
			return response, nil
		}
		select {
		case <-g.clock.After(pause):
		case <-request.Context().Done():
			return response, nil
		}
		request, pause = again, 2*pause
	}
}

// webhookFailed says that the API server got no answer from a webhook. It reads
// the response and leaves it as it was.
func webhookFailed(response *http.Response) bool {
	if response.StatusCode != http.StatusInternalServerError {
		return false
	}
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close() // it has been read
	response.Body = io.NopCloser(bytes.NewReader(body))
	return err == nil && bytes.Contains(body, []byte("failed calling webhook"))
}

// rewind makes the same request once more.
func rewind(request *http.Request) (*http.Request, bool) {
	again := request.Clone(request.Context())
	if request.Body == nil || request.Body == http.NoBody {
		return again, true
	}
	if request.GetBody == nil {
		return nil, false
	}
	body, err := request.GetBody()
	again.Body = body
	return again, err == nil
}
