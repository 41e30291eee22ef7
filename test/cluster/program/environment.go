package program

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// usualPath is what container images have for PATH.
const usualPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// variable is how a Pod refers to one variable in another; $$ is a dollar sign.
var variable = regexp.MustCompile(`\$(\$|\([A-Za-z_][A-Za-z0-9_.-]*\))`)

// quotedField is metadata.labels['key'] or metadata.annotations['key'].
var quotedField = regexp.MustCompile(`^metadata\.(labels|annotations)\['([^']+)'\]$`)

// environment is the variables of a program.
type environment struct {
	values map[string]string
}

func (e *environment) set(name, value string) { e.values[name] = value }

// list returns the variables as programs get them.
func (e *environment) list() []string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(e.values)) {
		list = append(list, name+"="+e.values[name])
	}
	return list
}

// expand replaces references to variables; one to a variable that does not exist stays as it is.
func (e *environment) expand(text string) string {
	return variable.ReplaceAllStringFunc(text, func(reference string) string {
		if reference == "$$" {
			return "$"
		}
		if value, ok := e.values[strings.Trim(reference, "$()")]; ok {
			return value
		}
		return reference
	})
}

func (e *environment) expandAll(texts []string) []string {
	expanded := make([]string, 0, len(texts))
	for _, text := range texts {
		expanded = append(expanded, e.expand(text))
	}
	return expanded
}

// environment makes the variables of a container, in the order in which the kubelet does.
func (r *Runner) environment(ctx context.Context, pod *corev1.Pod, container *corev1.Container) (*environment, error) {
	host, port, err := net.SplitHostPort(r.options.Server)
	if err != nil {
		return nil, fmt.Errorf("reading the API server's address: %w", err)
	}
	e := &environment{values: map[string]string{
		"PATH": usualPath, "HOME": "/", "HOSTNAME": pod.Name,
		"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port,
	}}
	for _, v := range r.options.Environment {
		e.set(v.Name, v.Value)
	}
	maker := volumeMaker{runner: r, pod: pod}
	for i := range container.EnvFrom {
		if err := maker.addAll(ctx, e, &container.EnvFrom[i]); err != nil {
			return nil, err
		}
	}
	for i := range container.Env {
		if err := maker.add(ctx, e, container, &container.Env[i]); err != nil {
			return nil, fmt.Errorf("variable %q: %w", container.Env[i].Name, err)
		}
	}
	return e, nil
}

// addAll adds every key of a ConfigMap or Secret.
func (v volumeMaker) addAll(ctx context.Context, e *environment, from *corev1.EnvFromSource) error {
	projection := &corev1.VolumeProjection{}
	switch {
	case from.ConfigMapRef != nil:
		projection.ConfigMap = &corev1.ConfigMapProjection{
			LocalObjectReference: from.ConfigMapRef.LocalObjectReference, Optional: from.ConfigMapRef.Optional,
		}
	case from.SecretRef != nil:
		projection.Secret = &corev1.SecretProjection{
			LocalObjectReference: from.SecretRef.LocalObjectReference, Optional: from.SecretRef.Optional,
		}
	}
	values, err := v.files(ctx, projection)
	for key, value := range values {
		e.set(from.Prefix+key, string(value))
	}
	return err
}

// add adds one variable. One that is optional and has no value is left out.
func (v volumeMaker) add(ctx context.Context, e *environment, container *corev1.Container, variable *corev1.EnvVar) error {
	from := variable.ValueFrom
	switch {
	case from == nil:
		e.set(variable.Name, e.expand(variable.Value))
		return nil
	case from.FieldRef != nil:
		value, err := field(v.pod, from.FieldRef.FieldPath)
		e.set(variable.Name, value)
		return err
	case from.ResourceFieldRef != nil:
		value, err := resourceField(container, from.ResourceFieldRef)
		e.set(variable.Name, value)
		return err
	}
	projection := &corev1.VolumeProjection{}
	switch {
	case from.SecretKeyRef != nil:
		ref := from.SecretKeyRef
		projection.Secret = &corev1.SecretProjection{
			LocalObjectReference: ref.LocalObjectReference, Optional: ref.Optional, Items: []corev1.KeyToPath{{Key: ref.Key, Path: ref.Key}},
		}
	case from.ConfigMapKeyRef != nil:
		ref := from.ConfigMapKeyRef
		projection.ConfigMap = &corev1.ConfigMapProjection{
			LocalObjectReference: ref.LocalObjectReference, Optional: ref.Optional, Items: []corev1.KeyToPath{{Key: ref.Key, Path: ref.Key}},
		}
	default:
		return errors.New("this kind of source is not known here")
	}
	values, err := v.files(ctx, projection)
	for _, value := range values {
		e.set(variable.Name, string(value))
	}
	return err
}

// field returns what the downward API says of a Pod.
func field(pod *corev1.Pod, path string) (string, error) {
	switch path {
	case "metadata.name":
		return pod.Name, nil
	case "metadata.namespace":
		return pod.Namespace, nil
	case "metadata.uid":
		return string(pod.UID), nil
	case "spec.nodeName":
		return pod.Spec.NodeName, nil
	case "spec.serviceAccountName":
		return pod.Spec.ServiceAccountName, nil
	case "status.podIP", "status.hostIP":
		return "127.0.0.1", nil
	}
	match := quotedField.FindStringSubmatch(path)
	if match == nil {
		return "", fmt.Errorf("the field %q is not known here", path)
	}
	if match[1] == "labels" {
		return pod.Labels[match[2]], nil
	}
	return pod.Annotations[match[2]], nil
}

// resourceField returns a container's request or limit, rounded up to whole units of its divisor.
func resourceField(container *corev1.Container, ref *corev1.ResourceFieldSelector) (string, error) {
	kind, name, _ := strings.Cut(ref.Resource, ".")
	list := container.Resources.Limits
	if kind == "requests" {
		list = container.Resources.Requests
	}
	quantity, ok := list[corev1.ResourceName(name)]
	if !ok {
		return "", fmt.Errorf("the container has no %s", ref.Resource)
	}
	divisor := ref.Divisor.MilliValue()
	if divisor == 0 {
		divisor = 1000
	}
	return strconv.FormatInt((quantity.MilliValue()+divisor-1)/divisor, 10), nil
}
