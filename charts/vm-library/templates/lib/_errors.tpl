{{/*
wukong.error notes a mistake. All are reported at once, by wukong.fail.
Usage: {{ include "wukong.error" (list $c "pools.web.replicas" "must be ...") }}
*/}}
{{- define "wukong.error" -}}
{{- $errors := (index . 0).errors -}}
{{- $path := index . 1 -}}
{{- /* Keys are the user's text: they may be long, or break lines. */ -}}
{{- if or (gt (len $path) 300) (contains "\n" $path) }}{{ $path = printf "%.300s" $path | replace "\n" " " }}{{ end -}}
{{- $_ := set $errors "list" (append $errors.list (printf "%s: %s" $path (index . 2))) -}}
{{- end -}}

{{/*
wukong.fail stops rendering if there are mistakes: a line a mistake, in the
order of their paths.
*/}}
{{- define "wukong.fail" -}}
{{- $list := .errors.list | uniq | sortAlpha -}}
{{- if $list -}}
{{- fail (printf "\n\n%d error(s) in the fleet:\n- %s\n" (len $list) (join "\n- " $list)) -}}
{{- end -}}
{{- end -}}

{{/*
wukong.show quotes a value for a message, on one line and not at any length.
*/}}
{{- define "wukong.show" -}}
{{- $text := printf "%q" (toString .) -}}
{{- if gt (len $text) 80 }}{{ printf "%.76s..." $text }}{{ else }}{{ $text }}{{ end -}}
{{- end -}}

{{/*
wukong.one checks that exactly one of some keys is set.
Usage: {{ include "wukong.one" (list $c "pools.web.cloneSource" $map (list "virtualMachine" "snapshot")) }}
*/}}
{{- define "wukong.one" -}}
{{- $c := index . 0 -}}
{{- $found := list -}}
{{- range $key := index . 3 -}}
  {{- if hasKey (index $ 2) $key }}{{ $found = append $found $key }}{{ end -}}
{{- end -}}
{{- if ne (len $found) 1 -}}
  {{- include "wukong.error" (list $c (index . 1) (printf "found %s, must have exactly one of %s" (empty $found | ternary "none" (join " and " $found)) (join ", " (index . 3)))) -}}
{{- end -}}
{{- end -}}
