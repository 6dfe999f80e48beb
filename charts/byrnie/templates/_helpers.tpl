{{- define "byrnie.labels" -}}
{{ include "byrnie.selector" . }}
app.kubernetes.io/part-of: byrnie
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{- define "byrnie.selector" -}}
app.kubernetes.io/name: byrnie-control-plane
{{- end }}

{{- define "byrnie.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "byrnie.injector.labels" -}}
{{ include "byrnie.injector.selector" . }}
app.kubernetes.io/part-of: byrnie
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{- define "byrnie.injector.selector" -}}
app.kubernetes.io/name: byrnie-injector
{{- end }}

{{- define "byrnie.injector.webhook" -}}
rules:
  - apiGroups: [""]
    apiVersions: [v1]
    resources: [pods]
    operations: [CREATE]
    scope: Namespaced
clientConfig:
  service:
    namespace: {{ .Release.Namespace | quote }}
    name: byrnie-injector
    path: /inject
    port: 443
admissionReviewVersions: [v1]
matchPolicy: Equivalent
failurePolicy: Fail
reinvocationPolicy: IfNeeded
sideEffects: None
timeoutSeconds: 5
{{- end }}
