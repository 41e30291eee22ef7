{{/*
wukong.ip parses an IP address into words of 16 bits, the highest first, as
JSON {"v": 4 or 6, "w": [...]}; {} if it is none.
*/}}
{{- define "wukong.ip" -}}
{{- $out := dict -}}
{{- if regexMatch "^((25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])(\\.|$)){4}$" (printf "%s" .) -}}
  {{- if not (hasSuffix "." .) -}}
    {{- $b := splitList "." . -}}
    {{- $_ := set $out "v" 4 -}}
    {{- $_ := set $out "w" (list (add (mul (index $b 0) 256) (index $b 1)) (add (mul (index $b 2) 256) (index $b 3))) -}}
  {{- end -}}
{{- else if and (regexMatch "^[0-9a-fA-F:]{2,39}$" .) (contains ":" .) (not (contains ":::" .)) (le (len (splitList "::" .)) 2) -}}
  {{- $halves := splitList "::" . -}}
  {{- $head := compact (splitList ":" (first $halves)) -}}
  {{- $tail := list -}}
  {{- if contains "::" . }}{{ $tail = compact (splitList ":" (last $halves)) }}{{ end -}}
  {{- $gap := sub (sub 8 (len $head)) (len $tail) -}}
  {{- $edge := or (regexMatch "(^|[^:]):$" .) (regexMatch "^:([^:]|$)" .) -}}
  {{- if and (not $edge) (or (and (contains "::" .) (ge $gap 1)) (eq $gap 0)) -}}
    {{- $words := list -}}
    {{- $good := true -}}
    {{- range $part := concat $head (repeat (int $gap) "0 " | splitList " " | compact) $tail -}}
      {{- if gt (len $part) 4 }}{{ $good = false }}{{ end -}}
      {{- $words = append $words (int64 (printf "0x%s" $part)) -}}
    {{- end -}}
    {{- if $good }}{{ $_ := set $out "v" 6 }}{{ $_ := set $out "w" $words }}{{ end -}}
  {{- end -}}
{{- end -}}
{{- toJson $out -}}
{{- end -}}

{{/*
wukong.ip.plus adds a number to a parsed address, as JSON; {} past the end of
its last 32 bits.
Usage: {{ include "wukong.ip.plus" (list $ip 5) | fromJson }}
*/}}
{{- define "wukong.ip.plus" -}}
{{- $w := (index . 0).w -}}
{{- $n := len $w -}}
{{- $sum := add (mul (int64 (index $w (sub $n 2 | int))) 65536) (int64 (index $w (sub $n 1 | int))) (index . 1) -}}
{{- if gt $sum 4294967295 -}}
{}
{{- else -}}
{{- dict "v" (index . 0).v "w" (concat (slice $w 0 (sub $n 2 | int)) (list (div $sum 65536) (mod $sum 65536))) | toJson -}}
{{- end -}}
{{- end -}}

{{/*
wukong.ip.text writes a parsed address.
*/}}
{{- define "wukong.ip.text" -}}
{{- $w := list -}}
{{- range .w }}{{ $w = append $w (int64 .) }}{{ end -}}
{{- if eq (int .v) 4 -}}
{{ div (index $w 0) 256 }}.{{ mod (index $w 0) 256 }}.{{ div (index $w 1) 256 }}.{{ mod (index $w 1) 256 }}
{{- else -}}
{{- $text := list -}}
{{- range $w }}{{ $text = append $text (printf "%x" .) }}{{ end -}}
{{- join ":" $text -}}
{{- end -}}
{{- end -}}

{{/*
wukong.ip.inside says "true" if an address is in a network.
Usage: {{ include "wukong.ip.inside" (list $ip $network 24) }}
*/}}
{{- define "wukong.ip.inside" -}}
{{- $ip := index . 0 -}}
{{- $network := index . 1 -}}
{{- $bits := int (index . 2) -}}
{{- $same := eq (int $ip.v) (int $network.v) -}}
{{- if $same -}}
  {{- range $i, $word := $ip.w -}}
    {{- $left := sub $bits (mul $i 16) | int -}}
    {{- if gt $left 0 -}}
      {{- $size := 1 -}}
      {{- range until (max 0 (sub 16 $left) | int) }}{{ $size = mul $size 2 }}{{ end -}}
      {{- if ne (div (int64 $word) $size) (div (int64 (index $network.w $i)) $size) }}{{ $same = false }}{{ end -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- if $same }}true{{ end -}}
{{- end -}}
