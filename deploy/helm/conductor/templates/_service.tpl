{{/* What the services have in common. Each takes a dict: root, name (as in image and ServiceAccount), values. */}}

{{- define "conductor.labels" -}}
app.kubernetes.io/name: conductor-{{ .name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/part-of: conductor
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
{{- end }}

{{- define "conductor.selector" -}}
app.kubernetes.io/name: conductor-{{ .name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end }}

{{- define "conductor.image" -}}
{{- with .values.image }}{{ . }}{{ else -}}
{{- with .root.Values.image.registry }}{{ . }}/{{ end -}}
conductor-{{ .name }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- define "conductor.natsUrl" -}}
{{- if .Values.nats.enabled -}}
nats://conductor-nats.{{ .Release.Namespace }}:4222
{{- else -}}
{{ required "nats.url is needed when nats.enabled is false" .Values.nats.url }}
{{- end -}}
{{- end }}

{{/* Where KEDA asks for the lag. */}}
{{- define "conductor.natsMonitoring" -}}
{{- if .Values.nats.enabled -}}
conductor-nats.{{ .Release.Namespace }}:8222
{{- else -}}
{{ required "nats.monitoringEndpoint is needed to autoscale with nats.enabled false" .Values.nats.monitoringEndpoint }}
{{- end -}}
{{- end }}

{{/* The namespaces that a Conductor with watchNamespaces sees. */}}
{{- define "conductor.namespaces" -}}
{{- concat (list .Release.Namespace) .Values.concreteNamespaces .Values.watchNamespaces | uniq | join "," -}}
{{- end }}

{{/* The name of an object that is in no namespace: other Conductors of the cluster have theirs. Takes a dict: root, name. */}}
{{- define "conductor.clusterName" -}}
conductor-{{ .name }}{{ if .root.Values.watchNamespaces }}-{{ .root.Release.Namespace }}{{ end }}
{{- end }}

{{/* The Secret with the services' passwords for NATS; empty when they have none. */}}
{{- define "conductor.natsUsersSecret" -}}
{{- .Values.nats.usersSecret | default (ternary "conductor-nats-users" "" .Values.nats.enabled) -}}
{{- end }}

{{- define "conductor.serviceAccount" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: conductor-{{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "conductor.labels" . | nindent 4 }}
  {{- with .values.serviceAccount.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{- define "conductor.clusterRoleBinding" -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: {{ include "conductor.clusterName" . }}
  labels:
    {{- include "conductor.labels" . | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: {{ include "conductor.clusterName" . }}
subjects:
  - kind: ServiceAccount
    name: conductor-{{ .name }}
    namespace: {{ .root.Release.Namespace }}
{{- end }}

{{/*
What a service may do: in the whole cluster, or in each namespace of watchNamespaces. Takes, besides what they all take: rules
(about what is in namespaces), clusterRules (about the rest, for one that sees all), narrowRules (the same for one that does
not; may be empty), ownRules (in its own namespace, for one that does not see all; may be missing).
*/}}
{{- define "conductor.rights" -}}
{{- $service := . -}}
{{- if not .root.Values.watchNamespaces -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: conductor-{{ .name }}
  labels:
    {{- include "conductor.labels" . | nindent 4 }}
rules:
  {{- .rules | nindent 2 }}
  {{- with .clusterRules }}
  {{- . | nindent 2 }}
  {{- end }}
---
{{ include "conductor.clusterRoleBinding" . }}
{{- else -}}
{{- with .narrowRules -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: {{ include "conductor.clusterName" $service }}
  labels:
    {{- include "conductor.labels" $service | nindent 4 }}
rules:
  {{- . | nindent 2 }}
---
{{ include "conductor.clusterRoleBinding" $service }}
---
{{ end -}}
{{- range $index, $namespace := include "conductor.namespaces" .root | splitList "," -}}
{{- if $index }}
---
{{ end -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: conductor-{{ $service.name }}
  namespace: {{ $namespace }}
  labels:
    {{- include "conductor.labels" $service | nindent 4 }}
rules:
  {{- $service.rules | nindent 2 }}
  {{- if eq $namespace $service.root.Release.Namespace }}
  {{- with $service.ownRules }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- end }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: conductor-{{ $service.name }}
  namespace: {{ $namespace }}
  labels:
    {{- include "conductor.labels" $service | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: conductor-{{ $service.name }}
subjects:
  - kind: ServiceAccount
    name: conductor-{{ $service.name }}
    namespace: {{ $service.root.Release.Namespace }}
{{- end }}
{{- end }}
{{- end }}

{{/* Replicas by the lag of the service's consumer, see docs/scaling.md. */}}
{{- define "conductor.scaledObject" -}}
{{- if .values.autoscaling.enabled }}
---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: conductor-{{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "conductor.labels" . | nindent 4 }}
spec:
  scaleTargetRef:
    name: conductor-{{ .name }}
  minReplicaCount: {{ .values.autoscaling.minReplicas }}
  maxReplicaCount: {{ .values.autoscaling.maxReplicas }}
  triggers:
    - type: nats-jetstream
      metadata:
        natsServerMonitoringEndpoint: {{ include "conductor.natsMonitoring" .root }}
        account: $G
        stream: {{ include "conductor.streamPrefix" .root }}_OBJECTS
        consumer: {{ .name }}
        lagThreshold: {{ .values.autoscaling.lagPerReplica | quote }}
{{- end }}
{{- end }}

{{/* What the services call the streams after, see conductor_bus.config. */}}
{{- define "conductor.streamPrefix" -}}
{{- ternary "conductor" .Values.nats.prefix .Values.nats.enabled | upper -}}
{{- end }}

{{/* The right to its own leader lease. RBAC cannot restrict create by name: the server names objects after checking. */}}
{{- define "conductor.leaseRole" -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: conductor-{{ .name }}-lease
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "conductor.labels" . | nindent 4 }}
rules:
  - apiGroups: [coordination.k8s.io]
    resources: [leases]
    verbs: [create]
  - apiGroups: [coordination.k8s.io]
    resources: [leases]
    resourceNames: [conductor-{{ .name }}]
    verbs: [get, patch]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: conductor-{{ .name }}-lease
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "conductor.labels" . | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: conductor-{{ .name }}-lease
subjects:
  - kind: ServiceAccount
    name: conductor-{{ .name }}
    namespace: {{ .root.Release.Namespace }}
{{- end }}

{{/*
Holds a service to writing objects of its own kind of making, which RBAC cannot: it knows neither labels nor a Secret's
type. Who may create and read Secrets could otherwise have the token of any ServiceAccount of the namespace made. Takes,
besides what they all take: resources, label (that its objects carry), type (a CEL condition on a Secret's type).
*/}}
{{- define "conductor.ownObjectsPolicy" -}}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata:
  name: {{ include "conductor.clusterName" . }}
  labels:
    {{- include "conductor.labels" . | nindent 4 }}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
      {{- range $group, $resources := .resources }}
      - apiGroups: [{{ $group | quote }}]
        apiVersions: ["*"]
        operations: [CREATE, UPDATE, DELETE]
        resources: [{{ join ", " $resources }}]
      {{- end }}
  matchConditions:
    - name: by-the-service
      expression: request.userInfo.username == 'system:serviceaccount:{{ .root.Release.Namespace }}:conductor-{{ .name }}'
  validations:
    - expression: request.operation == 'CREATE' || '{{ .label }}' in oldObject.metadata.?labels.orValue({})
      message: conductor-{{ .name }} changes and deletes only objects with the label {{ .label }}
      reason: Forbidden
    - expression: request.operation == 'DELETE' || '{{ .label }}' in object.metadata.?labels.orValue({})
      message: conductor-{{ .name }} writes only objects with the label {{ .label }}
      reason: Forbidden
    - expression: request.operation == 'DELETE' || request.resource.resource != 'secrets' || object.type{{ .type }}
      message: conductor-{{ .name }} writes no Secrets of this type
      reason: Forbidden
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ include "conductor.clusterName" . }}
  labels:
    {{- include "conductor.labels" . | nindent 4 }}
spec:
  policyName: {{ include "conductor.clusterName" . }}
  validationActions: [Deny]
{{- end }}

{{- define "conductor.deployment" -}}
{{- $usersSecret := include "conductor.natsUsersSecret" .root -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: conductor-{{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "conductor.labels" . | nindent 4 }}
spec:
  {{- if not (dig "autoscaling" "enabled" false .values) }}
  replicas: {{ .values.replicas }}
  {{- end }}
  selector:
    matchLabels:
      {{- include "conductor.selector" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "conductor.labels" . | nindent 8 }}
        {{- with .values.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with .values.podAnnotations }}
      annotations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      serviceAccountName: conductor-{{ .name }}
      {{- with .root.Values.image.pullSecrets }}
      imagePullSecrets:
        {{- range . }}
        - name: {{ . }}
        {{- end }}
      {{- end }}
      securityContext:
        runAsNonRoot: true
        runAsUser: 65532
        runAsGroup: 65532
        seccompProfile: {type: RuntimeDefault}
      containers:
        - name: {{ .name }}
          image: {{ include "conductor.image" . }}
          imagePullPolicy: {{ .root.Values.image.pullPolicy }}
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities: {drop: [ALL]}
          ports:
            - {name: http, containerPort: 8080}
            {{- range .ports }}
            - {{ toJson . }}
            {{- end }}
          livenessProbe:
            httpGet: {path: /healthz, port: http}
            failureThreshold: 6
          readinessProbe:
            httpGet: {path: /readyz, port: http}
            periodSeconds: 5
          resources:
            {{- toYaml .values.resources | nindent 12 }}
          env:
            - {name: CONDUCTOR_NAMESPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
            - {name: CONDUCTOR_HTTP_ADDRESS, value: "0.0.0.0:8080"}
            - {name: CONDUCTOR_LOG_FORMAT, value: {{ .root.Values.telemetry.logFormat }}}
            - {name: CONDUCTOR_LOG_LEVEL, value: {{ .root.Values.telemetry.logLevel }}}
            - {name: NATS_URL, value: {{ include "conductor.natsUrl" .root | quote }}}
            {{- if gt (int .root.Values.nats.replicas) 1 }}
            - {name: CONDUCTOR_BUS_REPLICAS, value: {{ .root.Values.nats.replicas | quote }}}
            {{- end }}
            {{- if not .root.Values.nats.enabled }}
            - {name: CONDUCTOR_BUS_PREFIX, value: {{ .root.Values.nats.prefix }}}
            {{- end }}
            {{- if .root.Values.watchNamespaces }}
            - {name: CONDUCTOR_WATCH_NAMESPACES, value: {{ include "conductor.namespaces" .root | quote }}}
            {{- end }}
            {{- with .root.Values.clusterId }}
            - {name: CONDUCTOR_CLUSTER_ID, value: {{ . | quote }}}
            {{- end }}
            {{- if $usersSecret }}
            - {name: NATS_USER, value: conductor-{{ .name }}}
            - {name: NATS_PASSWORD_FILE, value: /etc/conductor/nats/password}
            {{- end }}
            {{- with .root.Values.telemetry.otlpEndpoint }}
            - {name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ . | quote }}}
            {{- end }}
            {{- range .env }}
            - {name: {{ .name }}, value: {{ .value | quote }}}
            {{- end }}
            {{- with .values.extraEnv }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
          volumeMounts:
            - {name: tmp, mountPath: /tmp}
            {{- range concat (.configMaps | default list) (.secrets | default list) }}
            - {name: {{ .name }}, mountPath: {{ .path }}, readOnly: true}
            {{- end }}
            {{- if $usersSecret }}
            - {name: nats-user, mountPath: /etc/conductor/nats, readOnly: true}
            {{- end }}
      volumes:
        - name: tmp
          emptyDir: {sizeLimit: 16Mi}
        {{- range .configMaps }}
        - name: {{ .name }}
          configMap: {name: {{ .name }}}
        {{- end }}
        {{- range .secrets }}
        - name: {{ .name }}
          secret: {secretName: {{ .secret }}}
        {{- end }}
        {{- if $usersSecret }}
        - name: nats-user
          secret:
            secretName: {{ $usersSecret }}
            items:
              - {key: {{ .name }}, path: password}
        {{- end }}
{{- end }}
