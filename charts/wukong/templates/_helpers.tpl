{{/*
wukong.labels are the labels of every object but the definitions.
Usage: {{ include "wukong.labels" $ }}
*/}}
{{- define "wukong.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: wukong
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{/*
wukong.selector selects the Pods of one of the two Deployments.
Usage: {{ include "wukong.selector" (list $ "webhook") }}
*/}}
{{- define "wukong.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ $root.Chart.Name }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/*
wukong.image is the image of wukong-manager: by digest where one is given.
*/}}
{{- define "wukong.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end -}}
{{- end -}}

{{/*
wukong.policyArguments tell the processes the destinations and URLs that the
policies allow: the policies judge jobs, the processes what stands inside an
annotation.
*/}}
{{- define "wukong.policyArguments" -}}
{{- range .Values.policies.destinations.registries }}
- {{ printf "--allow-registry=%s" . | quote }}
{{- end }}
{{- range .Values.policies.destinations.s3 }}
- {{ printf "--allow-s3=%s" . | quote }}
{{- end }}
{{- range .Values.policies.imports }}
- {{ printf "--allow-import=%s" . | quote }}
{{- end }}
{{- end -}}

{{/*
wukong.podSecurity and wukong.containerSecurity satisfy PodSecurity restricted.
*/}}
{{- define "wukong.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "wukong.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/*
wukong.probes ask the process whether it lives, and whether it may be sent work.
A start may take as long as it takes to fill the caches.
*/}}
{{- define "wukong.probes" -}}
startupProbe:
  httpGet: {path: /healthz, port: probes}
  periodSeconds: 2
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /healthz, port: probes}
  periodSeconds: 20
  failureThreshold: 3
readinessProbe:
  httpGet: {path: /readyz, port: probes}
  periodSeconds: 2
  failureThreshold: 2
{{- end -}}

{{/*
wukong.scheduling places the Pods of a Deployment.
Usage: {{ include "wukong.scheduling" (list $ .Values.webhook "webhook") }}
*/}}
{{- define "wukong.scheduling" -}}
{{- $root := index . 0 -}}
{{- $values := index . 1 -}}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "wukong.selector" (list $root (index . 2)) | nindent 8 }}
{{- end -}}

{{/*
wukong.webhook.host is the name the API server reaches the webhook at.
*/}}
{{- define "wukong.webhook.host" -}}
wukong-webhook.{{ .Release.Namespace }}.svc
{{- end -}}

{{/*
wukong.webhook.head is what every hook has in common: no side effects, objects
of every version of a kind, and where it is called.
Usage: {{ include "wukong.webhook.head" (list $ "/validate/wukong") }}
*/}}
{{- define "wukong.webhook.head" -}}
{{- $root := index . 0 -}}
{{- $path := index . 1 -}}
admissionReviewVersions: [v1]
sideEffects: None
matchPolicy: Equivalent
clientConfig:
  {{- with $root.Values.webhook.caBundle }}
  caBundle: {{ . }}
  {{- end }}
  {{- if $root.Values.webhook.url }}
  url: {{ printf "%s%s" (trimSuffix "/" $root.Values.webhook.url) $path | quote }}
  {{- else }}
  service:
    namespace: {{ $root.Release.Namespace }}
    name: wukong-webhook
    path: {{ $path }}
    port: 443
  {{- end }}
{{- end -}}

{{/*
wukong.webhook.annotations let cert-manager fill in the authority.
*/}}
{{- define "wukong.webhook.annotations" -}}
{{- if .Values.certificate.certManager.enabled }}
annotations:
  cert-manager.io/inject-ca-from: {{ .Release.Namespace }}/wukong-webhook
{{- end }}
{{- end -}}

{{/*
CEL expressions of match conditions, which keep requests away from the webhook
that it has nothing to say to.

wukong.match.ours: a machine has opted in, or had.
*/}}
{{- define "wukong.match.ours" -}}
[object, oldObject].exists(vm, vm != null && (
  (has(vm.metadata.labels) && 'wukong.io/managed' in vm.metadata.labels) ||
  (has(vm.metadata.annotations) && vm.metadata.annotations.exists(key, key.startsWith('wukong.io/')))))
{{- end -}}

{{- define "wukong.match.staying" -}}
!has(object.metadata.deletionTimestamp)
{{- end -}}

{{/*
wukong.match.unstamped: a request on a machine is new, and nobody has stamped it
or, on creation, dropped it.
*/}}
{{- define "wukong.match.unstamped" -}}
has(object.metadata.annotations) && ['clone', 'export', 'rollback', 'snapshot'].exists(verb,
  ('wukong.io/' + verb) in object.metadata.annotations && (oldObject == null || (
  (!has(oldObject.metadata.annotations) || !(('wukong.io/' + verb) in oldObject.metadata.annotations) ||
  oldObject.metadata.annotations['wukong.io/' + verb] != object.metadata.annotations['wukong.io/' + verb]) &&
  (!(('wukong.io/requested-by.' + verb) in object.metadata.annotations) ||
  object.metadata.annotations['wukong.io/requested-by.' + verb] != request.userInfo.username))))
{{- end -}}

{{- define "wukong.match.unstampedJob" -}}
!has(object.metadata.annotations) || !('wukong.io/requested-by' in object.metadata.annotations) ||
object.metadata.annotations['wukong.io/requested-by'] != request.userInfo.username
{{- end -}}

{{- define "wukong.match.people" -}}
request.userInfo.username != '{{ include "wukong.policy.controllers" . }}'
{{- end -}}
