{{/*
wukong.class.image renders a golden image: one import, and the DataSource that
machines are cloned from. What holds the import carries a hash of its spec in
its name, as CDI lets nobody change it; the DataSource's name stays.
Usage: {{ include "wukong.class.image" (list $c "fedora" $image) }}
*/}}
{{- define "wukong.class.image" -}}
{{- $c := index . 0 -}}
{{- $key := index . 1 -}}
{{- $image := index . 2 -}}
{{- if $image.importSource -}}
  {{- $name := printf "%s-%s" $c.fleet $key -}}
  {{- $labels := include "wukong.labels" (list $c (dict "wukong.io/image" $key)) | fromJson -}}
  {{- $volume := dict "source" (include "wukong.importSource" (list $c $image.importSource) | fromJson) -}}
  {{- $_ := set $volume "storage" (include "wukong.storage" $image | fromJson) -}}
  {{- $hashed := printf "%s-%s" $name (include "wukong.hash" (list $volume $image.schedule $image.importsToKeep)) -}}
  {{- $source := dict -}}
  {{- if $image.schedule -}}
    {{- $spec := dict "managedDataSource" $name "schedule" $image.schedule "garbageCollect" "Outdated" "template" (dict "spec" $volume) -}}
    {{- if $image.importsToKeep }}{{ $_ := set $spec "importsToKeep" (int $image.importsToKeep) }}{{ end -}}
    {{- include "wukong.emit" (list $c (dict
      "apiVersion" "cdi.kubevirt.io/v1beta1" "kind" "DataImportCron"
      "metadata" (dict "name" $hashed "namespace" $c.namespace "labels" $labels)
      "spec" $spec)) -}}
    {{- /* CDI fills the DataSource of a cron that its label names. */ -}}
    {{- $labels = merge (dict "cdi.kubevirt.io/dataImportCron" $hashed) $labels -}}
  {{- else -}}
    {{- /* A claim that is Bound before it is filled would be snapshotted half
           imported; with a populator it is Bound only when it is whole. */ -}}
    {{- $metadata := dict "name" $hashed "namespace" $c.namespace "labels" $labels "annotations" (dict "cdi.kubevirt.io/storage.usePopulator" "true" "cdi.kubevirt.io/storage.bind.immediate.requested" "true") -}}
    {{- include "wukong.emit" (list $c (dict
      "apiVersion" "cdi.kubevirt.io/v1beta1" "kind" "DataVolume"
      "metadata" $metadata "spec" $volume)) -}}
    {{- if eq ($image.cloneFrom | default "Snapshot") "Snapshot" -}}
      {{- $spec := dict "source" (dict "persistentVolumeClaimName" $hashed) -}}
      {{- $snapshot := $hashed -}}
      {{- with $image.volumeSnapshotClassName -}}
        {{- $_ := set $spec "volumeSnapshotClassName" . -}}
        {{- $snapshot = printf "%s-%s" $name (include "wukong.hash" (list $hashed .)) -}}
      {{- end -}}
      {{- include "wukong.emit" (list $c (dict
        "apiVersion" "snapshot.storage.k8s.io/v1" "kind" "VolumeSnapshot"
        "metadata" (dict "name" $snapshot "namespace" $c.namespace "labels" $labels)
        "spec" $spec)) -}}
      {{- $source = dict "snapshot" (dict "name" $snapshot "namespace" $c.namespace) -}}
    {{- else -}}
      {{- $source = dict "pvc" (dict "name" $hashed "namespace" $c.namespace) -}}
    {{- end -}}
  {{- end -}}
  {{- include "wukong.emit" (list $c (dict
    "apiVersion" "cdi.kubevirt.io/v1beta1" "kind" "DataSource"
    "metadata" (dict "name" $name "namespace" $c.namespace "labels" $labels)
    "spec" (dict "source" $source))) -}}
{{- end -}}
{{- end -}}

{{/*
wukong.storage gives, as JSON, the storage of a DataVolume.
Usage: {{ include "wukong.storage" $disk | fromJson }}
*/}}
{{- define "wukong.storage" -}}
{{- $storage := dict -}}
{{- if hasKey . "size" }}{{ $_ := set $storage "resources" (dict "requests" (dict "storage" (include "wukong.quantity" .size))) }}{{ end -}}
{{- range $key := list "storageClassName" "accessModes" "volumeMode" -}}
  {{- if hasKey $ $key }}{{ $_ := set $storage $key (get $ $key) }}{{ end -}}
{{- end -}}
{{- toJson $storage -}}
{{- end -}}

{{/*
wukong.importSource gives, as JSON, the DataVolume source of an ImportSource.
Usage: {{ include "wukong.importSource" (list $c $source) | fromJson }}
*/}}
{{- define "wukong.importSource" -}}
{{- $c := index . 0 -}}
{{- $source := deepCopy (index . 1) -}}
{{- range $kind, $from := $source -}}
  {{- if hasKey $from "secretName" -}}
    {{- $_ := set $from "secretRef" $from.secretName -}}
    {{- $_ := unset $from "secretName" -}}
  {{- end -}}
  {{- if hasKey $from "architecture" -}}
    {{- $_ := set $from "platform" (dict "architecture" $from.architecture) -}}
    {{- $_ := unset $from "architecture" -}}
  {{- end -}}
  {{- if and (eq $kind "pvc") (not $from.namespace) }}{{ $_ := set $from "namespace" $c.namespace }}{{ end -}}
{{- end -}}
{{- toJson $source -}}
{{- end -}}
