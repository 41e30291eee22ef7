{{/*
wukong.render.pool renders what the machines of a pool have in common.
Usage: {{ include "wukong.render.pool" (list $c "web" $pool) }}
*/}}
{{- define "wukong.render.pool" -}}
{{- $c := index . 0 -}}
{{- $key := index . 1 -}}
{{- $pool := index . 2 -}}
{{- include "wukong.class.services" . -}}
{{- if $pool.snapshotPolicy }}{{ include "wukong.class.snapshotPolicy" . }}{{ end -}}
{{- if dig "cloneSource" "virtualMachine" "" $pool }}{{ include "wukong.class.cloneSnapshot" . }}{{ end -}}
{{- end -}}

{{/*
wukong.render.machines renders the machines of a pool from one ordinal on.
Machines without an override are written once, and their tokens replaced. As
JSON, their documents are a line with tokens, and each machine is a line of the
tokens' values, which the engine of pkg/fleet puts in.
Usage: {{ include "wukong.render.machines" (list $c "web" $pool 0 3) }}
*/}}
{{- define "wukong.render.machines" -}}
{{- $c := index . 0 -}}
{{- $key := index . 1 -}}
{{- $pool := index . 2 -}}
{{- $start := index . 3 -}}
{{- $end := add $start (index . 4) | int -}}
{{- $overrides := $pool.overrides | default dict -}}
{{- $prefix := printf "%s-%s" $c.fleet $key -}}
{{- $seed := printf "%s/%s/%s/" $c.namespace $c.fleet $key -}}
{{- $plain := dict -}}
{{- $written := false -}}
{{- if lt $start $end }}{{ include "wukong.machine.prepare" (list $plain $c $key $pool dict) }}{{ end -}}
{{- range $ordinal := untilStep $start $end 1 -}}
  {{- $machine := $plain -}}
  {{- $text := toString $ordinal -}}
  {{- if hasKey $overrides $text -}}
    {{- $machine = dict -}}
    {{- include "wukong.machine.prepare" (list $machine $c $key $pool (get $overrides $text)) -}}
  {{- end -}}
  {{- $id := printf "%s%d" $seed $ordinal | sha256sum -}}
  {{- $values := dict $machine.tokens.n (printf "%s-%d" $prefix $ordinal) $machine.tokens.o $text -}}
  {{- if $machine.tokens.u -}}
    {{- $_ := set $values $machine.tokens.u (include "wukong.uuid" $id) -}}
    {{- $_ := set $values $machine.tokens.s (include "wukong.uuid" (substr 32 64 $id)) -}}
  {{- end -}}
  {{- range $network, $token := $machine.tokens.macs -}}
    {{- $_ := set $values $token (include "wukong.mac" (printf "%s%d/%s" $seed $ordinal $network | sha256sum)) -}}
  {{- end -}}
  {{- range $network, $token := $machine.tokens.addresses -}}
    {{- $ip := include "wukong.ip.plus" (list (get $machine.first $network) $ordinal) | fromJson -}}
    {{- $_ := set $values $token (include "wukong.ip.text" $ip) -}}
  {{- end -}}
  {{- if and $c.json (not (hasKey $overrides $text)) -}}
    {{- if not $written -}}
      {{- $written = true -}}
{{ dict "documents" $machine.documents "token" $c.token | toJson }}
{{ end -}}
{{ toJson $values }}
{{ else -}}
    {{- $out := $machine.documents -}}
    {{- range $token, $value := $values }}{{ $out = replace $token $value $out }}{{ end -}}
    {{- $out -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/*
wukong.machine.prepare fills $out with the documents of a pool's machine, with
tokens for what differs, and with the tokens.
Usage: {{ include "wukong.machine.prepare" (list $out $c "web" $pool $override) }}
*/}}
{{- define "wukong.machine.prepare" -}}
{{- $out := index . 0 -}}
{{- $m := dict -}}
{{- include "wukong.machine" (list $m (index . 1) (index . 2) (index . 3) (index . 4)) -}}
{{- $c := $m.c -}}
{{- $tokens := dict "n" $m.name "o" (include "wukong.token" (list $c "o")) "u" "" "macs" dict "addresses" dict -}}
{{- $first := dict -}}
{{- if $m.template -}}
  {{- $_ := set $tokens "u" (include "wukong.token" (list $c "u")) -}}
  {{- $_ := set $tokens "s" (include "wukong.token" (list $c "s")) -}}
  {{- range $key, $network := $m.networks -}}
    {{- if not $network.macAddress }}{{ $_ := set $tokens.macs $key (include "wukong.token" (list $c (printf "m.%s" $key))) }}{{ end -}}
    {{- if $network.ipam -}}
      {{- $_ := set $tokens.addresses $key (include "wukong.token" (list $c (printf "a.%s" $key))) -}}
      {{- $_ := set $first $key (include "wukong.ip" $network.ipam.first | fromJson) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- $_ := set $out "tokens" $tokens -}}
{{- $_ := set $out "first" $first -}}
{{- $_ := set $out "documents" (include "wukong.machine.documents" $m) -}}
{{- end -}}

{{/*
wukong.machine fills $m with a pool's machine: its merged template, its
networks, and its name, which is a token.
Usage: {{ include "wukong.machine" (list $m $c "web" $pool $override) }}
*/}}
{{- define "wukong.machine" -}}
{{- $m := index . 0 -}}
{{- $c := index . 1 -}}
{{- $pool := index . 3 -}}
{{- $_ := set $m "c" $c -}}
{{- $_ := set $m "pool" (index . 2) -}}
{{- $_ := set $m "spec" $pool -}}
{{- $_ := set $m "name" (include "wukong.token" (list $c "n")) -}}
{{- $_ := set $m "retain" (include "wukong.pool.retain" $pool) -}}
{{- $_ := set $m "template" dict -}}
{{- $_ := set $m "networks" dict -}}
{{- if not $pool.cloneSource -}}
  {{- $template := deepCopy $c.defaults -}}
  {{- include "wukong.mergeMachine" (list $template ($pool.template | default dict)) -}}
  {{- include "wukong.mergeMachine" (list $template (index . 4)) -}}
  {{- $_ := set $m "template" $template -}}
  {{- $_ := set $m "networks" ($template.networks | default (dict "default" (dict "pod" dict))) -}}
{{- end -}}
{{- end -}}

{{/*
wukong.machine.labels gives, as JSON, the labels of an object of one machine.
Usage: {{ include "wukong.machine.labels" (list $m (dict "wukong.io/disk" "root")) | fromJson }}
*/}}
{{- define "wukong.machine.labels" -}}
{{- $m := index . 0 -}}
{{- include "wukong.labels" (list $m.c (merge (dict
  "wukong.io/pool" $m.pool
  "wukong.io/ordinal" (include "wukong.token" (list $m.c "o"))
  "wukong.io/vm" $m.name) (index . 1))) -}}
{{- end -}}

{{/*
wukong.machine.documents writes every object of one machine.
*/}}
{{- define "wukong.machine.documents" -}}
{{- $m := . -}}
{{- if $m.spec.cloneSource -}}
  {{- include "wukong.class.cloneJob" $m -}}
{{- else -}}
  {{- if $m.template.cloudInit }}{{ include "wukong.class.cloudInitSecret" $m }}{{ else if include "wukong.cloudInit.wanted" $m }}{{ include "wukong.class.cloudInitSecret" $m }}{{ end -}}
  {{- if $m.retain -}}
    {{- range $key, $disk := $m.template.disks -}}
      {{- if not (hasKey $disk.source "pvc") }}{{ include "wukong.class.dataVolume" (list $m $key $disk) }}{{ end -}}
    {{- end -}}
  {{- end -}}
  {{- include "wukong.class.virtualMachine" $m -}}
{{- end -}}
{{- if $m.spec.exportTarget }}{{ include "wukong.class.exportJob" $m }}{{ end -}}
{{- end -}}
