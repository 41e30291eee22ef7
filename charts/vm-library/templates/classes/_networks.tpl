{{/*
wukong.vm.networks sets the networks and interfaces of a machine: the Pod
network first, the others in the order of their keys.
Usage: {{ include "wukong.vm.networks" (list $m $guest) }}
*/}}
{{- define "wukong.vm.networks" -}}
{{- $m := index . 0 -}}
{{- $guest := index . 1 -}}
{{- $keys := list -}}
{{- range $key, $network := $m.networks }}{{ if hasKey $network "pod" }}{{ $keys = append $keys $key }}{{ end }}{{ end -}}
{{- range $key, $network := $m.networks }}{{ if not (hasKey $network "pod") }}{{ $keys = append $keys $key }}{{ end }}{{ end -}}
{{- $networks := list -}}
{{- $interfaces := list -}}
{{- range $key := $keys -}}
  {{- $network := get $m.networks $key -}}
  {{- $interfaces = append $interfaces (include "wukong.vm.interface" (list $m $key $network) | fromJson) -}}
  {{- if hasKey $network "pod" -}}
    {{- $networks = append $networks (dict "name" $key "pod" (pick ($network.pod | default dict) "vmNetworkCIDR")) -}}
  {{- else -}}
    {{- $multus := dict "networkName" (include "wukong.networkName" (list $m.c $network.multus.networkName)) -}}
    {{- if hasKey $network.multus "default" }}{{ $_ := set $multus "default" $network.multus.default }}{{ end -}}
    {{- $networks = append $networks (dict "name" $key "multus" $multus) -}}
  {{- end -}}
{{- end -}}
{{- $_ := set $guest.domain.devices "interfaces" $interfaces -}}
{{- $_ := set $guest "networks" $networks -}}
{{- end -}}

{{/*
wukong.networkName gives the NetworkAttachmentDefinition of a multus network:
a key of hostNetworks means the fleet's own.
Usage: {{ include "wukong.networkName" (list $c "vlan10") }}
*/}}
{{- define "wukong.networkName" -}}
{{- $c := index . 0 -}}
{{- if hasKey $c.hostNetworks (index . 1) }}{{ $c.fleet }}-{{ index . 1 }}{{ else }}{{ index . 1 }}{{ end -}}
{{- end -}}

{{/*
wukong.vm.interface gives, as JSON, one entry of a domain's interfaces.
Usage: {{ include "wukong.vm.interface" (list $m "default" $network) | fromJson }}
*/}}
{{- define "wukong.vm.interface" -}}
{{- $m := index . 0 -}}
{{- $key := index . 1 -}}
{{- $network := index . 2 -}}
{{- $entry := dict "name" $key "macAddress" ($network.macAddress | default (include "wukong.token" (list $m.c (printf "m.%s" $key)))) -}}
{{- if $network.bindingPlugin -}}
  {{- $_ := set $entry "binding" (dict "name" $network.bindingPlugin) -}}
{{- else -}}
  {{- $_ := set $entry ($network.binding | default (hasKey $network "pod" | ternary "masquerade" "bridge")) dict -}}
{{- end -}}
{{- if $network.model }}{{ $_ := set $entry "model" $network.model }}{{ end -}}
{{- if $network.bootOrder }}{{ $_ := set $entry "bootOrder" (int $network.bootOrder) }}{{ end -}}
{{- $ports := list -}}
{{- range $name, $port := $network.ports -}}
  {{- $ports = append $ports (dict "name" $name "port" (int $port.port) "protocol" ($port.protocol | default "TCP")) -}}
{{- end -}}
{{- if $ports }}{{ $_ := set $entry "ports" $ports }}{{ end -}}
{{- toJson $entry -}}
{{- end -}}

{{/*
wukong.class.hostNetwork renders a bridge on the nodes, and the
NetworkAttachmentDefinition that machines reach it by.
Usage: {{ include "wukong.class.hostNetwork" (list $c "vlan10" $network) }}
*/}}
{{- define "wukong.class.hostNetwork" -}}
{{- $c := index . 0 -}}
{{- $key := index . 1 -}}
{{- $network := index . 2 -}}
{{- $bridge := $network.bridge | default (printf "br-%s" $network.port) -}}
{{- $labels := include "wukong.labels" (list $c dict) | fromJson -}}
{{- $interface := dict
  "name" $bridge "type" "linux-bridge" "state" "up"
  "ipv4" (dict "enabled" false) "ipv6" (dict "enabled" false)
  "bridge" (dict
    "options" (dict "stp" (dict "enabled" false))
    "port" (list (dict "name" $network.port "vlan" (dict "mode" "trunk" "trunk-tags" (list (dict "id-range" (dict "min" 1 "max" 4094))))))) -}}
{{- if $network.mtu }}{{ $_ := set $interface "mtu" (int $network.mtu) }}{{ end -}}
{{- $spec := dict "desiredState" (dict "interfaces" (list $interface)) -}}
{{- if $network.nodeSelector }}{{ $_ := set $spec "nodeSelector" $network.nodeSelector }}{{ end -}}
{{- include "wukong.emit" (list $c (dict
  "apiVersion" "nmstate.io/v1" "kind" "NodeNetworkConfigurationPolicy"
  "metadata" (dict "name" (printf "%s-%s-%s" $c.namespace $c.fleet $key) "labels" $labels)
  "spec" $spec)) -}}
{{- $name := printf "%s-%s" $c.fleet $key -}}
{{- $config := dict "cniVersion" "0.3.1" "name" $name "type" "bridge" "bridge" $bridge "macspoofchk" true "ipam" dict -}}
{{- if $network.vlan }}{{ $_ := set $config "vlan" (int $network.vlan) }}{{ end -}}
{{- if $network.mtu }}{{ $_ := set $config "mtu" (int $network.mtu) }}{{ end -}}
{{- include "wukong.emit" (list $c (dict
  "apiVersion" "k8s.cni.cncf.io/v1" "kind" "NetworkAttachmentDefinition"
  "metadata" (dict "name" $name "namespace" $c.namespace "labels" $labels
    "annotations" (dict "k8s.v1.cni.cncf.io/resourceName" (printf "bridge.network.kubevirt.io/%s" $bridge)))
  "spec" (dict "config" (toJson $config)))) -}}
{{- end -}}
