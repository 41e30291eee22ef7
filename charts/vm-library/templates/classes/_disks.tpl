{{/*
wukong.bootDisk gives the key of the disk a machine boots from: the one the
user says, root, or the only one that is not empty.
Usage: {{ include "wukong.bootDisk" $template }}
*/}}
{{- define "wukong.bootDisk" -}}
{{- $said := "" -}}
{{- $full := list -}}
{{- range $key, $disk := .disks -}}
  {{- if eq (int $disk.bootOrder) 1 }}{{ $said = $key }}{{ end -}}
  {{- if and (not (hasKey ($disk.source | default dict) "empty")) (ne ($disk.device | default "disk") "cdrom") }}{{ $full = append $full $key }}{{ end -}}
{{- end -}}
{{- if $said }}{{ $said -}}
{{- else if has "root" $full }}root
{{- else if eq (len $full) 1 }}{{ first $full -}}
{{- end -}}
{{- end -}}

{{/*
wukong.boots says "true" if the user gives any boot order.
*/}}
{{- define "wukong.boots" -}}
{{- range .disks }}{{ if .bootOrder }}true{{ end }}{{ end -}}
{{- range .networks }}{{ if .bootOrder }}true{{ end }}{{ end -}}
{{- end -}}

{{/*
wukong.vm.disks sets the disks and volumes of a machine: the boot disk first,
the others in the order of their keys, then cloud-init and sysprep.
Usage: {{ include "wukong.vm.disks" (list $m $guest) }}
*/}}
{{- define "wukong.vm.disks" -}}
{{- $m := index . 0 -}}
{{- $guest := index . 1 -}}
{{- $t := $m.template -}}
{{- $boot := include "wukong.bootDisk" $t -}}
{{- $keys := list -}}
{{- if $boot }}{{ $keys = list $boot }}{{ end -}}
{{- range $key, $disk := $t.disks }}{{ if ne $key $boot }}{{ $keys = append $keys $key }}{{ end }}{{ end -}}
{{- $disks := list -}}
{{- $volumes := list -}}
{{- range $key := $keys -}}
  {{- $disk := get $t.disks $key -}}
  {{- $entry := include "wukong.vm.disk" (list $m $key $disk) | fromJson -}}
  {{- if and (eq $key $boot) (not (include "wukong.boots" $t)) }}{{ $_ := set $entry "bootOrder" 1 }}{{ end -}}
  {{- $disks = append $disks $entry -}}
  {{- $volume := dict "dataVolume" (dict "name" (printf "%s-%s" $m.name $key)) -}}
  {{- if hasKey $disk.source "pvc" }}{{ $volume = dict "persistentVolumeClaim" (dict "claimName" (include "wukong.userTokens" (list $m $disk.source.pvc.claimName))) }}{{ end -}}
  {{- if hasKey $disk "hotpluggable" }}{{ range $volume }}{{ $_ := set . "hotpluggable" $disk.hotpluggable }}{{ end }}{{ end -}}
  {{- $volumes = append $volumes (merge (dict "name" $key) $volume) -}}
{{- end -}}
{{- if include "wukong.cloudInit.wanted" $m -}}
  {{- $disks = append $disks (dict "name" "cloudinit" "disk" (dict "bus" "virtio")) -}}
  {{- $volumes = append $volumes (include "wukong.cloudInit.volume" $m | fromJson) -}}
{{- end -}}
{{- with $t.sysprep -}}
  {{- $disks = append $disks (dict "name" "sysprep" "cdrom" (dict "bus" "sata")) -}}
  {{- $source := empty .secretName | ternary (dict "configMap" (dict "name" .configMapName)) (dict "secret" (dict "name" .secretName)) -}}
  {{- $volumes = append $volumes (dict "name" "sysprep" "sysprep" $source) -}}
{{- end -}}
{{- if $disks -}}
  {{- $_ := set $guest.domain.devices "disks" $disks -}}
  {{- $_ := set $guest "volumes" $volumes -}}
{{- end -}}
{{- end -}}

{{/*
wukong.vm.disk gives, as JSON, one entry of a domain's disks.
Usage: {{ include "wukong.vm.disk" (list $m "root" $disk) | fromJson }}
*/}}
{{- define "wukong.vm.disk" -}}
{{- $m := index . 0 -}}
{{- $disk := index . 2 -}}
{{- $device := $disk.device | default "disk" -}}
{{- $target := dict -}}
{{- if $disk.bus }}{{ $_ := set $target "bus" $disk.bus -}}
{{- else if eq $device "cdrom" }}{{ $_ := set $target "bus" "sata" -}}
{{- else if eq $device "lun" }}{{ $_ := set $target "bus" "scsi" -}}
{{- else if not $m.template.preference }}{{ $_ := set $target "bus" "virtio" -}}
{{- end -}}
{{- if hasKey $disk "readOnly" }}{{ $_ := set $target "readonly" $disk.readOnly }}{{ end -}}
{{- $entry := dict "name" (index . 1) $device $target -}}
{{- if $disk.bootOrder }}{{ $_ := set $entry "bootOrder" (int $disk.bootOrder) }}{{ end -}}
{{- if $disk.serial }}{{ $_ := set $entry "serial" (include "wukong.userTokens" (list $m $disk.serial)) }}{{ end -}}
{{- range $key := list "cache" "io" "shareable" -}}
  {{- if hasKey $disk $key }}{{ $_ := set $entry $key (get $disk $key) }}{{ end -}}
{{- end -}}
{{- toJson $entry -}}
{{- end -}}

{{/*
wukong.vm.dataVolumeTemplates sets the disks that are made and deleted with
their machine.
Usage: {{ include "wukong.vm.dataVolumeTemplates" (list $m $spec) }}
*/}}
{{- define "wukong.vm.dataVolumeTemplates" -}}
{{- $m := index . 0 -}}
{{- if not $m.retain -}}
  {{- $templates := list -}}
  {{- range $key, $disk := $m.template.disks -}}
    {{- if not (hasKey $disk.source "pvc") -}}
      {{- $templates = append $templates (dict
        "metadata" (dict "name" (printf "%s-%s" $m.name $key) "labels" (dict "wukong.io/fleet" $m.c.fleet "wukong.io/pool" $m.pool "wukong.io/vm" $m.name "wukong.io/disk" $key))
        "spec" (include "wukong.dataVolume.spec" (list $m $disk) | fromJson)) -}}
    {{- end -}}
  {{- end -}}
  {{- if $templates }}{{ $_ := set (index . 1) "dataVolumeTemplates" $templates }}{{ end -}}
{{- end -}}
{{- end -}}
