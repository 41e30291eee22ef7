{{/*
wukong.cloudInit.wanted says "true" if a machine needs cloud-init: to be
configured, to take keys, or to set up more than one network, or a static
address.
Usage: {{ include "wukong.cloudInit.wanted" $m }}
*/}}
{{- define "wukong.cloudInit.wanted" -}}
{{- if .template.cloudInit }}true{{ else if include "wukong.cloudInit.network" . }}true{{ end -}}
{{- end -}}

{{/*
wukong.cloudInit.network says "true" if a machine needs network data: guests
set up their first network by themselves, and no other.
*/}}
{{- define "wukong.cloudInit.network" -}}
{{- $t := .template -}}
{{- $static := false -}}
{{- range .networks }}{{ if .ipam }}{{ $static = true }}{{ end }}{{ end -}}
{{- if dig "cloudInit" "networkData" "" $t }}true
{{- else if $static }}true
{{- else if and $t.cloudInit (gt (len .networks) 1) }}true
{{- end -}}
{{- end -}}

{{/*
wukong.cloudInit.volume gives, as JSON, the volume that carries cloud-init.
*/}}
{{- define "wukong.cloudInit.volume" -}}
{{- $m := . -}}
{{- $ref := dict "name" (printf "%s-cloudinit" $m.name) -}}
{{- $source := dict "secretRef" $ref -}}
{{- if include "wukong.cloudInit.network" $m }}{{ $_ := set $source "networkDataSecretRef" $ref }}{{ end -}}
{{- $kind := printf "cloudInit%s" (dig "cloudInit" "dataSource" "NoCloud" $m.template) -}}
{{- dict "name" "cloudinit" $kind $source | toJson -}}
{{- end -}}

{{/*
wukong.class.cloudInitSecret renders the Secret with a machine's cloud-init.
It is never inline: that would stand in every copy of the machine.
Usage: {{ include "wukong.class.cloudInitSecret" $m }}
*/}}
{{- define "wukong.class.cloudInitSecret" -}}
{{- $m := . -}}
{{- $data := dict "userdata" (include "wukong.cloudInit.userData" $m) -}}
{{- if include "wukong.cloudInit.network" $m }}{{ $_ := set $data "networkdata" (include "wukong.cloudInit.networkData" $m) }}{{ end -}}
{{- include "wukong.emit" (list $m.c (dict
  "apiVersion" "v1" "kind" "Secret" "type" "Opaque"
  "metadata" (dict
    "name" (printf "%s-cloudinit" $m.name)
    "namespace" $m.c.namespace
    "labels" (include "wukong.machine.labels" (list $m dict) | fromJson))
  "stringData" $data)) -}}
{{- end -}}

{{/*
wukong.cloudInit.userData writes user data: what the user gives, or a
cloud-config of the structured fields.
*/}}
{{- define "wukong.cloudInit.userData" -}}
{{- $m := . -}}
{{- $ci := $m.template.cloudInit | default dict -}}
{{- if $ci.userData -}}
{{- include "wukong.userTokens" (list $m $ci.userData) -}}
{{- else -}}
{{- $config := dict "hostname" $m.name -}}
{{- with $ci.user -}}
  {{- $user := dict "name" . "lock_passwd" true "shell" "/bin/bash" "sudo" "ALL=(ALL) NOPASSWD:ALL" -}}
  {{- if $ci.sshAuthorizedKeys }}{{ $_ := set $user "ssh_authorized_keys" $ci.sshAuthorizedKeys }}{{ end -}}
  {{- $_ := set $config "users" (list $user) -}}
{{- else -}}
  {{- with $ci.sshAuthorizedKeys }}{{ $_ := set $config "ssh_authorized_keys" . }}{{ end -}}
{{- end -}}
{{- range $key, $name := dict "packages" "packages" "timezone" "timezone" "bootCommands" "bootcmd" "runCommands" "runcmd" "packageUpdate" "package_update" "packageUpgrade" "package_upgrade" -}}
  {{- if hasKey $ci $key }}{{ $_ := set $config $name (get $ci $key) }}{{ end -}}
{{- end -}}
{{- $files := list -}}
{{- range $path, $file := $ci.files -}}
  {{- $entry := dict "path" $path "content" $file.content -}}
  {{- if $file.permissions }}{{ $_ := set $entry "permissions" $file.permissions }}{{ end -}}
  {{- if $file.owner }}{{ $_ := set $entry "owner" $file.owner }}{{ end -}}
  {{- $files = append $files $entry -}}
{{- end -}}
{{- if $files }}{{ $_ := set $config "write_files" $files }}{{ end -}}
{{- $text := printf "#cloud-config\n%s\n" (toYaml $config) -}}
{{- include "wukong.userTokens" (list $m $text) -}}
{{- end -}}
{{- end -}}

{{/*
wukong.cloudInit.networkData writes network data for every network, or the
second would stay unconfigured on guests that use netplan.
*/}}
{{- define "wukong.cloudInit.networkData" -}}
{{- $m := . -}}
{{- $given := dig "cloudInit" "networkData" "" $m.template -}}
{{- if $given -}}
{{- include "wukong.userTokens" (list $m $given) -}}
{{- else -}}
{{- $ethernets := dict -}}
{{- range $key, $network := $m.networks -}}
  {{- $mac := $network.macAddress | default (include "wukong.token" (list $m.c (printf "m.%s" $key))) | lower -}}
  {{- $ethernet := dict "match" (dict "macaddress" $mac) -}}
  {{- with $network.ipam -}}
    {{- $bits := splitList "/" .cidr | last -}}
    {{- $_ := set $ethernet "addresses" (list (printf "%s/%s" (include "wukong.token" (list $m.c (printf "a.%s" $key))) $bits)) -}}
    {{- if .gateway }}{{ $_ := set $ethernet "routes" (list (dict "to" (contains ":" .gateway | ternary "::/0" "0.0.0.0/0") "via" .gateway)) }}{{ end -}}
    {{- $names := dict -}}
    {{- if .nameservers }}{{ $_ := set $names "addresses" .nameservers }}{{ end -}}
    {{- if .searchDomains }}{{ $_ := set $names "search" .searchDomains }}{{ end -}}
    {{- if $names }}{{ $_ := set $ethernet "nameservers" $names }}{{ end -}}
  {{- else -}}
    {{- $_ := set $ethernet "dhcp4" true -}}
  {{- end -}}
  {{- $_ := set $ethernets $key $ethernet -}}
{{- end -}}
{{- dict "version" 2 "ethernets" $ethernets | toYaml }}
{{ end -}}
{{- end -}}
