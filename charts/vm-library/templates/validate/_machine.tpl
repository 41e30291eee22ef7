{{/*
wukong.validate.machine checks a merged machine. Paths are relative to the
machine's template.
Usage: {{ include "wukong.validate.machine" $m }}
*/}}
{{- define "wukong.validate.machine" -}}
{{- $m := . -}}
{{- $t := $m.template -}}
{{- include "wukong.validate.labels" (list $m "labels" ($t.labels | default dict)) -}}
{{- include "wukong.validate.annotations" (list $m "annotations" ($t.annotations | default dict)) -}}
{{- include "wukong.validate.nodeSelector" (list $m "placement.nodeSelector" (dig "placement" "nodeSelector" dict $t)) -}}
{{- include "wukong.validate.resources" $m -}}
{{- include "wukong.validate.disks" $m -}}
{{- include "wukong.validate.networks" $m -}}
{{- include "wukong.validate.bootOrder" $m -}}
{{- include "wukong.validate.probes" $m -}}
{{- include "wukong.validate.cloudInit" $m -}}
{{- if hasKey $t "sysprep" }}{{ include "wukong.one" (list $m "sysprep" ($t.sysprep | default dict) (list "secretName" "configMapName")) }}{{ end -}}
{{- range $field := list "secureBoot" "persistentEFI" -}}
  {{- if and (dig "firmware" $field false $t) (ne (dig "firmware" "bootloader" "" $t) "EFI") -}}
    {{- include "wukong.error" (list $m (printf "firmware.%s" $field) (printf "found true with bootloader %s, must go with EFI: set firmware.bootloader to EFI" (include "wukong.show" (dig "firmware" "bootloader" "" $t)))) -}}
  {{- end -}}
{{- end -}}
{{- if $t.patch }}{{ include "wukong.validate.patch" $m }}{{ end -}}
{{- end -}}

{{/*
wukong.validate.labels and wukong.validate.annotations check what users add to
metadata.
Usage: {{ include "wukong.validate.labels" (list $c "labels" $labels) }}
*/}}
{{- define "wukong.validate.labels" -}}
{{- range $key, $value := index . 2 -}}
  {{- include "wukong.validate.key" (list (index $ 0) (index $ 1) $key) -}}
  {{- include "wukong.validate.labelValue" (list (index $ 0) (printf "%s.%s" (index $ 1) $key) $value) -}}
{{- end -}}
{{- end -}}

{{- define "wukong.validate.annotations" -}}
{{- $bytes := 0 -}}
{{- range $key, $value := index . 2 -}}
  {{- include "wukong.validate.key" (list (index $ 0) (index $ 1) $key) -}}
  {{- $bytes = add $bytes (len $key) (len $value) -}}
{{- end -}}
{{- if gt $bytes 65536 }}{{ include "wukong.error" (list (index . 0) (index . 1) (printf "found %d bytes, must be at most 65536 in all" $bytes)) }}{{ end -}}
{{- end -}}

{{/*
wukong.validate.key checks the shape of a key, and that it is the user's to
set.
Usage: {{ include "wukong.validate.key" (list $c "labels" $key) }}
*/}}
{{- define "wukong.validate.key" -}}
{{- $c := index . 0 -}}
{{- $key := index . 2 -}}
{{- include "wukong.validate.keyShape" . -}}
{{- if regexMatch "^(([a-z0-9.-]*\\.)?(wukong\\.io|helm\\.sh|kubevirt\\.io)|app\\.kubernetes\\.io)/" $key -}}
  {{- if not (regexMatch "^(vm\\.kubevirt\\.io/(os|workload|flavor)|wukong\\.io/snapshot-policy|app\\.kubernetes\\.io/(version|component))$" $key) -}}
    {{- include "wukong.error" (list $c (printf "%s.%s" (index . 1) $key) "is a key that Wukong, Helm or KubeVirt sets, must be one of your own") -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{- define "wukong.validate.keyShape" -}}
{{- $key := index . 2 -}}
{{- if or (gt (len $key) 253) (not (regexMatch "^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$" $key)) -}}
  {{- include "wukong.error" (list (index . 0) (index . 1) (printf "found the key %s, must be a Kubernetes key: an optional DNS prefix and a slash, then at most 63 letters, digits, dashes, dots and underscores" (include "wukong.show" $key))) -}}
{{- end -}}
{{- end -}}

{{/*
wukong.validate.labelValue checks the value of a label.
Usage: {{ include "wukong.validate.labelValue" (list $c "labels.tier" $value) }}
*/}}
{{- define "wukong.validate.labelValue" -}}
{{- $value := index . 2 -}}
{{- if or (gt (len $value) 63) (not (regexMatch "^([A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?)?$" $value)) -}}
  {{- include "wukong.error" (list (index . 0) (index . 1) (printf "found %s, must be at most 63 letters, digits, dashes, dots and underscores" (include "wukong.show" $value))) -}}
{{- end -}}
{{- end -}}

{{/*
wukong.validate.nodeSelector checks the labels a node must have.
Usage: {{ include "wukong.validate.nodeSelector" (list $c "placement.nodeSelector" $selector) }}
*/}}
{{- define "wukong.validate.nodeSelector" -}}
{{- range $key, $value := index . 2 -}}
  {{- include "wukong.validate.keyShape" (list (index $ 0) (index $ 1) $key) -}}
  {{- include "wukong.validate.labelValue" (list (index $ 0) (printf "%s.%s" (index $ 1) $key) $value) -}}
{{- end -}}
{{- end -}}

{{/*
wukong.validate.resources checks CPU and memory.
*/}}
{{- define "wukong.validate.resources" -}}
{{- $m := . -}}
{{- $t := $m.template -}}
{{- $r := $t.resources | default dict -}}
{{- if $t.instancetype -}}
  {{- range $field := list "cpu" "topology" "memory" "maxMemory" "hugepages" "dedicatedCPUPlacement" "cpuModel" -}}
    {{- if hasKey $r $field }}{{ include "wukong.error" (list $m (printf "resources.%s" $field) (printf "found beside instancetype %s, which gives CPU and memory: name another instancetype, or set resources.cpu and resources.memory in its place" (include "wukong.show" $t.instancetype.name))) }}{{ end -}}
  {{- end -}}
  {{- if contains "Preference" ($t.instancetype.kind | default "") }}{{ include "wukong.error" (list $m "instancetype.kind" (printf "found %s, must be VirtualMachineInstancetype or VirtualMachineClusterInstancetype" $t.instancetype.kind)) }}{{ end -}}
{{- else if not (hasKey $r "memory") -}}
  {{- include "wukong.error" (list $m "resources.memory" "found none, must be set, such as 4Gi, unless instancetype is") -}}
{{- end -}}
{{- if contains "Instancetype" (dig "preference" "kind" "" $t) }}{{ include "wukong.error" (list $m "preference.kind" (printf "found %s, must be VirtualMachinePreference or VirtualMachineClusterPreference" $t.preference.kind)) }}{{ end -}}
{{- range $field := list "memory" "maxMemory" -}}
  {{- if and (hasKey $r $field) (lt (int64 (include "wukong.bytes" (get $r $field))) 1048576) -}}
    {{- include "wukong.error" (list $m (printf "resources.%s" $field) (printf "found %s, must be a size of at least 1Mi, such as 4Gi" (include "wukong.show" (include "wukong.quantity" (get $r $field))))) -}}
  {{- end -}}
{{- end -}}
{{- if and (hasKey $r "memory") (hasKey $r "maxMemory") (lt (int64 (include "wukong.bytes" $r.maxMemory)) (int64 (include "wukong.bytes" $r.memory))) -}}
  {{- include "wukong.error" (list $m "resources.maxMemory" (printf "found %s, must be at least memory, which is %s" (include "wukong.quantity" $r.maxMemory) (include "wukong.quantity" $r.memory))) -}}
{{- end -}}
{{- if hasKey $r "maxMemory" -}}
  {{- $memory := int64 (include "wukong.bytes" ($r.memory | default 0)) -}}
  {{- if lt $memory 1073741824 }}{{ include "wukong.error" (list $m "resources.maxMemory" (printf "found with memory %s, must go with a memory of at least 1Gi: KubeVirt adds memory only to such machines" (include "wukong.quantity" ($r.memory | default 0)))) -}}
  {{- else if mod $memory 2097152 }}{{ include "wukong.error" (list $m "resources.memory" (printf "found %s, must be a multiple of 2Mi with maxMemory" (include "wukong.quantity" $r.memory))) }}{{ end -}}
{{- end -}}
{{- if and $r.topology $r.cpu -}}
  {{- $product := mul (int ($r.topology.sockets | default 1)) (int ($r.topology.cores | default 1)) (int ($r.topology.threads | default 1)) -}}
  {{- if ne $product (int64 $r.cpu) }}{{ include "wukong.error" (list $m "resources.topology" (printf "found sockets, cores and threads whose product is %d, must be cpu, which is %d: change one of them, or remove cpu" $product (int $r.cpu))) }}{{ end -}}
{{- end -}}
{{- end -}}

{{/*
wukong.validate.probes checks that a probe can reach the guest.
*/}}
{{- define "wukong.validate.probes" -}}
{{- $m := . -}}
{{- $pod := false -}}
{{- range $m.networks }}{{ if hasKey . "pod" }}{{ $pod = true }}{{ end }}{{ end -}}
{{- range $field := list "readinessProbe" "livenessProbe" -}}
  {{- range $action := list "tcpSocket" "httpGet" -}}
    {{- if and (not $pod) (hasKey (get $m.template $field | default dict) $action) }}{{ include "wukong.error" (list $m (printf "%s.%s" $field $action) "found without a pod network, over which it is made: add networks.default.pod, or use guestAgentPing or exec") }}{{ end -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/*
wukong.validate.bootOrder checks that no two devices have one place in the boot
order, and that it is clear what boots.
*/}}
{{- define "wukong.validate.bootOrder" -}}
{{- $m := . -}}
{{- $seen := dict -}}
{{- range $kind := list "disks" "networks" -}}
  {{- range $key, $device := get $m.template $kind | default dict -}}
    {{- if $device.bootOrder -}}
      {{- $id := toString (int $device.bootOrder) -}}
      {{- $path := printf "%s.%s" $kind $key -}}
      {{- if hasKey $seen $id }}{{ include "wukong.error" (list $m (printf "%s.bootOrder" $path) (printf "found %s, which %s has already: must be unique over disks and networks" $id (get $seen $id))) }}{{ end -}}
      {{- $_ := set $seen $id $path -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- if and (not $seen) (not (include "wukong.bootDisk" $m.template)) -}}
  {{- $full := list -}}
  {{- range $key, $disk := $m.template.disks }}{{ if and $disk.source (not (hasKey $disk.source "empty")) (ne ($disk.device | default "disk") "cdrom") }}{{ $full = append $full $key }}{{ end }}{{ end -}}
  {{- if gt (len $full) 1 }}{{ include "wukong.error" (list $m "disks" (printf "found no bootOrder among %s, must say which one boots: set bootOrder to 1 on it, or name it root" (join ", " $full))) }}{{ end -}}
{{- end -}}
{{- end -}}

{{/*
wukong.validate.tokens checks the tokens in a text.
Usage: {{ include "wukong.validate.tokens" (list $m "cloudInit.userData" $text $networks) }}
*/}}
{{- define "wukong.validate.tokens" -}}
{{- $networks := index . 3 -}}
{{- range $token := regexFindAll "@@[a-zA-Z][a-zA-Z0-9.-]*@@" (index . 2) -1 | uniq -}}
  {{- $parts := trimAll "@" $token | splitn "." 2 -}}
  {{- $known := has $token (list "@@name@@" "@@ordinal@@") -}}
  {{- if and $parts._1 (hasKey $networks $parts._1) -}}
    {{- if eq $parts._0 "mac" }}{{ $known = true }}{{ end -}}
    {{- if and (eq $parts._0 "address") (get $networks $parts._1).ipam }}{{ $known = true }}{{ end -}}
  {{- end -}}
  {{- if not $known -}}
    {{- $allowed := list "@@name@@" "@@ordinal@@" -}}
    {{- range $key, $network := $networks -}}
      {{- $allowed = append $allowed (printf "@@mac.%s@@" $key) -}}
      {{- if $network.ipam }}{{ $allowed = append $allowed (printf "@@address.%s@@" $key) }}{{ end -}}
    {{- end -}}
    {{- include "wukong.error" (list (index $ 0) (index $ 1) (printf "found the token %s, must be one of %s" $token (join ", " $allowed))) -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/*
wukong.validate.cloudInit checks cloud-init.
*/}}
{{- define "wukong.validate.cloudInit" -}}
{{- $m := . -}}
{{- $ci := $m.template.cloudInit | default dict -}}
{{- if $ci.userData -}}
  {{- $both := list -}}
  {{- range $field := list "user" "sshAuthorizedKeys" "packages" "packageUpdate" "packageUpgrade" "timezone" "bootCommands" "runCommands" "files" -}}
    {{- if hasKey $ci $field }}{{ $both = append $both $field }}{{ end -}}
  {{- end -}}
  {{- if $both }}{{ include "wukong.error" (list $m "cloudInit.userData" (printf "found beside %s, must stand alone: put those into the raw user data, or remove it" (join ", " $both))) }}{{ end -}}
  {{- if not (regexMatch "^(#|Content-Type:|MIME-Version:|From )" $ci.userData) -}}
    {{- include "wukong.error" (list $m "cloudInit.userData" (printf "found %s, must begin with #cloud-config, #! or a MIME header: cloud-init ignores anything else" (include "wukong.show" ($ci.userData | trunc 40)))) -}}
  {{- end -}}
{{- end -}}
{{- range $i, $key := $ci.sshAuthorizedKeys -}}
  {{- if not (regexMatch "^((ssh|ecdsa|sk-ssh|sk-ecdsa)[a-z0-9@.-]*|(restrict|command|from|no-|cert-authority|environment|permit)[^\n]*) [^\n]+$" $key) -}}
    {{- include "wukong.error" (list $m (printf "cloudInit.sshAuthorizedKeys[%d]" $i) (printf "found %s, must be one line of authorized_keys, such as \"ssh-ed25519 AAAA... me@home\"" (include "wukong.show" $key))) -}}
  {{- end -}}
{{- end -}}
{{- range $i, $package := $ci.packages -}}
  {{- if not (regexMatch "^[A-Za-z0-9@][A-Za-z0-9@.+:~_/=-]*$" $package) -}}
    {{- include "wukong.error" (list $m (printf "cloudInit.packages[%d]" $i) (printf "found %s, must be the name of a package" (include "wukong.show" $package))) -}}
  {{- end -}}
{{- end -}}
{{- range $path, $file := $ci.files -}}
  {{- if not (hasPrefix "/" $path) }}{{ include "wukong.error" (list $m "cloudInit.files" (printf "found the path %s, must begin with /" (include "wukong.show" $path))) }}{{ end -}}
{{- end -}}
{{- include "wukong.validate.tokens" (list $m "cloudInit.networkData" ($ci.networkData | default "") $m.networks) -}}
{{- include "wukong.validate.tokens" (list $m "cloudInit.userData" ($ci.userData | default "") $m.networks) -}}
{{- range $field := list "sshAuthorizedKeys" "bootCommands" "runCommands" -}}
  {{- range $i, $text := get $ci $field | default list -}}
    {{- include "wukong.validate.tokens" (list $m (printf "cloudInit.%s[%d]" $field $i) $text $m.networks) -}}
  {{- end -}}
{{- end -}}
{{- range $path, $file := $ci.files -}}
  {{- include "wukong.validate.tokens" (list $m (printf "cloudInit.files.%s.content" $path) $file.content $m.networks) -}}
{{- end -}}
{{- end -}}

{{/*
wukong.validate.patch checks the escape hatch: identity cannot be patched, nor
may a guest be given the node.
*/}}
{{- define "wukong.validate.patch" -}}
{{- $m := . -}}
{{- $patch := $m.template.patch -}}
{{- range $field := list "apiVersion" "kind" "status" -}}
  {{- if hasKey $patch $field }}{{ include "wukong.error" (list $m (printf "patch.%s" $field) "cannot be patched, must be removed") }}{{ end -}}
{{- end -}}
{{- range $field, $value := $patch -}}
  {{- if not (has $field (list "apiVersion" "kind" "status" "metadata" "spec")) }}{{ include "wukong.error" (list $m (printf "patch.%s" $field) "is no field of a VirtualMachine, must be metadata or spec") }}{{ end -}}
  {{- if and (has $field (list "metadata" "spec")) (not (kindIs "map" $value)) }}{{ include "wukong.error" (list $m (printf "patch.%s" $field) (printf "found %s, must be a map" (include "wukong.show" $value))) }}{{ end -}}
{{- end -}}
{{- $metadata := $patch.metadata | default dict -}}
{{- if kindIs "map" $metadata -}}
  {{- range $field, $value := $metadata -}}
    {{- if not (has $field (list "labels" "annotations")) }}{{ include "wukong.error" (list $m (printf "patch.metadata.%s" $field) "cannot be patched, must be labels or annotations") -}}
    {{- else if not (kindIs "map" $value) }}{{ include "wukong.error" (list $m (printf "patch.metadata.%s" $field) "must be a map") -}}
    {{- else }}{{ range $key, $_ := $value }}{{ include "wukong.validate.key" (list $m (printf "patch.metadata.%s" $field) $key) }}{{ end }}{{ end -}}
  {{- end -}}
{{- end -}}
{{- $json := toJson $patch -}}
{{- range $word := list "hostDisk" "hooks.kubevirt.io/hookSidecars" "containerPath" -}}
  {{- if contains (printf "%q:" $word) $json }}{{ include "wukong.error" (list $m "patch" (printf "found %s, which gives a guest the node or runs code beside it, and cannot be patched" $word)) }}{{ end -}}
{{- end -}}
{{- end -}}
