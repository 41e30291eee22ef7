{{/*
wukong.validate.pool checks a pool and every machine of it that differs.
Usage: {{ include "wukong.validate.pool" (list $c "web" $pool) }}
*/}}
{{- define "wukong.validate.pool" -}}
{{- $c := index . 0 -}}
{{- $key := index . 1 -}}
{{- $pool := index . 2 -}}
{{- $path := printf "pools.%s" $key -}}
{{- include "wukong.validate.ordinals" . -}}
{{- if hasKey $pool "cloneSource" -}}
  {{- include "wukong.validate.cloneSource" . -}}
{{- else if not (or (hasKey $pool "template") $c.defaults) -}}
  {{- include "wukong.error" (list $c $path "found neither template nor cloneSource, must have exactly one of them") -}}
{{- else -}}
  {{- include "wukong.validate.machines" . -}}
{{- end -}}
{{- $deleted := dig "retentionPolicy" "whenDeleted" "Retain" $pool -}}
{{- $scaled := dig "retentionPolicy" "whenScaled" "Retain" $pool -}}
{{- if and (ne $deleted $scaled) (eq $c.expand "client") -}}
  {{- include "wukong.error" (list $c (printf "%s.retentionPolicy" $path) (printf "found whenDeleted %s and whenScaled %s, which Helm cannot tell apart: make them equal, or set expand to server" $deleted $scaled)) -}}
{{- end -}}
{{- range $service, $spec := $pool.services -}}
  {{- include "wukong.validate.service" (list $c (printf "%s.services.%s" $path $service) $spec) -}}
  {{- if gt (len (printf "%s-%s-%s" $c.fleet $key $service)) 63 -}}
    {{- include "wukong.error" (list $c (printf "%s.services.%s" $path $service) (printf "its Service would be named %s-%s-%s, which passes 63 characters: shorten a key or the fleet's name" $c.fleet $key $service)) -}}
  {{- end -}}
{{- end -}}
{{- with $pool.snapshotPolicy -}}
  {{- include "wukong.validate.schedule" (list $c (printf "%s.snapshotPolicy.schedule" $path) .schedule) -}}
  {{- with .timeZone }}{{ include "wukong.validate.timeZone" (list $c (printf "%s.snapshotPolicy.timeZone" $path) .) }}{{ end -}}
  {{- range $field := list "selector" "virtualMachines" -}}
    {{- if hasKey $pool.snapshotPolicy $field }}{{ include "wukong.error" (list $c (printf "%s.snapshotPolicy.%s" $path $field) "must not be set in a pool: the policy selects the pool's machines") }}{{ end -}}
  {{- end -}}
{{- end -}}
{{- if hasKey $pool "exportTarget" }}{{ include "wukong.validate.exportTarget" (list $c $path $pool) }}{{ end -}}
{{- end -}}

{{/*
wukong.validate.ordinals checks how the machines of a pool are numbered, and
what that makes of their names.
*/}}
{{- define "wukong.validate.ordinals" -}}
{{- $c := index . 0 -}}
{{- $key := index . 1 -}}
{{- $pool := index . 2 -}}
{{- $path := printf "pools.%s" $key -}}
{{- $start := int (include "wukong.pool.start" $pool) -}}
{{- $last := sub (add $start (int (include "wukong.pool.replicas" $pool))) 1 -}}
{{- $name := printf "%s-%s-%d" $c.fleet $key (max $start $last) -}}
{{- if gt (len $name) 63 -}}
  {{- include "wukong.error" (list $c $path (printf "its last machine would be named %s, which has %d characters and must have at most 63: shorten the key or the fleet's name; names are never cut" $name (len $name))) -}}
{{- end -}}
{{- range $ordinal, $_ := $pool.overrides -}}
  {{- if or (gt (len $ordinal) 6) (lt (int $ordinal) $start) (gt (int64 $ordinal) (int64 $last)) -}}
    {{- include "wukong.error" (list $c (printf "%s.overrides.%s" $path $ordinal) (ge (int64 $last) (int64 $start) | ternary (printf "must be the ordinal of a machine, from %d to %d" $start $last) "must be the ordinal of a machine, and the pool has none")) -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/*
wukong.validate.machines checks the pool's template, and each override merged
over it; what an override only inherits is not said again.
*/}}
{{- define "wukong.validate.machines" -}}
{{- $c := index . 0 -}}
{{- $key := index . 1 -}}
{{- $pool := index . 2 -}}
{{- $inherited := list -}}
{{- $layers := merge (dict "" dict) ($pool.overrides | default dict) -}}
{{- range $ordinal, $override := $layers -}}
  {{- $errors := dict "list" list -}}
  {{- $m := dict -}}
  {{- include "wukong.machine" (list $m $c $key $pool $override) -}}
  {{- $_ := set $m "errors" $errors -}}
  {{- $_ := set $m "ordinal" $ordinal -}}
  {{- include "wukong.validate.machine" $m -}}
  {{- if eq $ordinal "" }}{{ $inherited = $errors.list }}{{ end -}}
  {{- range $error := $errors.list -}}
    {{- if or (eq $ordinal "") (not (has $error $inherited)) -}}
      {{- $parts := splitn ": " 2 $error -}}
      {{- $prefix := printf "pools.%s.overrides.%s" $key $ordinal -}}
      {{- if eq $ordinal "" }}{{ $prefix = include "wukong.layer" (list $c $key $pool $parts._0) }}{{ end -}}
      {{- include "wukong.error" (list $c (printf "%s.%s" $prefix $parts._0) $parts._1) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/*
wukong.layer says where a value of a pool's machine stands: in the pool's
template, or in the fleet's defaults.
Usage: {{ include "wukong.layer" (list $c "web" $pool "disks.root.size") }}
*/}}
{{- define "wukong.layer" -}}
{{- $steps := splitList "." (index . 3) -}}
{{- $depths := list -}}
{{- range $layer := list ((index . 2).template | default dict) (index . 0).defaults -}}
  {{- $depth := 0 -}}
  {{- $at := $layer -}}
  {{- range $step := $steps -}}
    {{- if and (kindIs "map" $at) (hasKey $at $step) }}{{ $depth = add1 $depth }}{{ $at = get $at $step }}{{ else }}{{ $at = "" }}{{ end -}}
  {{- end -}}
  {{- $depths = append $depths $depth -}}
{{- end -}}
{{- if gt (last $depths) (first $depths) }}defaults{{ else }}pools.{{ index . 1 }}.template{{ end -}}
{{- end -}}

{{/*
wukong.validate.cloneSource checks a pool of clones.
*/}}
{{- define "wukong.validate.cloneSource" -}}
{{- $c := index . 0 -}}
{{- $pool := index . 2 -}}
{{- $path := printf "pools.%s" (index . 1) -}}
{{- include "wukong.one" (list $c (printf "%s.cloneSource" $path) $pool.cloneSource (list "virtualMachine" "snapshot")) -}}
{{- range $field := list "template" "overrides" -}}
  {{- if hasKey $pool $field }}{{ include "wukong.error" (list $c (printf "%s.%s" $path $field) "found beside cloneSource, must have exactly one of template and cloneSource: clones are like their source") }}{{ end -}}
{{- end -}}
{{- range $field := list "virtualMachine" "snapshot" -}}
  {{- with get $pool.cloneSource $field -}}
    {{- if contains "@" .name }}{{ include "wukong.error" (list $c (printf "%s.cloneSource.%s.name" $path $field) (printf "found %s, must be one name: all clones have the same source, and tokens are not replaced" (include "wukong.show" .name))) }}{{ end -}}
  {{- end -}}
{{- end -}}
{{- if and $pool.cloneSource.virtualMachine (gt (len (printf "%s-%s-00000000" $c.fleet (index . 1))) 63) -}}
  {{- include "wukong.error" (list $c $path (printf "its snapshot would be named %s-%s-<hash>, which passes 63 characters: shorten the key or the fleet's name" $c.fleet (index . 1))) -}}
{{- end -}}
{{- end -}}

{{/*
wukong.validate.service checks a Service of a pool.
Usage: {{ include "wukong.validate.service" (list $c "pools.web.services.http" $spec) }}
*/}}
{{- define "wukong.validate.service" -}}
{{- $c := index . 0 -}}
{{- $path := index . 1 -}}
{{- $spec := index . 2 -}}
{{- include "wukong.validate.labels" (list $c (printf "%s.labels" $path) ($spec.labels | default dict)) -}}
{{- include "wukong.validate.annotations" (list $c (printf "%s.annotations" $path) ($spec.annotations | default dict)) -}}
{{- $seen := dict -}}
{{- range $name, $port := $spec.ports -}}
  {{- $id := printf "%d/%s" (int $port.port) ($port.protocol | default "TCP") -}}
  {{- if hasKey $seen $id }}{{ include "wukong.error" (list $c (printf "%s.ports.%s.port" $path $name) (printf "found %s, which port %s has already" $id (get $seen $id))) }}{{ end -}}
  {{- $_ := set $seen $id $name -}}
  {{- if or (gt (len $name) 15) (not (regexMatch "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$" $name)) (not (regexMatch "[a-z]" $name)) -}}
    {{- include "wukong.error" (list $c (printf "%s.ports" $path) (printf "found the name %s, must be at most 15 lower-case letters, digits and dashes, with a letter among them" (include "wukong.show" $name))) -}}
  {{- end -}}
  {{- if and $port.nodePort (eq ($spec.type | default "ClusterIP") "ClusterIP") -}}
    {{- include "wukong.error" (list $c (printf "%s.ports.%s.nodePort" $path $name) (printf "found %d with type ClusterIP: set type to NodePort or LoadBalancer, or remove it" (int $port.nodePort))) -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/*
wukong.validate.exportTarget checks where a pool's machines are exported to.
Usage: {{ include "wukong.validate.exportTarget" (list $c "pools.web" $pool) }}
*/}}
{{- define "wukong.validate.exportTarget" -}}
{{- $c := index . 0 -}}
{{- $pool := index . 2 -}}
{{- $target := $pool.exportTarget -}}
{{- $path := printf "%s.exportTarget" (index . 1) -}}
{{- $several := gt (int (include "wukong.pool.replicas" $pool)) 1 -}}
{{- include "wukong.one" (list $c $path $target (list "registry" "s3" "pvc")) -}}
{{- with $target.schedule }}{{ include "wukong.validate.schedule" (list $c (printf "%s.schedule" $path) .) }}{{ end -}}
{{- with $target.timeZone }}{{ include "wukong.validate.timeZone" (list $c (printf "%s.timeZone" $path) .) }}{{ end -}}
{{- if and $target.schedule (not $target.serviceAccountName) -}}
  {{- include "wukong.error" (list $c (printf "%s.serviceAccountName" $path) "found none, must be set with schedule: scheduled exports have the rights of a ServiceAccount, checked at every run") -}}
{{- end -}}
{{- $disks := merge dict (dig "template" "disks" dict $pool) ($c.defaults.disks | default dict) -}}
{{- range $i, $disk := $target.disks -}}
  {{- if and (not $pool.cloneSource) (not (hasKey $disks $disk)) }}{{ include "wukong.error" (list $c (printf "%s.disks[%d]" $path $i) (printf "found %s, must be a disk of the template: %s" (include "wukong.show" $disk) (empty $disks | ternary "there are none" (keys $disks | sortAlpha | join ", ")))) }}{{ end -}}
{{- end -}}
{{- with $target.registry -}}
  {{- $last := splitList "/" .image | last -}}
  {{- if not (regexMatch "^[a-zA-Z0-9]([a-zA-Z0-9._:-]*[a-zA-Z0-9])?(/[a-z0-9@]([a-z0-9._@-]*[a-z0-9@])?)+(:[A-Za-z0-9_@]([A-Za-z0-9_.@-]*))?$" .image) -}}
    {{- include "wukong.error" (list $c (printf "%s.registry.image" $path) (printf "found %s, must be an image such as registry.example.com/vms/web, without docker:// and with a tag or none" (include "wukong.show" .image))) -}}
  {{- else if and $several (contains ":" $last) (not (regexMatch "@@(name|ordinal)@@" .image)) -}}
    {{- include "wukong.error" (list $c (printf "%s.registry.image" $path) (printf "found %s for %d machines, which would overwrite each other: leave out the tag, or write @@name@@ or @@ordinal@@ into it" (include "wukong.show" .image) (int (include "wukong.pool.replicas" $pool)))) -}}
  {{- end -}}
{{- end -}}
{{- range $kind, $field := dict "s3" "prefix" "pvc" "path" "registry" "image" -}}
  {{- with get $target $kind -}}
    {{- $text := get . $field | default "" -}}
    {{- include "wukong.validate.tokens" (list $c (printf "%s.%s.%s" $path $kind $field) $text dict) -}}
    {{- if and (ne $kind "registry") $several $text (not (regexMatch "@@(name|ordinal)@@" $text)) -}}
      {{- include "wukong.error" (list $c (printf "%s.%s.%s" $path $kind $field) (printf "found %s for several machines, which would overwrite each other: write @@name@@ or @@ordinal@@ into it" (include "wukong.show" $text))) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- end -}}
