{{/*
Identity. The name, addresses, firmware UUID and serial of a machine are pure
functions of (namespace, fleet, pool, ordinal, key of the network). A pool's
machines are written once, with tokens where they differ, and the tokens are
replaced for each. A token stands where its value is text, and begins with @,
which YAML always quotes, so that a MAC address stays text too.

wukong.token gives a token. Kinds: n name, o ordinal, u UUID, s serial,
m.<network> MAC address, a.<network> IP address.
Usage: {{ include "wukong.token" (list $c "m.default") }}
*/}}
{{- define "wukong.token" -}}
{{ (index . 0).token }}{{ index . 1 }}@
{{- end -}}

{{/*
wukong.userTokens turns the tokens a user writes into ours.
Usage: {{ include "wukong.userTokens" (list $m $text) }}
*/}}
{{- define "wukong.userTokens" -}}
{{- $m := index . 0 -}}
{{- $text := index . 1 -}}
{{- if contains "@@" $text -}}
  {{- $t := $m.c.token -}}
  {{- $text = $text | replace "@@name@@" (printf "%sn@" $t) | replace "@@ordinal@@" (printf "%so@" $t) -}}
  {{- range $key, $network := $m.networks -}}
    {{- $text = $text | replace (printf "@@mac.%s@@" $key) ($network.macAddress | default (printf "%sm.%s@" $t $key)) -}}
    {{- if $network.ipam }}{{ $text = $text | replace (printf "@@address.%s@@" $key) (printf "%sa.%s@" $t $key) }}{{ end -}}
  {{- end -}}
{{- end -}}
{{- $text -}}
{{- end -}}

{{/*
wukong.mac turns a hash into a locally administered unicast MAC address of 46
free bits.
*/}}
{{- define "wukong.mac" -}}
{{- $low := dict "0" "2" "1" "2" "2" "2" "3" "2" "4" "6" "5" "6" "6" "6" "7" "6" "8" "a" "9" "a" "a" "a" "b" "a" "c" "e" "d" "e" "e" "e" "f" "e" -}}
{{ substr 0 1 . }}{{ get $low (substr 1 2 .) }}:{{ substr 2 4 . }}:{{ substr 4 6 . }}:{{ substr 6 8 . }}:{{ substr 8 10 . }}:{{ substr 10 12 . }}
{{- end -}}

{{/*
wukong.uuid turns a hash into a UUID of version 8 (RFC 9562).
*/}}
{{- define "wukong.uuid" -}}
{{ substr 0 8 . }}-{{ substr 8 12 . }}-8{{ substr 12 15 . }}-a{{ substr 15 18 . }}-{{ substr 18 30 . }}
{{- end -}}
