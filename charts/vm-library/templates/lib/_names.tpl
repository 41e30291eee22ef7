{{/*
wukong.pool.replicas and wukong.pool.start read a pool's size and first
ordinal; 0 is a value, not a missing one.
*/}}
{{- define "wukong.pool.replicas" -}}
{{- if hasKey . "replicas" }}{{ int .replicas }}{{ else }}1{{ end -}}
{{- end -}}
{{- define "wukong.pool.start" -}}
{{- int (dig "ordinals" "start" 0 .) -}}
{{- end -}}

{{/*
wukong.pool.retain says whether the disks of a pool outlive their machines.
*/}}
{{- define "wukong.pool.retain" -}}
{{- if eq (dig "retentionPolicy" "whenDeleted" "Retain" .) "Retain" }}true{{ end -}}
{{- end -}}

{{/*
wukong.hash gives the short hash of a spec, for the names of objects that are
replaced when their spec changes.
*/}}
{{- define "wukong.hash" -}}
{{- toJson . | sha256sum | trunc 8 -}}
{{- end -}}
