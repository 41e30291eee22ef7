{{/*
Who may ask for what is decided by ValidatingAdmissionPolicies: they run inside
the API server, so they hold with the webhook down, and their authorizer is that
of the user who asks.
*/}}

{{/*
wukong.policy.head begins a policy. A policy that cannot be evaluated refuses.
Usage: {{ include "wukong.policy.head" (dict "root" $ "name" "requests") }}
*/}}
{{- define "wukong.policy.head" -}}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata:
  name: {{ include "wukong.policy.name" . }}
  labels: {{- include "wukong.labels" .root | nindent 4 }}
{{- end -}}

{{/*
wukong.policy.binding puts a policy into force everywhere.
Usage: {{ include "wukong.policy.binding" (dict "root" $ "name" "requests") }}
*/}}
{{- define "wukong.policy.binding" -}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ include "wukong.policy.name" . }}
  labels: {{- include "wukong.labels" .root | nindent 4 }}
spec:
  policyName: {{ include "wukong.policy.name" . }}
  validationActions: [Deny]
{{- end -}}

{{- define "wukong.policy.name" -}}
wukong-{{ .name }}
{{- end -}}

{{/*
wukong.policy.annotations are the two variables nearly every policy reads.
*/}}
{{- define "wukong.policy.annotations" -}}
- name: now
  expression: "has(object.metadata.annotations) ? object.metadata.annotations : {}"
- name: before
  expression: "oldObject != null && has(oldObject.metadata.annotations) ? oldObject.metadata.annotations : {}"
{{- end -}}

{{/*
wukong.policy.controllers is the user name of Wukong's controllers.
*/}}
{{- define "wukong.policy.controllers" -}}
system:serviceaccount:{{ .Release.Namespace }}:{{ .Values.controllers.serviceAccount.name }}
{{- end -}}

{{/*
wukong.policy.changed is a CEL expression: a request annotation is set, and is
not what it was.
Usage: {{ include "wukong.policy.changed" "clone" }}
*/}}
{{- define "wukong.policy.changed" -}}
('wukong.io/{{ . }}' in variables.now && (!('wukong.io/{{ . }}' in variables.before) || variables.before['wukong.io/{{ . }}'] != variables.now['wukong.io/{{ . }}']))
{{- end -}}

{{/*
wukong.policy.groups is a CEL expression: the requester's groups as the stamp
writes them.
*/}}
{{- define "wukong.policy.groups" -}}
('[' + (has(request.userInfo.groups) ? request.userInfo.groups.map(g, '"' + g.replace('\\', '\\\\').replace('"', '\\"') + '"').join(',') : '') + ']')
{{- end -}}
