{{/* Puts one of the wishes into force. Takes a dict: root, name, values, params (whether it has a ConfigMap). */}}
{{- define "conductor.admissionBinding" -}}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: conductor-{{ .name }}
  labels:
    {{- include "conductor.labels" (dict "root" .root "name" "admission") | nindent 4 }}
spec:
  policyName: conductor-{{ .name }}
  validationActions: {{ .values.actions | toJson }}
  {{- if .params }}
  paramRef:
    name: conductor-{{ .name }}
    namespace: {{ .root.Release.Namespace }}
    parameterNotFoundAction: Deny
  {{- end }}
  {{- with .values.namespaceSelector }}
  matchResources:
    namespaceSelector:
      {{- toYaml . | nindent 6 }}
  {{- end }}
{{- end }}
