package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"wukong.io/wukong/pkg/fleet"
)

// chartFleet is the fleet that the charts are compared at.
const chartFleet = 1_000

func measureChart(ctx context.Context, b *bench) ([]row, error) {
	values, err := b.writeFleet(chartFleet)
	if err != nil {
		return nil, err
	}
	bare, bareValues, err := b.writeBareChart(ctx)
	if err != nil {
		return nil, err
	}
	chart := filepath.Join(b.charts, "vm-fleet")
	ours, theirs := b.helm3.template(chart, values), b.helm3.template(bare, bareValues)
	objects, err := b.sameObjects(ctx, ours, theirs)
	if err != nil {
		return nil, err
	}
	taken, err := b.takeTurns(ctx,
		b.discard(ours), b.discard(theirs),
		b.discard(b.helm4.template(chart, values)), b.discard(b.helm4.template(bare, bareValues)))
	if err != nil {
		return nil, err
	}
	each := func(i int) sample { return taken[i].seconds().scaled(1000 / float64(objects)) }
	return []row{
		{
			name: "chart, helm v3, an object", unit: "ms", value: each(0), most: 0.3, peer: "bare chart", peerValue: each(1),
			note: fmt.Sprintf("helm template of %d objects by its whole time; the bare chart is one range over the same objects' plain text",
				objects),
		},
		{name: "chart, helm v4, an object", unit: "ms", value: each(2), most: 0.3, peer: "bare chart", peerValue: each(3)},
	}, nil
}

// sameObjects checks that two charts give as many objects of every kind, and
// gives how many there are.
func (b *bench) sameObjects(ctx context.Context, ours, theirs program) (int, error) {
	var kinds [2]map[string]int
	for i, p := range []program{ours, theirs} {
		var stdout bytes.Buffer
		if _, err := p.run(ctx, b.scratch, &stdout); err != nil {
			return 0, err
		}
		kinds[i] = countKinds(stdout.String())
	}
	total := 0
	for kind, n := range kinds[0] {
		if kinds[1][kind] != n {
			return 0, fmt.Errorf("the bare chart gives %d objects of kind %s, want %d as vm-fleet does", kinds[1][kind], kind, n)
		}
		total += n
	}
	if total < chartFleet*perMachine {
		return 0, fmt.Errorf("vm-fleet gives %d objects of %d machines, want %d and the shared ones", total, chartFleet, chartFleet*perMachine)
	}
	return total, nil
}

func countKinds(manifests string) map[string]int {
	kinds := map[string]int{}
	for line := range strings.Lines(manifests) {
		if kind, ok := strings.CutPrefix(line, "kind: "); ok {
			kinds[strings.TrimSpace(kind)]++
		}
	}
	return kinds
}

// writeBareChart writes what a person would write by hand for this one fleet:
// a range over the plain text of a machine's objects, with no library, no
// options and no checks. Its text is taken from what the engine renders, so
// the objects are the same.
func (b *bench) writeBareChart(ctx context.Context) (dir, values string, err error) {
	renderer, err := fleet.New()
	if err != nil {
		return "", "", err
	}
	one, err := parseFleet(1)
	if err != nil {
		return "", "", err
	}
	whole, err := renderer.Manifests(ctx, one, fleet.Options{})
	if err != nil {
		return "", "", err
	}
	machine, err := renderer.Manifests(ctx, one, fleet.Options{Window: &fleet.Window{Pool: poolName, Count: 1}})
	if err != nil {
		return "", "", err
	}
	shared, ok := bytes.CutSuffix(whole, machine)
	if !ok {
		return "", "", errors.New("writing the bare chart: the machine's objects do not end what the engine renders")
	}
	text, err := bareTemplate(string(machine))
	if err != nil {
		return "", "", err
	}
	dir = filepath.Join(b.scratch, "bare")
	values = filepath.Join(b.scratch, "bare.yaml")
	files := map[string]string{
		filepath.Join(dir, "Chart.yaml"):                 "apiVersion: v2\nname: bare\nversion: 0.1.0\n",
		filepath.Join(dir, "templates", "shared.yaml"):   string(shared),
		filepath.Join(dir, "templates", "machines.yaml"): text,
		values: fmt.Sprintf("machines: %d\n", chartFleet),
	}
	if err := os.MkdirAll(filepath.Join(dir, "templates"), 0o755); err != nil {
		return "", "", err
	}
	for name, content := range files {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			return "", "", err
		}
	}
	return dir, values, nil
}

// bareTemplate turns the objects of machine 0 into a template of all machines.
func bareTemplate(machine string) (string, error) {
	if strings.Contains(machine, "{{") {
		return "", errors.New("writing the bare chart: found {{ in the machine's objects, which would be taken for a template")
	}
	name := fmt.Sprintf("%s-%s-0", releaseName, poolName)
	text := strings.NewReplacer(
		name, "{{ $name }}",
		"wukong.io/ordinal: '0'", "wukong.io/ordinal: '{{ $i }}'",
		"namespace: "+namespace, "namespace: {{ $.Release.Namespace }}",
	).Replace(machine)
	for pattern, value := range map[string]string{
		`([0-9a-f]{2}:){5}[0-9a-f]{2}`:              `{{ printf "02:00:00:00:%02x:%02x" (div $i 256) (mod $i 256) }}`,
		`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`: `{{ printf "00000000-0000-4000-8000-%012d" $i }}`,
	} {
		found := regexp.MustCompile(pattern)
		if !found.MatchString(text) {
			return "", fmt.Errorf("writing the bare chart: found nothing that matches %s in the machine's objects", pattern)
		}
		text = found.ReplaceAllLiteralString(text, value)
	}
	return "{{- range $i := until (int .Values.machines) }}\n{{- $name := printf \"%s-" + poolName + "-%d\" $.Release.Name $i }}\n" +
		strings.TrimSuffix(text, "\n") + "\n{{- end }}\n", nil
}
