{{/*
wukong.cron says "true" if a text is a cron expression of five fields.
*/}}
{{- define "wukong.cron" -}}
{{- $minute := "[0-5]?[0-9]" -}}
{{- $hour := "([01]?[0-9]|2[0-3])" -}}
{{- $day := "(0?[1-9]|[12][0-9]|3[01])" -}}
{{- $month := "(0?[1-9]|1[0-2]|JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC)" -}}
{{- $weekday := "(0?[0-6]|SUN|MON|TUE|WED|THU|FRI|SAT)" -}}
{{- $fields := list -}}
{{- range list $minute $hour $day $month $weekday -}}
  {{- $item := printf "(\\*|%s(-%s)?)(/[1-9][0-9]?)?" . . -}}
  {{- $fields = append $fields (printf "%s(,%s)*" $item $item) -}}
{{- end -}}
{{- if regexMatch (printf "^(?i)%s$" (join " +" $fields)) . }}true{{ end -}}
{{- end -}}
