{{- define "zabd.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* Pods' names, with an ordinal and a hash of the revision behind them, are names of hosts: 63 characters. */}}
{{- define "zabd.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "zabd.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "zabd.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "zabd.selector" -}}
app.kubernetes.io/name: {{ include "zabd.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* What Helm and the selectors find objects by stays as it is; of the other labels, those of the values count. */}}
{{- define "zabd.labels" -}}
{{- $chart := printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" -}}
{{- $ours := dict "app.kubernetes.io/component" "server" "app.kubernetes.io/version" .Chart.AppVersion "helm.sh/chart" $chart -}}
{{- $fixed := mergeOverwrite (include "zabd.selector" . | fromYaml) (dict "app.kubernetes.io/managed-by" .Release.Service) -}}
{{- toYaml (mergeOverwrite $ours .Values.commonLabels $fixed) -}}
{{- end -}}

{{/* A number as it was written: a file's numbers are floating ones, which are shown as 4.194304e+06 from a million on. */}}
{{- define "zabd.value" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) -}}
{{- int64 . -}}
{{- else -}}
{{- . -}}
{{- end -}}
{{- end -}}

{{/* Says what is wrong with a key of `config`, which the schema could only say by a pattern. keys.txt has those that there are. */}}
{{- define "zabd.checkConfig" -}}
{{- $known := .Files.Lines "keys.txt" -}}
{{- $others := "^(clientPort|dataDir|dataLogDir|tickTime|initLimit|syncLimit|maxClientCnxns|zabd\\.probes\\.port|metricsProvider\\.(className|httpPort)|server\\..*|autopurge\\..*)$" -}}
{{- range $key, $value := .Values.config -}}
{{- $name := trimPrefix "zookeeper." $key -}}
{{- $isKnown := has $name $known -}}
{{- range $known -}}
{{- if and (regexMatch "\\.[NX]$" .) (hasPrefix (regexReplaceAll "[NX]$" . "") $name) -}}{{- $isKnown = true -}}{{- end -}}
{{- end -}}
{{- if regexMatch $others $name -}}
{{- fail (printf "config.%s: the chart sets this key by a value of its own, see values.yaml" $key) -}}
{{- else if not $isKnown -}}
{{- fail (printf "config.%s: the server has no such key, see docs/configuration.md" $key) -}}
{{- else if regexMatch "\\s" (toString $value) -}}
{{- fail (printf "config.%s: %q has a blank in it, where a word would end: leave it out, as in mntr,ruok" $key $value) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "zabd.securePort" -}}
{{- with (get .Values.config "secureClientPort" | default (get .Values.config "zookeeper.secureClientPort")) -}}
{{- include "zabd.value" . -}}
{{- end -}}
{{- end -}}

{{/* The members' own affinity, unless the values have one among pods. */}}
{{- define "zabd.affinity" -}}
{{- $affinity := deepCopy .Values.affinity -}}
{{- $term := dict "topologyKey" "kubernetes.io/hostname" "labelSelector" (dict "matchLabels" (include "zabd.selector" . | fromYaml)) -}}
{{- if hasKey $affinity "podAntiAffinity" -}}
{{- else if eq .Values.podAntiAffinity "required" -}}
{{- $_ := set $affinity "podAntiAffinity" (dict "requiredDuringSchedulingIgnoredDuringExecution" (list $term)) -}}
{{- else if eq .Values.podAntiAffinity "preferred" -}}
{{- $soft := list (dict "weight" 100 "podAffinityTerm" $term) -}}
{{- $_ := set $affinity "podAntiAffinity" (dict "preferredDuringSchedulingIgnoredDuringExecution" $soft) -}}
{{- end -}}
{{- with $affinity }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{- define "zabd.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "zabd.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "zabd.image" -}}
{{- $name := .Values.image.repository -}}
{{- with .Values.image.registry }}{{ $name = printf "%s/%s" . $name }}{{ end -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $name .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (default "hardened" .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* A tag of a registry may move, and a node would go on with what it once was. An image without a registry is one that was loaded. */}}
{{- define "zabd.pullPolicy" -}}
{{- $isLoaded := and (not .Values.image.registry) (not (contains "/" .Values.image.repository)) -}}
{{- default (ternary "IfNotPresent" "Always" (or (ne .Values.image.digest "") $isLoaded)) .Values.image.pullPolicy -}}
{{- end -}}
