{{/*
wukong.validate.disks checks the disks of a machine.
*/}}
{{- define "wukong.validate.disks" -}}
{{- $m := . -}}
{{- $last := add (int (include "wukong.pool.start" $m.spec)) (max 1 (int (include "wukong.pool.replicas" $m.spec))) -1 -}}
{{- $name := printf "%s-%s-%d" $m.c.fleet $m.pool $last -}}
{{- range $key, $disk := $m.template.disks -}}
  {{- $path := printf "disks.%s" $key -}}
  {{- if has $key (list "cloudinit" "sysprep") }}{{ include "wukong.error" (list $m $path (printf "found the key %s, which is kept for the machine's own %s disk: choose another" $key $key)) }}{{ end -}}
  {{- if gt (len (printf "%s-%s" $name $key)) 63 -}}
    {{- include "wukong.error" (list $m $path (printf "the disk of the last machine would be named %s-%s, which has %d characters and must have at most 63: shorten a key or the fleet's name; names are never cut" $name $key (len (printf "%s-%s" $name $key)))) -}}
  {{- end -}}
  {{- include "wukong.validate.disk" (list $m $path $disk) -}}
{{- end -}}
{{- if and (include "wukong.cloudInit.wanted" $m) (gt (len (printf "%s-cloudinit" $name)) 63) -}}
  {{- include "wukong.error" (list $m "cloudInit" (printf "the Secret of the last machine would be named %s-cloudinit, which has %d characters and must have at most 63: shorten a key or the fleet's name; names are never cut" $name (len (printf "%s-cloudinit" $name)))) -}}
{{- end -}}
{{- end -}}

{{/*
wukong.validate.disk checks one disk.
Usage: {{ include "wukong.validate.disk" (list $m "disks.root" $disk) }}
*/}}
{{- define "wukong.validate.disk" -}}
{{- $m := index . 0 -}}
{{- $path := index . 1 -}}
{{- $disk := index . 2 -}}
{{- $source := $disk.source | default dict -}}
{{- $device := $disk.device | default "disk" -}}
{{- include "wukong.one" (list $m (printf "%s.source" $path) $source (list "image" "import" "pvc" "clone" "empty")) -}}
{{- if hasKey $source "pvc" -}}
  {{- range $field := list "size" "storageClassName" "accessModes" "volumeMode" -}}
    {{- if hasKey $disk $field }}{{ include "wukong.error" (list $m (printf "%s.%s" $path $field) "found with source.pvc, which takes the claim as it is: remove the field, or clone the claim with source.clone.pvc") }}{{ end -}}
  {{- end -}}
  {{- include "wukong.validate.tokens" (list $m (printf "%s.source.pvc.claimName" $path) $source.pvc.claimName $m.networks) -}}
{{- else -}}
  {{- include "wukong.validate.size.disk" (list $m (printf "%s.size" $path) $disk (or (hasKey $source "import") (hasKey $source "empty"))) -}}
{{- end -}}
{{- if and (hasKey $source "image") (not (hasKey $m.c.images $source.image)) -}}
  {{- include "wukong.error" (list $m (printf "%s.source.image" $path) (printf "found %s, must be a key of images: %s" (include "wukong.show" $source.image) (empty $m.c.images | ternary "there are none" (keys $m.c.images | sortAlpha | join ", ")))) -}}
{{- end -}}
{{- with dig ($source.image | default "") "size" "" $m.c.images -}}
  {{- if and (hasKey $disk "size") (lt (int64 (include "wukong.bytes" $disk.size)) (int64 (include "wukong.bytes" .))) -}}
    {{- include "wukong.error" (list $m (printf "%s.size" $path) (printf "found %s, must be at least the size of image %s, which is %s: a clone cannot be smaller than its source" (include "wukong.quantity" $disk.size) $source.image (include "wukong.quantity" .))) -}}
  {{- end -}}
{{- end -}}
{{- if hasKey $source "import" }}{{ include "wukong.validate.importSource" (list $m (printf "%s.source.import" $path) (get $source "import")) }}{{ end -}}
{{- if and (dig "import" "http" "checksum" "" $source) (not $m.retain) -}}
  {{- include "wukong.error" (list $m (printf "%s.source.import.http.checksum" $path) "found with retentionPolicy Delete: KubeVirt drops it from disks that are made with their machine, and nothing would be verified: use retentionPolicy Retain, or import the disk once as one of images") -}}
{{- end -}}
{{- if hasKey $source "clone" -}}
  {{- include "wukong.one" (list $m (printf "%s.source.clone" $path) $source.clone (list "pvc" "snapshot" "virtualMachine")) -}}
  {{- range $kind, $from := $source.clone }}{{ include "wukong.validate.tokens" (list $m (printf "%s.source.clone.%s.name" $path $kind) $from.name dict) }}{{ end -}}
{{- end -}}
{{- if and (eq $device "cdrom") (eq ($disk.bus | default "sata") "virtio") }}{{ include "wukong.error" (list $m (printf "%s.bus" $path) "found virtio with device cdrom, must be sata, scsi or usb") }}{{ end -}}
{{- if and (eq $device "lun") (ne ($disk.bus | default "scsi") "scsi") }}{{ include "wukong.error" (list $m (printf "%s.bus" $path) (printf "found %s with device lun, must be scsi" $disk.bus)) }}{{ end -}}
{{- if and (eq $device "disk") $disk.readOnly (eq ($disk.bus | default "") "sata") }}{{ include "wukong.error" (list $m (printf "%s.readOnly" $path) "found true with bus sata, which has no read-only disks: choose virtio or scsi, or device cdrom") }}{{ end -}}
{{- if and $disk.hotpluggable (not (has ($disk.bus | default "virtio") (list "virtio" "scsi"))) }}{{ include "wukong.error" (list $m (printf "%s.hotpluggable" $path) (printf "found true with bus %s, must go with virtio or scsi" $disk.bus)) }}{{ end -}}
{{- with $disk.serial -}}
  {{- include "wukong.validate.tokens" (list $m (printf "%s.serial" $path) . dict) -}}
  {{- if contains "@" (regexReplaceAll "@@(name|ordinal)@@" . "") }}{{ include "wukong.error" (list $m (printf "%s.serial" $path) (printf "found %s, must be letters, digits, _ . + and -, with tokens or without" (include "wukong.show" .))) }}{{ end -}}
{{- end -}}
{{- range $where, $named := dict "source.pvc.claimName" (dig "pvc" "claimName" "" $source) "source.clone.pvc.name" (dig "clone" "pvc" "name" "" $source) "source.clone.snapshot.name" (dig "clone" "snapshot" "name" "" $source) "source.clone.virtualMachine.name" (dig "clone" "virtualMachine" "name" "" $source) -}}
  {{- $rest := regexReplaceAll "@@(name|ordinal)@@" $named "0" -}}
  {{- if and $named (not (regexMatch "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$" $rest)) (not (regexMatch "@@[a-zA-Z][a-zA-Z0-9.-]*@@" $rest)) }}{{ include "wukong.error" (list $m (printf "%s.%s" $path $where) (printf "found %s, must be the name of an object: lower-case letters, digits, dashes and dots, with tokens or without" (include "wukong.show" $named))) }}{{ end -}}
{{- end -}}
{{- end -}}

{{/*
wukong.validate.networks checks the networks of a machine.
*/}}
{{- define "wukong.validate.networks" -}}
{{- $m := . -}}
{{- $pods := list -}}
{{- $defaults := list -}}
{{- range $key, $network := $m.networks -}}
  {{- $path := printf "networks.%s" $key -}}
  {{- include "wukong.one" (list $m $path $network (list "pod" "multus")) -}}
  {{- if hasKey $network "pod" }}{{ $pods = append $pods $key }}{{ end -}}
  {{- if dig "multus" "default" false $network }}{{ $defaults = append $defaults $key }}{{ end -}}
  {{- with dig "multus" "networkName" "" $network -}}
    {{- if not (regexMatch "^([a-z0-9]([-a-z0-9]*[a-z0-9])?/)?[a-z0-9]([-a-z0-9.]*[a-z0-9])?$" .) }}{{ include "wukong.error" (list $m (printf "%s.multus.networkName" $path) (printf "found %s, must be a key of hostNetworks, or the name of a NetworkAttachmentDefinition as <name> or <namespace>/<name>" (include "wukong.show" .))) }}{{ end -}}
  {{- end -}}
  {{- include "wukong.validate.binding" (list $m $path $network) -}}
  {{- with $network.macAddress -}}
    {{- if not (regexMatch "^.[02468aceACE]" .) }}{{ include "wukong.error" (list $m (printf "%s.macAddress" $path) (printf "found %s, a multicast address, must be a unicast one: the second digit must be even" .)) }}{{ end -}}
    {{- if and (eq $m.ordinal "") (gt (int (include "wukong.pool.replicas" $m.spec)) 1) }}{{ include "wukong.error" (list $m (printf "%s.macAddress" $path) (printf "found %s for %d machines, must differ for each: leave it out, or set it in overrides" . (int (include "wukong.pool.replicas" $m.spec)))) }}{{ end -}}
  {{- end -}}
  {{- if hasKey $network "ipam" }}{{ include "wukong.validate.ipam" (list $m $path $network) }}{{ end -}}
{{- end -}}
{{- if gt (len $pods) 1 }}{{ include "wukong.error" (list $m "networks" (printf "found pod in %s, must have it once: the others must be multus" (join " and " $pods))) }}{{ end -}}
{{- if gt (len $defaults) 1 }}{{ include "wukong.error" (list $m "networks" (printf "found multus.default in %s, must have it once" (join " and " $defaults))) }}{{ end -}}
{{- if and $pods $defaults }}{{ include "wukong.error" (list $m "networks" (printf "found pod in %s and multus.default in %s, must have only one primary network" (first $pods) (first $defaults))) }}{{ end -}}
{{- end -}}

{{/*
wukong.validate.binding checks how an interface meets its network.
Usage: {{ include "wukong.validate.binding" (list $m "networks.default" $network) }}
*/}}
{{- define "wukong.validate.binding" -}}
{{- $m := index . 0 -}}
{{- $path := index . 1 -}}
{{- $network := index . 2 -}}
{{- $pod := hasKey $network "pod" -}}
{{- $binding := $network.binding | default ($pod | ternary "masquerade" "bridge") -}}
{{- if and $network.binding $network.bindingPlugin }}{{ include "wukong.error" (list $m (printf "%s.bindingPlugin" $path) (printf "found beside binding %s, must have only one of them" $network.binding)) }}{{ end -}}
{{- if and (eq $binding "masquerade") (not $pod) }}{{ include "wukong.error" (list $m (printf "%s.binding" $path) "found masquerade with multus, must be bridge or sriov: only the pod network is masqueraded") }}{{ end -}}
{{- if and (eq $binding "sriov") $pod }}{{ include "wukong.error" (list $m (printf "%s.binding" $path) "found sriov with pod, must be masquerade or bridge") }}{{ end -}}
{{- if and $network.ports (ne $binding "masquerade") }}{{ include "wukong.error" (list $m (printf "%s.ports" $path) (printf "found with binding %s, must go with masquerade: other bindings pass every port" $binding)) }}{{ end -}}
{{- range $name, $_ := $network.ports -}}
  {{- if or (gt (len $name) 15) (not (regexMatch "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$" $name)) (not (regexMatch "[a-z]" $name)) }}{{ include "wukong.error" (list $m (printf "%s.ports" $path) (printf "found the name %s, must be at most 15 lower-case letters, digits and dashes, with a letter among them" (include "wukong.show" $name))) }}{{ end -}}
{{- end -}}
{{- with dig "pod" "vmNetworkCIDR" "" $network -}}
  {{- $parts := splitn "/" 2 . -}}
  {{- $ip := include "wukong.ip" $parts._0 | fromJson -}}
  {{- if or (ne (int ($ip.v | default 0)) 4) (not (regexMatch "^([0-9]|[12][0-9]|30)$" ($parts._1 | default ""))) }}{{ include "wukong.error" (list $m (printf "%s.pod.vmNetworkCIDR" $path) (printf "found %s, must be an IPv4 network such as 10.0.2.0/24" (include "wukong.show" .))) }}{{ end -}}
{{- end -}}
{{- end -}}

{{/*
wukong.validate.ipam checks the static addresses of a pool.
Usage: {{ include "wukong.validate.ipam" (list $m "networks.vlan10" $network) }}
*/}}
{{- define "wukong.validate.ipam" -}}
{{- $m := index . 0 -}}
{{- $path := printf "%s.ipam" (index . 1) -}}
{{- $ipam := (index . 2).ipam -}}
{{- if hasKey (index . 2) "pod" }}{{ include "wukong.error" (list $m $path "found with pod, must go with multus: the cluster gives out the addresses of the pod network") }}{{ end -}}
{{- $parts := splitn "/" 2 $ipam.cidr -}}
{{- $network := include "wukong.ip" $parts._0 | fromJson -}}
{{- $bits := $parts._1 | default "" -}}
{{- $most := eq (int ($network.v | default 4)) 4 | ternary 32 128 -}}
{{- if or (not $network) (not (regexMatch "^(0|[1-9][0-9]{0,2})$" $bits)) (gt (int $bits) $most) -}}
  {{- include "wukong.error" (list $m (printf "%s.cidr" $path) (printf "found %s, must be a network such as 10.0.10.0/24 or fd00:10::/64" (include "wukong.show" $ipam.cidr))) -}}
{{- else -}}
  {{- $addresses := dict -}}
  {{- range $field := list "first" "gateway" -}}
    {{- if hasKey $ipam $field -}}
      {{- $ip := include "wukong.ip" (get $ipam $field) | fromJson -}}
      {{- if not $ip -}}
        {{- include "wukong.error" (list $m (printf "%s.%s" $path $field) (printf "found %s, must be an IP address" (include "wukong.show" (get $ipam $field)))) -}}
      {{- else if not (include "wukong.ip.inside" (list $ip $network $bits)) -}}
        {{- include "wukong.error" (list $m (printf "%s.%s" $path $field) (printf "found %s, must be inside cidr, which is %s" (get $ipam $field) $ipam.cidr)) -}}
      {{- else -}}
        {{- $_ := set $addresses $field $ip -}}
      {{- end -}}
    {{- end -}}
  {{- end -}}
  {{- if $addresses.first }}{{ include "wukong.validate.addresses" (list $m $path $ipam $addresses $network (int $bits)) }}{{ end -}}
{{- end -}}
{{- range $i, $server := $ipam.nameservers -}}
  {{- if not (include "wukong.ip" $server | fromJson) }}{{ include "wukong.error" (list $m (printf "%s.nameservers[%d]" $path $i) (printf "found %s, must be an IP address" (include "wukong.show" $server))) }}{{ end -}}
{{- end -}}
{{- range $i, $domain := $ipam.searchDomains -}}
  {{- if not (regexMatch "^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$" $domain) }}{{ include "wukong.error" (list $m (printf "%s.searchDomains[%d]" $path $i) (printf "found %s, must be a domain" (include "wukong.show" $domain))) }}{{ end -}}
{{- end -}}
{{- end -}}

{{/*
wukong.validate.addresses checks that the network has room for every machine.
*/}}
{{- define "wukong.validate.addresses" -}}
{{- $m := index . 0 -}}
{{- $path := index . 1 -}}
{{- $ipam := index . 2 -}}
{{- $first := (index . 3).first -}}
{{- $network := index . 4 -}}
{{- $bits := index . 5 -}}
{{- $replicas := int (include "wukong.pool.replicas" $m.spec) -}}
{{- $low := int (include "wukong.pool.start" $m.spec) -}}
{{- $high := sub (add $low $replicas) 1 -}}
{{- if $m.ordinal }}{{ $low = int $m.ordinal }}{{ $high = $low }}{{ end -}}
{{- if gt $replicas 0 -}}
  {{- $last := include "wukong.ip.plus" (list $first $high) | fromJson -}}
  {{- if or (not $last) (not (include "wukong.ip.inside" (list $last $network $bits))) -}}
    {{- include "wukong.error" (list $m (printf "%s.cidr" $path) (printf "found %s, which is too small: ordinal %d would have the address %d after %s; take a larger network, a lower first, or fewer machines" $ipam.cidr $high $high $ipam.first)) -}}
  {{- else -}}
    {{- $from := include "wukong.ip.plus" (list $first $low) | fromJson -}}
    {{- if and (eq (int $network.v) 4) (le $bits 30) -}}
      {{- $next := include "wukong.ip.plus" (list $last 1) | fromJson -}}
      {{- if or (not $next) (not (include "wukong.ip.inside" (list $next $network $bits))) }}{{ include "wukong.error" (list $m (printf "%s.cidr" $path) (printf "found %s, which is too small: ordinal %d would have its broadcast address %s" $ipam.cidr $high (include "wukong.ip.text" $last))) }}{{ end -}}
      {{- if not (include "wukong.ip.positive" (list $from $network $bits)) }}{{ include "wukong.error" (list $m (printf "%s.first" $path) (printf "found %s, the address of the network itself, must be a later one" $ipam.first)) }}{{ end -}}
    {{- end -}}
    {{- with (index . 3).gateway -}}
      {{- $gap := sub (int64 (include "wukong.ip.low" .)) (int64 (include "wukong.ip.low" $first)) -}}
      {{- if and (ge $gap (int64 $low)) (le $gap (int64 $high)) (eq (toJson (initial .w | initial)) (toJson (initial $first.w | initial))) }}{{ include "wukong.error" (list $m (printf "%s.gateway" $path) (printf "found %s, which ordinal %d would have as its address: move first past it" $ipam.gateway $gap)) }}{{ end -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/*
wukong.ip.low gives the last 32 bits of a parsed address as a number.
*/}}
{{- define "wukong.ip.low" -}}
{{- add (mul (int64 (initial .w | last)) 65536) (int64 (last .w)) -}}
{{- end -}}

{{/*
wukong.ip.positive says "true" if an IPv4 address is not the first of its
network.
*/}}
{{- define "wukong.ip.positive" -}}
{{- $size := 1 -}}
{{- range until (sub 32 (index . 2) | int) }}{{ $size = mul $size 2 }}{{ end -}}
{{- if mod (int64 (include "wukong.ip.low" (index . 0))) $size }}true{{ end -}}
{{- end -}}
