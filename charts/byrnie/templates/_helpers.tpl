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
