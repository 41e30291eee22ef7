{{/*
wukong.class.dataVolume renders a disk that outlives its machine. Helm keeps
it on uninstall, and when the pool shrinks.
Usage: {{ include "wukong.class.dataVolume" (list $m "root" $disk) }}
*/}}
{{- define "wukong.class.dataVolume" -}}
{{- $m := index . 0 -}}
{{- include "wukong.emit" (list $m.c (dict
  "apiVersion" "cdi.kubevirt.io/v1beta1" "kind" "DataVolume"
  "metadata" (dict
    "name" (printf "%s-%s" $m.name (index . 1))
    "namespace" $m.c.namespace
    "labels" (include "wukong.machine.labels" (list $m (dict "wukong.io/disk" (index . 1))) | fromJson)
    "annotations" (dict "helm.sh/resource-policy" "keep"))
  "spec" (include "wukong.dataVolume.spec" (list $m (index . 2)) | fromJson))) -}}
{{- end -}}

{{/*
wukong.dataVolume.spec gives, as JSON, the spec of a disk's DataVolume.
Usage: {{ include "wukong.dataVolume.spec" (list $m $disk) | fromJson }}
*/}}
{{- define "wukong.dataVolume.spec" -}}
{{- $m := index . 0 -}}
{{- $disk := index . 1 -}}
{{- $namespace := $m.c.namespace -}}
{{- $spec := dict "storage" (include "wukong.storage" $disk | fromJson) -}}
{{- if hasKey $disk.source "image" -}}
  {{- $image := get $m.c.images $disk.source.image -}}
  {{- $ref := dict "kind" "DataSource" "name" (printf "%s-%s" $m.c.fleet $disk.source.image) "namespace" $namespace -}}
  {{- if $image.dataSource }}{{ $ref = dict "kind" "DataSource" "name" $image.dataSource.name "namespace" ($image.dataSource.namespace | default $namespace) }}{{ end -}}
  {{- $_ := set $spec "sourceRef" $ref -}}
{{- else if hasKey $disk.source "import" -}}
  {{- $_ := set $spec "source" (include "wukong.importSource" (list $m.c (get $disk.source "import")) | fromJson) -}}
{{- else if hasKey $disk.source "empty" -}}
  {{- $_ := set $spec "source" (dict "blank" dict) -}}
{{- else if $disk.source.clone.virtualMachine -}}
  {{- $vm := $disk.source.clone.virtualMachine -}}
  {{- $_ := set $spec "source" (dict "pvc" (dict "namespace" ($vm.namespace | default $namespace) "name" (printf "%s-%s" (include "wukong.userTokens" (list $m $vm.name)) $vm.disk))) -}}
{{- else -}}
  {{- $source := dict -}}
  {{- range $kind, $from := $disk.source.clone -}}
    {{- $_ := set $source $kind (dict "namespace" ($from.namespace | default $namespace) "name" (include "wukong.userTokens" (list $m $from.name))) -}}
  {{- end -}}
  {{- $_ := set $spec "source" $source -}}
{{- end -}}
{{- toJson $spec -}}
{{- end -}}
