{{/*
wukong.class.virtualMachine renders a machine. Nothing that changes with the
chart's version or the pool's size may stand in spec.template, or an upgrade
of the chart would ask for restarts.
Usage: {{ include "wukong.class.virtualMachine" $m }}
*/}}
{{- define "wukong.class.virtualMachine" -}}
{{- $m := . -}}
{{- $c := $m.c -}}
{{- $t := $m.template -}}
{{- $labels := include "wukong.machine.labels" (list $m (dict "wukong.io/managed" "true")) | fromJson -}}
{{- $podLabels := dict "wukong.io/fleet" $c.fleet "wukong.io/pool" $m.pool "wukong.io/vm" $m.name "kubevirt.io/domain" $m.name -}}
{{- $metadata := dict "name" $m.name "namespace" $c.namespace "labels" (merge $labels ($t.labels | default dict)) -}}
{{- if $t.annotations }}{{ $_ := set $metadata "annotations" $t.annotations }}{{ end -}}
{{- $domain := dict "firmware" (dict "uuid" (include "wukong.token" (list $c "u")) "serial" (include "wukong.token" (list $c "s"))) "devices" dict -}}
{{- $guest := dict "architecture" ($t.architecture | default "amd64") "domain" $domain "subdomain" (printf "%s-%s" $c.fleet $m.pool) -}}
{{- include "wukong.vm.resources" (list $m $domain) -}}
{{- include "wukong.vm.firmware" (list $m $domain) -}}
{{- include "wukong.vm.devices" (list $m $domain.devices) -}}
{{- include "wukong.vm.disks" (list $m $guest) -}}
{{- include "wukong.vm.networks" (list $m $guest) -}}
{{- include "wukong.vm.placement" (list $m $guest) -}}
{{- include "wukong.vm.accessCredentials" (list $m $guest) -}}
{{- range $key := list "evictionStrategy" "readinessProbe" "livenessProbe" -}}
  {{- if hasKey $t $key }}{{ $_ := set $guest $key (get $t $key) }}{{ end -}}
{{- end -}}
{{- if hasKey $t "terminationGracePeriodSeconds" }}{{ $_ := set $guest "terminationGracePeriodSeconds" (int64 $t.terminationGracePeriodSeconds) }}{{ end -}}
{{- $spec := dict
  "runStrategy" ($t.runStrategy | default "Always")
  "template" (dict "metadata" (dict "labels" (merge $podLabels ($t.labels | default dict))) "spec" $guest) -}}
{{- range $key := list "instancetype" "preference" -}}
  {{- if hasKey $t $key }}{{ $_ := set $spec $key (merge (dict "kind" ((get $t $key).kind | default (printf "VirtualMachineCluster%s" (title $key)))) (get $t $key)) }}{{ end -}}
{{- end -}}
{{- include "wukong.vm.dataVolumeTemplates" (list $m $spec) -}}
{{- $vm := dict "apiVersion" "kubevirt.io/v1" "kind" "VirtualMachine" "metadata" $metadata "spec" $spec -}}
{{- if $t.patch }}{{ include "wukong.mergePatch" (list $vm $t.patch) }}{{ end -}}
{{- include "wukong.emit" (list $c $vm) -}}
{{- end -}}

{{/*
wukong.vm.resources sets the CPU and memory of a domain.
Usage: {{ include "wukong.vm.resources" (list $m $domain) }}
*/}}
{{- define "wukong.vm.resources" -}}
{{- $t := (index . 0).template -}}
{{- $domain := index . 1 -}}
{{- $r := $t.resources | default dict -}}
{{- $cpu := dict -}}
{{- if $r.topology -}}
  {{- range $key := list "sockets" "cores" "threads" }}{{ $_ := set $cpu $key (get $r.topology $key | default 1 | int) }}{{ end -}}
{{- else if or $r.cpu (not $t.instancetype) -}}
  {{- $cpu = dict "sockets" ($r.cpu | default 1 | int) "cores" 1 "threads" 1 -}}
{{- end -}}
{{- if $r.cpuModel }}{{ $_ := set $cpu "model" $r.cpuModel }}{{ end -}}
{{- if hasKey $r "dedicatedCPUPlacement" }}{{ $_ := set $cpu "dedicatedCpuPlacement" $r.dedicatedCPUPlacement }}{{ end -}}
{{- if $cpu }}{{ $_ := set $domain "cpu" $cpu }}{{ end -}}
{{- $memory := dict -}}
{{- if hasKey $r "memory" }}{{ $_ := set $memory "guest" (include "wukong.quantity" $r.memory) }}{{ end -}}
{{- if hasKey $r "maxMemory" }}{{ $_ := set $memory "maxGuest" (include "wukong.quantity" $r.maxMemory) }}{{ end -}}
{{- if hasKey $r "hugepages" }}{{ $_ := set $memory "hugepages" (dict "pageSize" $r.hugepages) }}{{ end -}}
{{- if $memory }}{{ $_ := set $domain "memory" $memory }}{{ end -}}
{{- end -}}

{{/*
wukong.vm.firmware sets how a domain boots.
Usage: {{ include "wukong.vm.firmware" (list $m $domain) }}
*/}}
{{- define "wukong.vm.firmware" -}}
{{- $t := (index . 0).template -}}
{{- $domain := index . 1 -}}
{{- $f := $t.firmware | default dict -}}
{{- if eq ($f.bootloader | default "") "BIOS" }}{{ $_ := set $domain.firmware "bootloader" (dict "bios" dict) }}{{ end -}}
{{- if eq ($f.bootloader | default "") "EFI" -}}
  {{- $efi := dict "secureBoot" ($f.secureBoot | default false) -}}
  {{- if hasKey $f "persistentEFI" }}{{ $_ := set $efi "persistent" $f.persistentEFI }}{{ end -}}
  {{- $_ := set $domain.firmware "bootloader" (dict "efi" $efi) -}}
  {{- if $efi.secureBoot }}{{ $_ := set $domain "features" (dict "smm" (dict "enabled" true)) }}{{ end -}}
{{- end -}}
{{- if hasKey $f "tpm" }}{{ $_ := set $domain.devices "tpm" (pick ($f.tpm | default dict) "persistent") }}{{ end -}}
{{- if $t.machineType }}{{ $_ := set $domain "machine" (dict "type" $t.machineType) }}{{ end -}}
{{- end -}}

{{/*
wukong.vm.devices sets what else is plugged into a domain.
Usage: {{ include "wukong.vm.devices" (list $m $devices) }}
*/}}
{{- define "wukong.vm.devices" -}}
{{- $devices := index . 1 -}}
{{- $d := (index . 0).template.devices | default dict -}}
{{- range $key := list "gpus" "hostDevices" -}}
  {{- $list := list -}}
  {{- range $name, $device := get $d $key | default dict }}{{ $list = append $list (dict "name" $name "deviceName" $device.deviceName) }}{{ end -}}
  {{- if $list }}{{ $_ := set $devices $key $list }}{{ end -}}
{{- end -}}
{{- if hasKey $d "watchdog" }}{{ $_ := set $devices "watchdog" (dict "name" "watchdog" "i6300esb" (dict "action" (dig "watchdog" "action" "Reset" $d | lower))) }}{{ end -}}
{{- if $d.rng }}{{ $_ := set $devices "rng" dict }}{{ end -}}
{{- if $d.tablet }}{{ $_ := set $devices "inputs" (list (dict "name" "tablet" "type" "tablet" "bus" "usb")) }}{{ end -}}
{{- end -}}

{{/*
wukong.vm.placement sets where a machine may run.
Usage: {{ include "wukong.vm.placement" (list $m $guest) }}
*/}}
{{- define "wukong.vm.placement" -}}
{{- $m := index . 0 -}}
{{- $guest := index . 1 -}}
{{- $p := $m.template.placement | default dict -}}
{{- range $key := list "nodeSelector" "tolerations" "affinity" "priorityClassName" "schedulerName" -}}
  {{- if get $p $key }}{{ $_ := set $guest $key (get $p $key) }}{{ end -}}
{{- end -}}
{{- if hasKey $p "spread" -}}
  {{- $s := $p.spread | default dict -}}
  {{- $_ := set $guest "topologySpreadConstraints" (list (dict
    "maxSkew" ($s.maxSkew | default 1 | int)
    "topologyKey" ($s.topologyKey | default "kubernetes.io/hostname")
    "whenUnsatisfiable" ($s.whenUnsatisfiable | default "ScheduleAnyway")
    "labelSelector" (dict "matchLabels" (dict "wukong.io/fleet" $m.c.fleet "wukong.io/pool" $m.pool)))) -}}
{{- end -}}
{{- end -}}

{{/*
wukong.vm.accessCredentials sets what the agent, or KubeVirt at boot, puts
into a guest.
Usage: {{ include "wukong.vm.accessCredentials" (list $m $guest) }}
*/}}
{{- define "wukong.vm.accessCredentials" -}}
{{- $t := (index . 0).template -}}
{{- $guest := index . 1 -}}
{{- $list := list -}}
{{- with dig "cloudInit" "sshAuthorizedKeysSecret" "" $t -}}
  {{- $method := eq (dig "cloudInit" "dataSource" "NoCloud" $t) "NoCloud" | ternary "noCloud" "configDrive" -}}
  {{- $list = append $list (dict "sshPublicKey" (dict "source" (dict "secret" (dict "secretName" .)) "propagationMethod" (dict $method dict))) -}}
{{- end -}}
{{- $a := $t.accessCredentials | default dict -}}
{{- with $a.sshPublicKeys -}}
  {{- $list = append $list (dict "sshPublicKey" (dict "source" (dict "secret" (dict "secretName" .secretName)) "propagationMethod" (dict "qemuGuestAgent" (dict "users" .users)))) -}}
{{- end -}}
{{- with $a.userPassword -}}
  {{- $list = append $list (dict "userPassword" (dict "source" (dict "secret" (dict "secretName" .secretName)) "propagationMethod" (dict "qemuGuestAgent" dict))) -}}
{{- end -}}
{{- if $list }}{{ $_ := set $guest "accessCredentials" $list }}{{ end -}}
{{- end -}}
