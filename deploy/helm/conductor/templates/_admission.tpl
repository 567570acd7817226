{{/* Puts one of the wishes into force. Takes a dict: root, name, values, params (whether it has a ConfigMap). */}}
{{- define "conductor.admissionBinding" -}}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ include "conductor.clusterName" . }}
  labels:
    {{- include "conductor.labels" (dict "root" .root "name" "admission") | nindent 4 }}
spec:
  policyName: {{ include "conductor.clusterName" . }}
  validationActions: {{ .values.actions | toJson }}
  {{- if .params }}
  paramRef:
    name: conductor-{{ .name }}
    namespace: {{ .root.Release.Namespace }}
    parameterNotFoundAction: Deny
  {{- end }}
  {{- include "conductor.admissionScope" (dict "root" .root "selector" .values.namespaceSelector) }}
{{- end }}

{{/* The namespaces that a rule is about: those selected, and of them only those that this Conductor sees. */}}
{{- define "conductor.admissionScope" -}}
{{- $selector := deepCopy (.selector | default dict) }}
{{- if .root.Values.watchNamespaces }}
{{- $seen := dict "key" "kubernetes.io/metadata.name" "operator" "In" "values" (include "conductor.namespaces" .root | splitList ",") }}
{{- $_ := set $selector "matchExpressions" (append ($selector.matchExpressions | default list) $seen) }}
{{- end }}
{{- with $selector }}
  matchResources:
    namespaceSelector:
      {{- toYaml . | nindent 6 }}
{{- end }}
{{- end }}
