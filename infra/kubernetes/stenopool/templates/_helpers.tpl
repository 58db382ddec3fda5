{{- define "stenopool.name" -}}
{{- $name := ternary .Release.Name (printf "%s-stenopool" .Release.Name) (contains "stenopool" .Release.Name) }}
{{- $name | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "stenopool.selector" -}}
app.kubernetes.io/name: stenopool
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "stenopool.labels" -}}
{{ include "stenopool.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "stenopool.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ default (include "stenopool.name" .) .Values.serviceAccount.name }}{{ else }}{{ default "default" .Values.serviceAccount.name }}{{ end }}
{{- end }}

{{- /* The words of a role's command, without those that all of them have. */}}
{{- define "stenopool.command" -}}
{{- if eq . "api" }}["api", "--host", "0.0.0.0", "--port", "8000"
{{- else if eq . "scheduler" }}["scheduler"
{{- else }}["worker", "--role", {{ trimPrefix "worker-" . | quote }}
{{- end }}
{{- end }}
