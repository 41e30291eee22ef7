{{/*
wukong.class.services renders the headless Service of a pool, by which its
machines have names in DNS, and the pool's own Services.
Usage: {{ include "wukong.class.services" (list $c "web" $pool) }}
*/}}
{{- define "wukong.class.services" -}}
{{- $c := index . 0 -}}
{{- $key := index . 1 -}}
{{- $pool := index . 2 -}}
{{- $name := printf "%s-%s" $c.fleet $key -}}
{{- $labels := include "wukong.labels" (list $c (dict "wukong.io/pool" $key)) | fromJson -}}
{{- $selector := dict "wukong.io/fleet" $c.fleet "wukong.io/pool" $key -}}
{{- if not $pool.cloneSource -}}
{{- include "wukong.emit" (list $c (dict
  "apiVersion" "v1" "kind" "Service"
  "metadata" (dict "name" $name "namespace" $c.namespace "labels" $labels)
  "spec" (dict "clusterIP" "None" "selector" $selector "publishNotReadyAddresses" true))) -}}
{{- end -}}
{{- range $service, $spec := $pool.services -}}
  {{- $ports := list -}}
  {{- range $port, $p := $spec.ports -}}
    {{- $entry := dict "name" $port "port" (int $p.port) "targetPort" ($p.targetPort | default $p.port | int) "protocol" ($p.protocol | default "TCP") -}}
    {{- if $p.nodePort }}{{ $_ := set $entry "nodePort" (int $p.nodePort) }}{{ end -}}
    {{- $ports = append $ports $entry -}}
  {{- end -}}
  {{- $metadata := dict "name" (printf "%s-%s" $name $service) "namespace" $c.namespace "labels" (merge (deepCopy $labels) ($spec.labels | default dict)) -}}
  {{- if $spec.annotations }}{{ $_ := set $metadata "annotations" $spec.annotations }}{{ end -}}
  {{- include "wukong.emit" (list $c (dict
    "apiVersion" "v1" "kind" "Service" "metadata" $metadata
    "spec" (dict "type" ($spec.type | default "ClusterIP") "selector" $selector "ports" $ports))) -}}
{{- end -}}
{{- end -}}
