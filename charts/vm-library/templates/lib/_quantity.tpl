{{/*
wukong.quantity writes a quantity as text: YAML gives a bare number as a float.
*/}}
{{- define "wukong.quantity" -}}
{{- if kindIs "string" . }}{{ . }}{{ else }}{{ int64 . }}{{ end -}}
{{- end -}}

{{/*
wukong.bytes gives a quantity in bytes, rounded down; -1 if it is none.
*/}}
{{- define "wukong.bytes" -}}
{{- $text := include "wukong.quantity" . -}}
{{- $units := dict "" 1 "k" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 "P" 1000000000000000
  "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 "Pi" 1125899906842624 -}}
{{- if regexMatch "^[0-9]{1,15}(\\.[0-9]{1,9})?(k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$" $text -}}
  {{- $number := regexFind "^[0-9.]+" $text -}}
  {{- mulf (float64 $number) (float64 (get $units (trimPrefix $number $text))) | floor | printf "%.0f" -}}
{{- else }}-1{{ end -}}
{{- end -}}
