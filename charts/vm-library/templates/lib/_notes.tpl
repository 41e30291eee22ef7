{{/*
wukong.notes says what was made and what to type next, in a bounded number of
lines.
*/}}
{{- define "wukong.notes" -}}
{{- $c := dict -}}
{{- include "wukong.context" (list $c .) -}}
{{- $machines := 0 -}}
{{- range $c.pools }}{{ $machines = add $machines (int (include "wukong.pool.replicas" .)) }}{{ end -}}
Fleet {{ $c.fleet }} in namespace {{ $c.namespace }}: {{ $machines }} machine(s) in {{ len $c.pools }} pool(s), {{ len $c.images }} image(s).
{{- $rows := 0 }}
{{- range $key, $pool := $c.pools }}
{{- if lt $rows 20 }}
{{- $replicas := int (include "wukong.pool.replicas" $pool) }}
{{- $start := int (include "wukong.pool.start" $pool) }}
  {{ printf "%-20s %6d  %s" $key $replicas (eq $replicas 0 | ternary "-" (printf "%s-%s-%d .. %d" $c.fleet $key $start (sub (add $start $replicas) 1))) }}
{{- end }}
{{- $rows = add1 $rows }}
{{- end }}
{{- if gt $rows 20 }}
  and {{ sub $rows 20 }} more
{{- end }}
{{ if eq $c.expand "server" }}
The Wukong controller makes them: kubectl -n {{ $c.namespace }} get wukong {{ $c.fleet }} -w
{{- else }}
{{- $waits := list }}
{{- range $key, $pool := $c.pools }}
{{- if or $pool.updateStrategy (eq ($pool.managementPolicy | default "Parallel") "OrderedReady") }}{{ $waits = append $waits $key }}{{ end }}
{{- end }}
{{- if $waits }}
updateStrategy and managementPolicy need expand: server; Helm makes all machines
at once, and they take changes at their next restart ({{ $waits | join ", " | trunc 40 }}).
{{ end }}
{{- range $key, $image := $c.images }}
{{- if and $image.importSource (eq ($image.cloneFrom | default "Snapshot") "Snapshot") (not $image.schedule) (not $c.noted) }}{{ $_ := set $c "noted" true }}
Machines are cloned from a snapshot of their image. If they wait for ever, the
storage has no default VolumeSnapshotClass: set volumeSnapshotClassName on the
image, or cloneFrom: PersistentVolumeClaim if the storage cannot snapshot.
{{ end }}
{{- end }}
Watch them:  kubectl -n {{ $c.namespace }} get vm,dv -l wukong.io/fleet={{ $c.fleet }}
Log in:      virtctl -n {{ $c.namespace }} console <machine>
Disks with retention policy Retain stay when the fleet goes; list them with
             kubectl -n {{ $c.namespace }} get dv -l wukong.io/fleet={{ $c.fleet }}
Do not use --wait: Helm takes a stopped machine for a broken one.
{{- end }}
{{- end -}}
