"""Writes what a Helm chart of a provisioner of one's own holds: CRDs, rights and Deployment.

::

    python -m conductor_provisioner.chart CHART --name my-provisioner --module my_provisioner \\
        --kinds my_provisioner.kinds:KINDS

writes ``CHART/crds`` and ``CHART/templates/{rights,deployment}.yaml``; ``Chart.yaml`` and ``values.yaml`` are yours. The
rights follow from the kinds: the provisioner may read, finalize and tell of its own, Conductor's services may do with them
what they do with Conductor's, and people may claim them. ``--credentials`` adds the Secrets of the provisioner's namespace,
for a driver that has any.

The values, all with a default but the image: ``image``, ``replicas``, ``env``, ``volumes``, ``volumeMounts``,
``serviceAccountAnnotations``, ``podLabels``, ``conductorNamespace``, ``nats.{url,user,passwordSecret,passwordKey}``, and as
Conductor's own values have them ``nats.{replicas,prefix}``.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from pkgutil import resolve_name

from conductor_model.crds import HEADER_OF_OTHERS, files
from conductor_model.kind import Kind, Role

HEADER = "# Generated from the kinds by `python -m conductor_provisioner.chart`.\n"
GATHERED = "aggregate-to"

Rule = tuple[str, str, str]
"""Group, resources and verbs, as YAML lists hold them."""


def chart_files(
    name: str, module: str, kinds: Sequence[Kind], *, credentials: bool = False
) -> Mapping[str, str]:
    """The generated files by their paths in the chart. Raises ValueError where no kind is a concrete one."""
    concretes = [each for each in kinds if each.role is Role.CONCRETE]
    if not concretes:
        raise ValueError("a provisioner has a concrete kind")
    crds = {f"crds/{file}": text for file, text in files(kinds, HEADER_OF_OTHERS).items()}
    return {
        **crds,
        "templates/rights.yaml": HEADER + _joined(_rights(name, kinds, credentials=credentials)),
        "templates/deployment.yaml": HEADER + _DEPLOYMENT.replace("NAME", name).replace("MODULE", module),
    }


def _rights(name: str, kinds: Sequence[Kind], *, credentials: bool) -> Iterator[str]:
    claims = [each for each in kinds if each.role is Role.CLAIM]
    concretes = [each for each in kinds if each.role is Role.CONCRETE]
    account = f"conductor-{name}"
    yield _ACCOUNT.replace("NAME", name)
    yield _role(
        account,
        [
            *_rules(concretes, "get, list, patch", status="patch"),
            ("core.conductor.io", "providerconfigs", "get, patch"),
            ("core.conductor.io", "providerconfigs/status", "patch"),
            ("events.k8s.io", "events", "create, patch"),
        ],
        more=_CLUSTER_ID,
    )
    yield _bound(account, account, "{{ .Release.Namespace }}")
    if credentials:
        yield _CREDENTIALS.replace("NAME", name)
    of_services = {
        "watcher": _rules([*claims, *concretes], "list, watch"),
        "scheduler": [
            *_rules(claims, "get, list", status="patch"),
            *_rules(concretes, "get, list, create, patch, delete"),
        ],
        "secrets-writer": [*_rules(claims, "get", status="patch"), *_rules(concretes, "get")],
    }
    for service, rules in of_services.items():
        yield _role(f"conductor-{service}-{name}", rules)
        yield _bound(f"conductor-{service}-{name}", f"conductor-{service}", _CONDUCTORS)
    if claims:
        yield _role(
            f"{account}-claims-edit",
            _rules(claims, "create, update, patch, delete, deletecollection"),
            to=("admin", "edit"),
        )
        yield _role(f"{account}-claims-view", _rules(claims, "get, list, watch"), to=("view",))


def _rules(kinds: Iterable[Kind], verbs: str, *, status: str = "") -> list[Rule]:
    rules: list[Rule] = []
    for each in kinds:
        group, plural = each.type.gvk.group, each.type.plural
        rules.append((group, plural, verbs))
        if status:
            rules.append((group, f"{plural}/status", status))
    return rules


def _role(name: str, rules: Iterable[Rule], *, more: str = "", to: tuple[str, ...] = ()) -> str:
    labels = "".join(f'    rbac.authorization.k8s.io/{GATHERED}-{each}: "true"\n' for each in to)
    written = "".join(
        f"  - apiGroups: [{group}]\n    resources: [{resources}]\n    verbs: [{verbs}]\n"
        for group, resources, verbs in rules
    )
    return (
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata:\n"
        f"  name: {name}\n{'  labels:' + chr(10) + labels if labels else ''}rules:\n{written}{more}"
    )


def _bound(role: str, account: str, namespace: str) -> str:
    return _BINDING.replace("ROLE", role).replace("ACCOUNT", account).replace("NAMESPACE", namespace)


def _joined(documents: Iterable[str]) -> str:
    return "---\n".join(documents)


_CONDUCTORS = "{{ .Values.conductorNamespace | default .Release.Namespace }}"

_ACCOUNT = """apiVersion: v1
kind: ServiceAccount
metadata:
  name: conductor-NAME
  namespace: {{ .Release.Namespace }}
  {{- with .Values.serviceAccountAnnotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
"""

_BINDING = """apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: ROLE
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: ROLE
subjects:
  - kind: ServiceAccount
    name: ACCOUNT
    namespace: NAMESPACE
"""

_CLUSTER_ID = """  # The uid of kube-system identifies the cluster in the marks of external resources.
  - apiGroups: [""]
    resources: [namespaces]
    resourceNames: [kube-system]
    verbs: [get]
"""

_CREDENTIALS = """# Concrete resources and ProviderConfigs, with their credentials, are in the provisioner's own namespace.
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: conductor-NAME-credentials
  namespace: {{ .Release.Namespace }}
rules:
  - apiGroups: [""]
    resources: [secrets]
    verbs: [get, create, patch, delete]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: conductor-NAME-credentials
  namespace: {{ .Release.Namespace }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: conductor-NAME-credentials
subjects:
  - kind: ServiceAccount
    name: conductor-NAME
    namespace: {{ .Release.Namespace }}
"""

_DEPLOYMENT = """{{- $nats := .Values.nats | default dict }}
{{- $user := dig "user" "conductor-NAME" $nats }}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: NAME
  namespace: {{ .Release.Namespace }}
spec:
  # All replicas are active and share the work.
  replicas: {{ .Values.replicas | default 1 }}
  selector:
    matchLabels: {app.kubernetes.io/name: NAME}
  template:
    metadata:
      labels:
        app.kubernetes.io/name: NAME
        {{- with .Values.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      serviceAccountName: conductor-NAME
      securityContext: {runAsNonRoot: true, runAsUser: 65532, fsGroup: 65532, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: provisioner
          image: {{ .Values.image }}
          args: [python, -m, MODULE]
          env:
            - {name: NATS_URL, value: {{ dig "url" "nats://conductor-nats.conductor-system:4222" $nats | quote }}}
            {{- if $user }}
            - {name: NATS_USER, value: {{ $user | quote }}}
            - {name: NATS_PASSWORD_FILE, value: /nats/password}
            {{- end }}
            {{- with dig "replicas" "" $nats }}
            - {name: CONDUCTOR_BUS_REPLICAS, value: {{ . | quote }}}
            {{- end }}
            {{- with dig "prefix" "" $nats }}
            - {name: CONDUCTOR_BUS_PREFIX, value: {{ . | quote }}}
            {{- end }}
            - {name: CONDUCTOR_HTTP_ADDRESS, value: 0.0.0.0:8080}
            {{- range $key, $value := .Values.env }}
            - {name: {{ $key }}, value: {{ $value | quote }}}
            {{- end }}
          ports: [{name: http, containerPort: 8080}]
          livenessProbe: {httpGet: {path: /healthz, port: http}}
          readinessProbe: {httpGet: {path: /readyz, port: http}}
          resources: {requests: {cpu: 50m, memory: 128Mi}, limits: {memory: 384Mi}}
          securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
          volumeMounts:
            {{- if $user }}
            - {name: nats, mountPath: /nats, readOnly: true}
            {{- end }}
            {{- with .Values.volumeMounts }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
      volumes:
        {{- if $user }}
        # Conductor's chart makes the user: --set 'nats.extraWorkers={NAME}'
        - name: nats
          secret:
            secretName: {{ dig "passwordSecret" "conductor-nats-users" $nats }}
            items: [{key: {{ dig "passwordKey" "NAME" $nats }}, path: password}]
        {{- end }}
        {{- with .Values.volumes }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Write CRDs, rights and Deployment of a provisioner's chart."
    )
    parser.add_argument("chart", type=Path)
    parser.add_argument("--name", required=True, help="the first argument of provisioner.main")
    parser.add_argument("--module", required=True, help="what python -m runs")
    parser.add_argument("--kinds", required=True, metavar="MODULE:NAME")
    parser.add_argument("--credentials", action="store_true", help="the driver's resources have credentials")
    chosen = parser.parse_args()
    kinds: Sequence[Kind] = resolve_name(chosen.kinds)
    written = chart_files(chosen.name, chosen.module, kinds, credentials=chosen.credentials)
    for path, text in written.items():
        place = chosen.chart / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
