{{/*
wukong.fleet renders every object of a fleet.

Usage: {{ include "wukong.fleet" . }} in an application chart whose values are
a WukongSpec.

The engine of pkg/fleet renders a large fleet in parts, by global.wukong:
  part: shared    what the machines have in common, and every check
  part: machines  the machines of one pool from ordinal start, count of them
  format: json    a line of JSON for each object, in place of YAML
  expand: controller   there is no Helm release, so none that could be too large
  anySize: true   the release is measured, and may be too large
*/}}
{{- define "wukong.fleet" -}}
{{- $c := dict -}}
{{- include "wukong.context" (list $c .) -}}
{{- if ne $c.part "machines" -}}
  {{- include "wukong.validate.fleet" $c -}}
  {{- include "wukong.fail" $c -}}
{{- end -}}
{{- if eq $c.expand "server" -}}
  {{- template "wukong.render.server" $c -}}
{{- else -}}
  {{- template "wukong.render.client" $c -}}
{{- end -}}
{{- end -}}

{{/*
wukong.context fills $c with what every template needs.
Usage: {{ include "wukong.context" (list $c .) }}
*/}}
{{- define "wukong.context" -}}
{{- $c := index . 0 -}}
{{- $root := index . 1 -}}
{{- $values := $root.Values -}}
{{- $engine := dig "wukong" (dict) ($values.global | default dict) -}}
{{- $_ := set $c "namespace" $root.Release.Namespace -}}
{{- $_ := set $c "fleet" ($values.nameOverride | default $root.Release.Name) -}}
{{- $_ := set $c "service" $root.Release.Service -}}
{{- $_ := set $c "chart" (printf "%s-%s" $root.Chart.Name ($root.Chart.Version | replace "+" "_")) -}}
{{- $_ := set $c "values" $values -}}
{{- $_ := set $c "images" ($values.images | default dict) -}}
{{- $_ := set $c "hostNetworks" ($values.hostNetworks | default dict) -}}
{{- $_ := set $c "defaults" ($values.defaults | default dict) -}}
{{- $_ := set $c "pools" ($values.pools | default dict) -}}
{{- $_ := set $c "expand" ($engine.expand | default ($values.expand | default "client")) -}}
{{- $_ := set $c "json" (eq ($engine.format | default "yaml") "json") -}}
{{- $_ := set $c "part" ($engine.part | default "all") -}}
{{- $_ := set $c "engine" $engine -}}
{{- $_ := set $c "errors" (dict "list" (list)) -}}
{{- /* No value can hold a hash of the values, so no value can hold a token. */ -}}
{{- $_ := set $c "token" (printf "@%s." (omit $values "global" | toJson | sha256sum | trunc 12)) -}}
{{- end -}}

{{/*
wukong.render.client renders the fleet's objects.
*/}}
{{- define "wukong.render.client" -}}
{{- $c := . -}}
{{- if ne $c.part "machines" -}}
  {{- range $key, $network := $c.hostNetworks -}}
    {{- include "wukong.class.hostNetwork" (list $c $key $network) -}}
  {{- end -}}
  {{- range $key, $image := $c.images -}}
    {{- include "wukong.class.image" (list $c $key $image) -}}
  {{- end -}}
{{- end -}}
{{- range $key, $pool := $c.pools -}}
  {{- if ne $c.part "machines" -}}
    {{- template "wukong.render.pool" (list $c $key $pool) -}}
  {{- end -}}
  {{- if eq $c.part "all" -}}
    {{- template "wukong.render.machines" (list $c $key $pool (int (include "wukong.pool.start" $pool)) (int (include "wukong.pool.replicas" $pool))) -}}
  {{- else if and (eq $c.part "machines") (eq $c.engine.pool $key) -}}
    {{- template "wukong.render.machines" (list $c $key $pool (int $c.engine.start) (int $c.engine.count)) -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/*
wukong.render.server renders one Wukong object, which the controller expands.
*/}}
{{- define "wukong.render.server" -}}
{{- $c := . -}}
{{- if ne $c.part "machines" -}}
{{- $spec := omit $c.values "global" "nameOverride" "vm-library" "expand" -}}
{{- $labels := include "wukong.labels" (list $c (dict)) | fromJson -}}
{{- include "wukong.emit" (list $c (dict
  "apiVersion" "wukong.io/v1alpha1"
  "kind" "Wukong"
  "metadata" (dict "name" $c.fleet "namespace" $c.namespace "labels" $labels)
  "spec" $spec)) -}}
{{- end -}}
{{- end -}}
