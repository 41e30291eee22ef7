{{/*
wukong.merge merges one map into another by key presence: what the second
names wins, also when it is 0, false or empty. The first map is changed; it
must be a deep copy.
Usage: {{ include "wukong.merge" (list $base $over) }}
*/}}
{{- define "wukong.merge" -}}
{{- $base := index . 0 -}}
{{- range $key, $value := index . 1 -}}
  {{- if and (kindIs "map" $value) (kindIs "map" (get $base $key)) -}}
    {{- include "wukong.merge" (list (get $base $key) $value) -}}
  {{- else -}}
    {{- $_ := set $base $key (deepCopy $value) -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/*
wukong.mergeMachine merges one machine template into another. Where two keys
exclude each other, the layer above displaces what it inherits: a disk's
source, pod and multus, instancetype and resources.
Usage: {{ include "wukong.mergeMachine" (list $base $over) }}
*/}}
{{- define "wukong.mergeMachine" -}}
{{- $base := index . 0 -}}
{{- $over := index . 1 -}}
{{- range $key, $disk := $over.disks -}}
  {{- if and (hasKey $disk "source") (hasKey ($base.disks | default dict) $key) }}{{ $_ := unset (get $base.disks $key) "source" }}{{ end -}}
{{- end -}}
{{- range $key, $network := $over.networks -}}
  {{- if hasKey ($base.networks | default dict) $key -}}
    {{- if hasKey $network "multus" }}{{ $_ := unset (get $base.networks $key) "pod" }}{{ end -}}
    {{- if hasKey $network "pod" }}{{ $_ := unset (get $base.networks $key) "multus" }}{{ end -}}
  {{- end -}}
{{- end -}}
{{- if hasKey $over "instancetype" -}}
  {{- $_ := unset $base "resources" -}}
{{- else if and (hasKey ($over.resources | default dict) "memory") (or (hasKey $over.resources "cpu") (hasKey $over.resources "topology")) -}}
  {{- $_ := unset $base "instancetype" -}}
{{- end -}}
{{- include "wukong.merge" (list $base $over) -}}
{{- end -}}

{{/*
wukong.mergePatch applies a JSON merge patch (RFC 7386) to a map in place.
Usage: {{ include "wukong.mergePatch" (list $object $patch) }}
*/}}
{{- define "wukong.mergePatch" -}}
{{- $object := index . 0 -}}
{{- range $key, $value := index . 1 -}}
  {{- if kindIs "invalid" $value -}}
    {{- $_ := unset $object $key -}}
  {{- else if kindIs "map" $value -}}
    {{- if not (kindIs "map" (get $object $key)) }}{{ $_ := set $object $key dict }}{{ end -}}
    {{- include "wukong.mergePatch" (list (get $object $key) $value) -}}
  {{- else -}}
    {{- $_ := set $object $key $value -}}
  {{- end -}}
{{- end -}}
{{- end -}}
