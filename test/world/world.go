package world

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"wukong.io/wukong/pkg/fleet"
)

// World is a cluster and what fleets stand on in it.
type World struct {
	// Client sees the cluster as its administrator.
	Client client.WithWatch
	// Sources are where images come from.
	Sources *Sources

	volumeRoot string
}

// New makes a world on a cluster of test/cluster, given its administrator and where its volumes are. Close it
// before the cluster stops.
func New(config *rest.Config, volumeRoot string) (*World, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), fleet.AddToScheme(scheme)); err != nil {
		return nil, fmt.Errorf("building the scheme: %w", err)
	}
	admin, err := client.NewWithWatch(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	return &World{Client: admin, Sources: Serve(), volumeRoot: volumeRoot}, nil
}

// Close stops the servers.
func (w *World) Close() {
	w.Sources.Close()
}

// Namespace makes a namespace that may exist already.
func (w *World) Namespace(ctx context.Context, name string) error {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if err := w.Client.Create(ctx, namespace); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("creating namespace %q: %w", name, err)
	}
	return nil
}
