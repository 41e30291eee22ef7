{{/*
What the schema cannot say about a fleet is checked here. A check notes every
mistake with the path of the value, what was found and what is allowed;
wukong.fail then reports all of them at once.
*/}}
{{- define "wukong.validate.fleet" -}}
{{- $c := . -}}
{{- include "wukong.validate.text" $c -}}
{{- if or (gt (len $c.fleet) 53) (not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $c.fleet)) -}}
  {{- include "wukong.error" (list $c "nameOverride" (printf "the fleet's name is %s, must be at most 53 lower-case letters, digits and dashes that begin with a letter: choose another release name, or set nameOverride" (include "wukong.show" $c.fleet))) -}}
{{- end -}}
{{- range $key, $network := $c.hostNetworks -}}
  {{- include "wukong.validate.nodeSelector" (list $c (printf "hostNetworks.%s.nodeSelector" $key) ($network.nodeSelector | default dict)) -}}
  {{- $bridge := $network.bridge | default (printf "br-%s" $network.port) -}}
  {{- if gt (len $bridge) 15 -}}
    {{- include "wukong.error" (list $c (printf "hostNetworks.%s.bridge" $key) (printf "found none, and %s is longer than the 15 characters Linux allows: set a shorter one" (include "wukong.show" $bridge))) -}}
  {{- end -}}
{{- end -}}
{{- range $key, $image := $c.images }}{{ include "wukong.validate.image" (list $c $key $image) }}{{ end -}}
{{- range $key, $pool := $c.pools }}{{ include "wukong.validate.pool" (list $c $key $pool) }}{{ end -}}
{{- include "wukong.validate.serviceNames" $c -}}
{{- if and (eq $c.expand "client") (not $c.engine.anySize) }}{{ include "wukong.validate.size" $c }}{{ end -}}
{{- end -}}

{{/*
wukong.validate.text looks for what no text may hold: control characters, which
YAML and guests cannot carry, and the placeholder that Helm removes from its
output.
*/}}
{{- define "wukong.validate.text" -}}
{{- if regexMatch `\\u00(0[0-8bcefBCEF]|1[0-9a-fA-F]|7[fF])|\\u202[89]|[\x{7f}-\x{9f}]|no value` (toJson .values) -}}
  {{- include "wukong.validate.textAt" (list . "" (omit .values "global")) -}}
{{- end -}}
{{- end -}}

{{- define "wukong.validate.textAt" -}}
{{- $c := index . 0 -}}
{{- $path := index . 1 -}}
{{- $value := index . 2 -}}
{{- if kindIs "map" $value -}}
  {{- range $key, $inner := $value -}}
    {{- include "wukong.validate.textAt" (list $c ($path | empty | ternary $key (printf "%s.%s" $path $key)) $inner) -}}
    {{- include "wukong.validate.textAt" (list $c (printf "%s (a key)" $path) $key) -}}
  {{- end -}}
{{- else if kindIs "slice" $value -}}
  {{- range $i, $inner := $value }}{{ include "wukong.validate.textAt" (list $c (printf "%s[%d]" $path $i) $inner) }}{{ end -}}
{{- else if typeIs "string" $value -}}
  {{- if regexMatch `[\x00-\x08\x0b\x0c\x0e-\x1f\x{7f}-\x{9f}\x{2028}\x{2029}]` $value -}}
    {{- include "wukong.error" (list $c $path (printf "found a control character in %s, must be text: tabs and line ends are allowed, other control characters are not" (include "wukong.show" $value))) -}}
  {{- else if contains (printf "<%s>" "no value") $value -}}
    {{- include "wukong.error" (list $c $path "found \"<no\u00a0value>\", which Helm removes from what it renders: write it in another way") -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/*
wukong.validate.image checks a golden image.
Usage: {{ include "wukong.validate.image" (list $c "fedora" $image) }}
*/}}
{{- define "wukong.validate.image" -}}
{{- $c := index . 0 -}}
{{- $key := index . 1 -}}
{{- $image := index . 2 -}}
{{- $path := printf "images.%s" $key -}}
{{- include "wukong.one" (list $c $path $image (list "importSource" "dataSource")) -}}
{{- if $image.dataSource -}}
  {{- range $field := list "size" "storageClassName" "accessModes" "volumeMode" "schedule" "importsToKeep" "cloneFrom" "volumeSnapshotClassName" -}}
    {{- if hasKey $image $field }}{{ include "wukong.error" (list $c (printf "%s.%s" $path $field) "goes with importSource, found dataSource: the DataSource exists already, remove the field") }}{{ end -}}
  {{- end -}}
{{- end -}}
{{- if $image.importSource -}}
  {{- include "wukong.validate.importSource" (list $c (printf "%s.importSource" $path) $image.importSource) -}}
  {{- include "wukong.validate.size.disk" (list $c (printf "%s.size" $path) $image (not (hasKey $image.importSource "pvc"))) -}}
{{- end -}}
{{- if gt (len (printf "%s-%s-00000000" $c.fleet $key)) 63 -}}
  {{- include "wukong.error" (list $c $path (printf "its objects would be named %s-%s-<hash>, which passes 63 characters: shorten the key or the fleet's name" $c.fleet $key)) -}}
{{- end -}}
{{- with $image.schedule -}}
  {{- include "wukong.validate.schedule" (list $c (printf "%s.schedule" $path) .) -}}
  {{- $registry := dig "importSource" "registry" dict $image -}}
  {{- if not $registry -}}
    {{- include "wukong.error" (list $c (printf "%s.schedule" $path) (printf "found importSource %s, CDI imports on a schedule from a registry alone: remove the schedule, or use importSource.registry" (keys ($image.importSource | default dict) | sortAlpha | join ", "))) -}}
  {{- else if contains "@sha256:" $registry.url -}}
    {{- include "wukong.error" (list $c (printf "%s.schedule" $path) "found importSource.registry.url with a digest, which never changes: remove the schedule, or name a tag") -}}
  {{- end -}}
{{- end -}}
{{- if and (hasKey $image "volumeSnapshotClassName") (or $image.schedule (eq ($image.cloneFrom | default "Snapshot") "PersistentVolumeClaim")) -}}
  {{- include "wukong.error" (list $c (printf "%s.volumeSnapshotClassName" $path) "goes with cloneFrom Snapshot and no schedule: remove the field, as there is no snapshot of ours") -}}
{{- end -}}
{{- if and (hasKey $image "importsToKeep") (not $image.schedule) -}}
  {{- include "wukong.error" (list $c (printf "%s.importsToKeep" $path) "goes with schedule, found none: set schedule, or remove the field") -}}
{{- end -}}
{{- end -}}

{{/*
wukong.validate.importSource checks where a disk is imported from.
Usage: {{ include "wukong.validate.importSource" (list $c "images.fedora.importSource" $source) }}
*/}}
{{- define "wukong.validate.importSource" -}}
{{- $c := index . 0 -}}
{{- include "wukong.one" (list $c (index . 1) (index . 2) (list "registry" "http" "s3" "gcs" "imageio" "vddk" "upload" "pvc")) -}}
{{- range $kind, $from := index . 2 -}}
  {{- if regexMatch "^[a-z]+://[^/]*@" ($from.url | default "") -}}
    {{- include "wukong.error" (list $c (printf "%s.%s.url" (index $ 1) $kind) "found a user or password in the URL, which everybody who may read the object would see: put it into a Secret, and name that in secretName") -}}
  {{- end -}}
  {{- if and (eq $kind "pvc") (contains "@" $from.name) -}}
    {{- include "wukong.error" (list $c (printf "%s.pvc.name" (index $ 1)) (printf "found %s, an import is made once and can hold no token" (include "wukong.show" $from.name))) -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/*
wukong.validate.schedule checks a cron expression.
Usage: {{ include "wukong.validate.schedule" (list $c "images.fedora.schedule" "0 3 * * 6") }}
*/}}
{{- define "wukong.validate.schedule" -}}
{{- if not (include "wukong.cron" (index . 2)) -}}
  {{- include "wukong.error" (list (index . 0) (index . 1) (printf "found %s, must be a cron expression of five fields (minute, hour, day, month, weekday), such as \"15 2 * * *\"" (include "wukong.show" (index . 2)))) -}}
{{- end -}}
{{- end -}}

{{/*
wukong.validate.timeZone checks the shape of a time zone's name.
Usage: {{ include "wukong.validate.timeZone" (list $c $path "Asia/Shanghai") }}
*/}}
{{- define "wukong.validate.timeZone" -}}
{{- if not (regexMatch "^[A-Za-z]+([A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*)$" (index . 2)) -}}
  {{- include "wukong.error" (list (index . 0) (index . 1) (printf "found %s, must be the IANA name of a time zone, such as \"Asia/Shanghai\"" (include "wukong.show" (index . 2)))) -}}
{{- end -}}
{{- end -}}

{{/*
wukong.validate.size.disk checks the size of a disk.
Usage: {{ include "wukong.validate.size.disk" (list $c "images.fedora.size" $image true) }}
*/}}
{{- define "wukong.validate.size.disk" -}}
{{- $c := index . 0 -}}
{{- $path := index . 1 -}}
{{- $holder := index . 2 -}}
{{- if hasKey $holder "size" -}}
  {{- if lt (int64 (include "wukong.bytes" $holder.size)) 1048576 -}}
    {{- include "wukong.error" (list $c $path (printf "found %s, must be a size of at least 1Mi, such as 20Gi" (include "wukong.show" (include "wukong.quantity" $holder.size)))) -}}
  {{- end -}}
{{- else if index . 3 -}}
  {{- include "wukong.error" (list $c $path "found none, must be set, such as 20Gi: only a clone takes the size of its source") -}}
{{- end -}}
{{- end -}}

{{/*
wukong.validate.serviceNames finds two Services of the fleet with one name.
*/}}
{{- define "wukong.validate.serviceNames" -}}
{{- $c := . -}}
{{- range $key, $pool := $c.pools -}}
  {{- range $service, $spec := $pool.services -}}
    {{- $other := printf "%s-%s" $key $service -}}
    {{- if and (hasKey $c.pools $other) (not (get $c.pools $other).cloneSource) -}}
      {{- include "wukong.error" (list $c (printf "pools.%s.services.%s" $key $service) (printf "found the Service name %s-%s, which pool %s has already: rename one of them" $c.fleet $other $other)) -}}
    {{- end -}}
    {{- range $pool2, $other2 := $c.pools -}}
      {{- range $service2, $_ := $other2.services -}}
        {{- if and (eq $other (printf "%s-%s" $pool2 $service2)) (lt $pool2 $key) -}}
          {{- include "wukong.error" (list $c (printf "pools.%s.services.%s" $key $service) (printf "found the Service name %s-%s, which pools.%s.services.%s has already: rename one of them" $c.fleet $other $pool2 $service2)) -}}
        {{- end -}}
      {{- end -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/*
wukong.releaseBytes estimates the size of the fleet's release Secret, in bytes:
what a fleet has in common, and what gzip leaves of each machine, which is
little more than its identity. pkg/fleet measures it; a test holds the two
together.
*/}}
{{- define "wukong.releaseBytes" -}}
{{- $c := . -}}
{{- $bytes := 40000 -}}
{{- range $key, $pool := $c.pools -}}
  {{- $m := dict -}}
  {{- include "wukong.machine" (list $m $c $key $pool dict) -}}
  {{- $each := 60 -}}
  {{- if $m.template -}}
    {{- $each = add 80 (mul 20 (len ($m.template.disks | default dict))) (mul 25 (len $m.networks)) -}}
    {{- range $m.networks }}{{ if .ipam }}{{ $each = add $each 32 }}{{ end }}{{ end -}}
    {{- if include "wukong.cloudInit.wanted" $m -}}
      {{- /* What is longer than gzip's window is stored again for each. */ -}}
      {{- $text := len (toJson ($m.template.cloudInit | default dict)) -}}
      {{- $each = add $each (gt $text 30000 | ternary (div $text 3) 25) -}}
    {{- end -}}
  {{- end -}}
  {{- if $pool.exportTarget }}{{ $each = add $each 20 }}{{ end -}}
  {{- $bytes = add $bytes (mul $each (int (include "wukong.pool.replicas" $pool))) (mul 200 (len ($pool.overrides | default dict))) -}}
{{- end -}}
{{- $bytes -}}
{{- end -}}

{{/*
wukong.validate.size refuses a fleet whose release would not fit Helm's Secret.
*/}}
{{- define "wukong.validate.size" -}}
{{- $bytes := int64 (include "wukong.releaseBytes" .) -}}
{{- if gt $bytes 1048576 -}}
  {{- $machines := 0 -}}
  {{- $largest := "" -}}
  {{- $most := 0 -}}
  {{- range $key, $pool := .pools -}}
    {{- $replicas := int (include "wukong.pool.replicas" $pool) -}}
    {{- $machines = add $machines $replicas -}}
    {{- if gt $replicas $most }}{{ $most = $replicas }}{{ $largest = $key }}{{ end -}}
  {{- end -}}
  {{- include "wukong.error" (list . "expand" (printf "found client with %d machines, whose Helm release would take about %d KiB of the 1024 KiB a release Secret holds: set expand to server, or move pools such as %s (%d machines) into releases of their own" $machines (div $bytes 1024) $largest $most)) -}}
{{- end -}}
{{- end -}}
