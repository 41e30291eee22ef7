{{/*
wukong.class.snapshotPolicy renders the SnapshotPolicy of a pool, which selects
the pool's machines.
Usage: {{ include "wukong.class.snapshotPolicy" (list $c "web" $pool) }}
*/}}
{{- define "wukong.class.snapshotPolicy" -}}
{{- $c := index . 0 -}}
{{- $key := index . 1 -}}
{{- $spec := merge (dict "selector" (dict "matchLabels" (dict "wukong.io/fleet" $c.fleet "wukong.io/pool" $key))) (deepCopy (index . 2).snapshotPolicy) -}}
{{- include "wukong.emit" (list $c (dict
  "apiVersion" "wukong.io/v1alpha1" "kind" "SnapshotPolicy"
  "metadata" (dict "name" (printf "%s-%s" $c.fleet $key) "namespace" $c.namespace "labels" (include "wukong.labels" (list $c (dict "wukong.io/pool" $key)) | fromJson))
  "spec" $spec)) -}}
{{- end -}}

{{/*
wukong.class.exportJob renders the ExportJob of a machine. Its spec cannot be
changed, so its name carries a hash of it.
Usage: {{ include "wukong.class.exportJob" $m }}
*/}}
{{- define "wukong.class.exportJob" -}}
{{- $m := . -}}
{{- $target := deepCopy $m.spec.exportTarget -}}
{{- with $target.registry -}}
  {{- $image := include "wukong.userTokens" (list $m .image) -}}
  {{- if not (contains ":" (splitList "/" $image | last)) }}{{ $image = printf "%s:%s" $image $m.name }}{{ end -}}
  {{- $_ := set . "image" $image -}}
{{- end -}}
{{- with $target.s3 }}{{ $_ := set . "prefix" (include "wukong.userTokens" (list $m (.prefix | default "@@name@@/"))) }}{{ end -}}
{{- with $target.pvc }}{{ $_ := set . "path" (include "wukong.userTokens" (list $m (.path | default "@@name@@"))) }}{{ end -}}
{{- include "wukong.emit" (list $m.c (dict
  "apiVersion" "wukong.io/v1alpha1" "kind" "ExportJob"
  "metadata" (dict
    "name" (printf "%s-%s" $m.name (include "wukong.hash" $m.spec.exportTarget))
    "namespace" $m.c.namespace
    "labels" (include "wukong.machine.labels" (list $m dict) | fromJson))
  "spec" (dict "source" (dict "virtualMachine" $m.name) "target" $target))) -}}
{{- end -}}

{{/*
wukong.cloneSnapshot gives, as JSON, namespace and name of the snapshot that a
pool's clones are made from.
Usage: {{ include "wukong.cloneSnapshot" (list $c "desk" $pool) | fromJson }}
*/}}
{{- define "wukong.cloneSnapshot" -}}
{{- $c := index . 0 -}}
{{- $source := (index . 2).cloneSource -}}
{{- if $source.snapshot -}}
{{- dict "namespace" ($source.snapshot.namespace | default $c.namespace) "name" $source.snapshot.name | toJson -}}
{{- else -}}
{{- dict "namespace" ($source.virtualMachine.namespace | default $c.namespace) "name" (printf "%s-%s-%s" $c.fleet (index . 1) (include "wukong.hash" $source.virtualMachine)) | toJson -}}
{{- end -}}
{{- end -}}

{{/*
wukong.class.cloneSnapshot renders the one snapshot that a pool's clones are
made from.
Usage: {{ include "wukong.class.cloneSnapshot" (list $c "desk" $pool) }}
*/}}
{{- define "wukong.class.cloneSnapshot" -}}
{{- $c := index . 0 -}}
{{- $snapshot := include "wukong.cloneSnapshot" . | fromJson -}}
{{- include "wukong.emit" (list $c (dict
  "apiVersion" "snapshot.kubevirt.io/v1beta1" "kind" "VirtualMachineSnapshot"
  "metadata" (dict "name" $snapshot.name "namespace" $snapshot.namespace "labels" (include "wukong.labels" (list $c (dict "wukong.io/pool" (index . 1))) | fromJson))
  "spec" (dict "source" (dict "apiGroup" "kubevirt.io" "kind" "VirtualMachine" "name" (index . 2).cloneSource.virtualMachine.name)))) -}}
{{- end -}}

{{/*
wukong.class.cloneJob renders the CloneJob that makes one machine of a pool of
clones.
Usage: {{ include "wukong.class.cloneJob" $m }}
*/}}
{{- define "wukong.class.cloneJob" -}}
{{- $m := . -}}
{{- $snapshot := include "wukong.cloneSnapshot" (list $m.c $m.pool $m.spec) | fromJson -}}
{{- if eq $snapshot.namespace $m.c.namespace }}{{ $_ := unset $snapshot "namespace" }}{{ end -}}
{{- $source := merge (dict "snapshot" $snapshot) (omit (deepCopy $m.spec.cloneSource) "virtualMachine" "snapshot") -}}
{{- $targets := dict "name" $m.name "labels" (dict "wukong.io/fleet" $m.c.fleet "wukong.io/pool" $m.pool "wukong.io/ordinal" (include "wukong.token" (list $m.c "o")) "wukong.io/vm" $m.name) -}}
{{- include "wukong.emit" (list $m.c (dict
  "apiVersion" "wukong.io/v1alpha1" "kind" "CloneJob"
  "metadata" (dict
    "name" $m.name
    "namespace" $m.c.namespace
    "labels" (include "wukong.machine.labels" (list $m dict) | fromJson))
  "spec" (dict "source" $source "targets" $targets "retentionPolicy" (empty $m.retain | ternary "Delete" "Retain")))) -}}
{{- end -}}
