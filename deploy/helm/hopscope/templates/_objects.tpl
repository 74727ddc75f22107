{{/* What every object is labelled and selected by. */}}
{{- define "hopscope.labels" -}}
app.kubernetes.io/name: hopscope-agent
{{- end }}

{{/* The agent's configuration. */}}
{{- define "hopscope.config" -}}
{{- .Values.config | default (.Files.Get "agent.toml") -}}
{{- end }}

{{/* The image: by digest where there is one. */}}
{{- define "hopscope.image" -}}
{{- with .Values.image }}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end }}
{{- end }}
{{- end }}
