{{/*
wukong.emit writes one object: a YAML document, or a line of JSON.
Usage: {{ include "wukong.emit" (list $c $object) }}
*/}}
{{- define "wukong.emit" -}}
{{- if (index . 0).json -}}
{{ index . 1 | toJson }}
{{ else -}}
---
{{ index . 1 | toYaml }}
{{ end -}}
{{- end -}}

{{/*
wukong.labels gives, as JSON, the labels of an object of the fleet. They hold
the chart's version, so they stand on metadata only.
Usage: {{ include "wukong.labels" (list $c (dict "wukong.io/pool" "web")) | fromJson }}
*/}}
{{- define "wukong.labels" -}}
{{- $c := index . 0 -}}
{{- merge (dict
  "app.kubernetes.io/name" "vm-fleet"
  "app.kubernetes.io/instance" $c.fleet
  "app.kubernetes.io/managed-by" $c.service
  "app.kubernetes.io/part-of" "wukong"
  "helm.sh/chart" $c.chart
  "wukong.io/fleet" $c.fleet) (index . 1) | toJson -}}
{{- end -}}
