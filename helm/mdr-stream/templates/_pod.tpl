{{/* Of every pod: who it runs as and where. The restricted Pod Security Standard, and a root that cannot be written. */}}
{{- define "mdr-stream.podSettings" -}}
serviceAccountName: {{ .account }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: { type: RuntimeDefault }
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .root.Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "mdr-stream.containerSettings" -}}
image: {{ include "mdr-stream.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
{{- end }}

{{/* The pod of one service: name, its values as `service`; more `env`, `ports`, `mounts` and `volumes` in YAML. */}}
{{- define "mdr-stream.servicePod" -}}
{{- $root := .root -}}
{{- $name := .name -}}
{{- $full := include "mdr-stream.name" $root -}}
metadata:
  labels:
    {{- include "mdr-stream.labels" $root | nindent 4 }}
    app.kubernetes.io/component: {{ $name }}
    {{- with $root.Values.podLabels }}{{ toYaml . | nindent 4 }}{{ end }}
  annotations:
    # A change of what is read once, at the start, starts the pods anew.
    checksum/clients: {{ printf "%s%s" (include "mdr-stream.clientEnvironment" $root) (include "mdr-stream.passwordData" $root) | sha256sum }}
    {{- with $root.Values.podAnnotations }}{{ toYaml . | nindent 4 }}{{ end }}
spec:
  {{- include "mdr-stream.podSettings" (dict "root" $root "account" (include "mdr-stream.serviceAccount" $root)) | nindent 2 }}
  terminationGracePeriodSeconds: {{ add $root.Values.drainSeconds 10 }}
  {{- if $root.Values.topologySpread.enabled }}
  topologySpreadConstraints:
    {{- range $root.Values.topologySpread.keys }}
    - topologyKey: {{ . }}
      maxSkew: 1
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "mdr-stream.selector" $root | nindent 10 }}
          app.kubernetes.io/component: {{ $name }}
    {{- end }}
  {{- end }}
  containers:
    - name: {{ $name }}
      {{- include "mdr-stream.containerSettings" $root | nindent 6 }}
      command:
        - /app/node_modules/node/bin/node
        - --disable-warning=TimeoutNegativeWarning
        - --external-memory-accounted-in-global-limit
        - --single-threaded-gc
        - --initial-heap-size=256
        - /app/bin/mdr.ts
      args: [serve, {{ $name }}]
      envFrom:
        - configMapRef:
            name: {{ $full }}-clients
      env:
        - { name: MDR_HOST, value: 0.0.0.0 }
        - { name: MDR_PORT, value: {{ include "mdr-stream.healthPort" $root | quote }} }
        - { name: MDR_WORKERS, value: {{ .service.workers | quote }} }
        - { name: MDR_DRAIN_SECONDS, value: {{ $root.Values.drainSeconds | quote }} }
        {{- range $setting, $value := .service.settings }}
        - name: MDR_{{ $setting | upper | replace "-" "_" }}
          value: {{ ternary (join "," $value) (toString (ternary (int64 $value) $value (kindIs "float64" $value))) (kindIs "slice" $value) | quote }}
        {{- end }}
        {{- with .env }}{{ . | nindent 8 }}{{ end }}
      ports:
        - { name: health, containerPort: {{ include "mdr-stream.healthPort" $root }} }
        {{- with .ports }}{{ . | nindent 8 }}{{ end }}
      startupProbe:
        httpGet: { path: /started, port: health }
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: {{ div (add $root.Values.startupSeconds 9) 10 }}
      livenessProbe:
        httpGet: { path: /live, port: health }
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      readinessProbe:
        httpGet: { path: /ready, port: health }
        periodSeconds: 5
        timeoutSeconds: 5
        failureThreshold: 2
      resources: {{- toYaml .service.resources | nindent 8 }}
      {{- $mounts := printf "%s%s" (include "mdr-stream.clientMounts" $root) (.mounts | default "") }}
      {{- with $mounts | trim }}
      volumeMounts: {{- . | nindent 8 }}
      {{- end }}
  {{- $volumes := printf "%s%s" (include "mdr-stream.clientVolumes" (dict "root" $root "secret" (printf "%s-clients" $full))) (.volumes | default "") }}
  {{- with $volumes | trim }}
  volumes: {{- . | nindent 4 }}
  {{- end }}
{{- end }}
