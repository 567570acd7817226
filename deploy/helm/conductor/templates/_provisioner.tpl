{{/*
A provisioner: its account, its rights, its policy and its Deployment. Besides what any service gives, `owns`: a list of
{group, resources} whose objects it provisions.
*/}}
{{- define "conductor.provisioner" -}}
{{- $service := . -}}
{{ include "conductor.serviceAccount" $service }}
---
{{ include "conductor.rights" (merge (dict
  "rules" (include "conductor.provisionerRules" .)
  "clusterRules" (include "conductor.identityRule" "kube-system")
  "ownRules" (include "conductor.identityRule" .root.Release.Namespace)) $service) }}
{{- range concat (list .root.Release.Namespace) .root.Values.concreteNamespaces | uniq }}
---
# Master credentials lie beside their concrete resource, so it needs Secrets in those namespaces and in no other.
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: conductor-{{ $service.name }}-credentials
  namespace: {{ . }}
  labels:
    {{- include "conductor.labels" $service | nindent 4 }}
rules:
  - apiGroups: [""]
    resources: [secrets]
    verbs: [get, create, patch, delete]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: conductor-{{ $service.name }}-credentials
  namespace: {{ . }}
  labels:
    {{- include "conductor.labels" $service | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: conductor-{{ $service.name }}-credentials
subjects:
  - kind: ServiceAccount
    name: conductor-{{ $service.name }}
    namespace: {{ $service.root.Release.Namespace }}
{{- end }}
---
{{ include "conductor.ownObjectsPolicy" (merge (dict
  "resources" (dict "" (list "secrets"))
  "label" "conductor.io/concrete-uid"
  "type" " == 'Opaque'") $service) }}
---
{{ include "conductor.deployment" $service }}
{{- include "conductor.scaledObject" $service }}
{{- end }}

{{- define "conductor.provisionerRules" -}}
- apiGroups: [core.conductor.io]
  resources: [providerconfigs]
  verbs: [get, patch]
- apiGroups: [core.conductor.io]
  resources: [providerconfigs/status]
  verbs: [patch]
{{- range .owns }}
- apiGroups: [{{ .group }}]
  resources: [{{ join ", " .resources }}]
  # They are listed to find the last user of a ProviderConfig, and external resources that no object stands for.
  verbs: [get, list, patch]
- apiGroups: [{{ .group }}]
  resources: [{{ range $index, $resource := .resources }}{{ if $index }}, {{ end }}{{ $resource }}/status{{ end }}]
  verbs: [patch]
{{- end }}
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}

{{/* The uid of this namespace identifies the installation in the names and tags of external resources. */}}
{{- define "conductor.identityRule" -}}
- apiGroups: [""]
  resources: [namespaces]
  resourceNames: [{{ . }}]
  verbs: [get]
{{- end }}
