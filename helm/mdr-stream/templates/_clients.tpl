{{/* How brokers and registry are reached, as environment of every command: a map in YAML. */}}
{{- define "mdr-stream.clientEnvironment" -}}
{{- $kafka := .Values.kafka -}}
{{- $registry := .Values.registry -}}
KAFKA_BROKERS: {{ join "," $kafka.brokers | quote }}
SCHEMA_REGISTRY_URL: {{ $registry.url | quote }}
MDR_SECURITY_PROTOCOL: {{ $kafka.securityProtocol | quote }}
{{- if $kafka.ca.secret }}
MDR_KAFKA_CA_FILE: /etc/mdr/kafka-ca/ca.crt
{{- end }}
{{- if $kafka.client.secret }}
MDR_KAFKA_CERT_FILE: /etc/mdr/kafka-client/tls.crt
MDR_KAFKA_KEY_FILE: /etc/mdr/kafka-client/tls.key
{{- end }}
{{- if $kafka.sasl.username }}
MDR_SASL_MECHANISM: {{ $kafka.sasl.mechanism | quote }}
MDR_SASL_USERNAME: {{ $kafka.sasl.username | quote }}
MDR_SASL_PASSWORD_FILE: /etc/mdr/passwords/kafka
{{- end }}
{{- if $registry.ca.secret }}
MDR_REGISTRY_CA_FILE: /etc/mdr/registry-ca/ca.crt
{{- end }}
{{- if $registry.username }}
MDR_REGISTRY_USERNAME: {{ $registry.username | quote }}
MDR_REGISTRY_PASSWORD_FILE: /etc/mdr/passwords/registry
{{- end }}
MDR_PREFIX: {{ .Values.prefix | quote }}
MDR_PARTITIONS: {{ .Values.partitions | quote }}
MDR_LOG_LEVEL: {{ .Values.logLevel | quote }}
MDR_SESSION_TIMEOUT_MS: {{ int .Values.sessionTimeoutMs | quote }}
{{- end }}

{{/* Whether passwords are given as values, and go into a Secret of the chart's own. */}}
{{- define "mdr-stream.ownPasswords" -}}
{{- if or .Values.kafka.sasl.password .Values.registry.password }}yes{{ end }}
{{- end }}

{{- define "mdr-stream.passwordData" -}}
{{- with .Values.kafka.sasl.password }}
kafka: {{ . | b64enc | quote }}
{{- end }}
{{- with .Values.registry.password }}
registry: {{ . | b64enc | quote }}
{{- end }}
{{- end }}

{{/* Volumes of the files that the environment names. `secret`: the chart's own Secret of passwords. */}}
{{- define "mdr-stream.clientVolumes" -}}
{{- $values := .root.Values -}}
{{- $own := .secret -}}
{{- with $values.kafka.ca }}{{ if .secret }}
- name: kafka-ca
  secret:
    secretName: {{ .secret }}
    items: [{ key: {{ .key | quote }}, path: ca.crt }]
{{- end }}{{ end }}
{{- with $values.kafka.client }}{{ if .secret }}
- name: kafka-client
  secret:
    secretName: {{ .secret }}
    defaultMode: 0440
    items: [{ key: {{ .certKey | quote }}, path: tls.crt }, { key: {{ .keyKey | quote }}, path: tls.key }]
{{- end }}{{ end }}
{{- with $values.registry.ca }}{{ if .secret }}
- name: registry-ca
  secret:
    secretName: {{ .secret }}
    items: [{ key: {{ .key | quote }}, path: ca.crt }]
{{- end }}{{ end }}
{{- if or $values.kafka.sasl.username $values.registry.username }}
- name: passwords
  projected:
    defaultMode: 0440
    sources:
      {{- with $values.kafka.sasl }}{{ if .username }}
      - secret:
          name: {{ .existingSecret | default $own }}
          items: [{ key: {{ ternary .passwordKey "kafka" (ne .existingSecret "") | quote }}, path: kafka }]
      {{- end }}{{ end }}
      {{- with $values.registry }}{{ if .username }}
      - secret:
          name: {{ .existingSecret | default $own }}
          items: [{ key: {{ ternary .passwordKey "registry" (ne .existingSecret "") | quote }}, path: registry }]
      {{- end }}{{ end }}
{{- end }}
{{- end }}

{{- define "mdr-stream.clientMounts" -}}
{{- if .Values.kafka.ca.secret }}
- { name: kafka-ca, mountPath: /etc/mdr/kafka-ca, readOnly: true }
{{- end }}
{{- if .Values.kafka.client.secret }}
- { name: kafka-client, mountPath: /etc/mdr/kafka-client, readOnly: true }
{{- end }}
{{- if .Values.registry.ca.secret }}
- { name: registry-ca, mountPath: /etc/mdr/registry-ca, readOnly: true }
{{- end }}
{{- if or .Values.kafka.sasl.username .Values.registry.username }}
- { name: passwords, mountPath: /etc/mdr/passwords, readOnly: true }
{{- end }}
{{- end }}
