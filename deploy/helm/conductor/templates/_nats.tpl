{{/*
The NATS server's configuration. A user per service: only the watcher may say what an object looks like; a worker may
set timers, locks and dead letters of its own consumer, and nobody else may pull from it, change it or delete it; the
scheduler only reads. Each makes the streams if they are missing, because whoever comes first after a wipe must.
A user more is for people: who lists, reads, replays and discards dead letters (docs/dead-letters.md), and nothing else.
*/}}
{{- define "conductor.natsConfig" -}}
port: 4222
http_port: 8222
max_payload: 8MB
jetstream {
  store_dir: /data
}
{{- if gt (int .Values.nats.replicas) 1 }}
server_name: $POD_NAME
cluster {
  name: conductor
  port: 6222
  # Whoever may connect here may do everything.
  authorization {
    user: cluster
    password: $CLUSTER_PASSWORD
  }
}
{{- end }}
authorization {
  users = [
    {
      user: conductor-watcher
      password: $WATCHER_PASSWORD
      permissions {
        publish {
          allow: [{{ include "conductor.natsReading" . }}, "conductor.objects.>"]
          deny: [{{ include "conductor.natsOthers" (dict "root" . "name" "watcher") }}]
        }
        subscribe: "_INBOX.>"
      }
    }
    {
      user: conductor-scheduler
      password: $SCHEDULER_PASSWORD
      permissions {
        publish {
          allow: [{{ include "conductor.natsReading" . }}]
          deny: [{{ include "conductor.natsOthers" (dict "root" . "name" "scheduler") }}]
        }
        subscribe: "_INBOX.>"
      }
    }
    {{- range include "conductor.workers" . | splitList " " }}
    {
      user: conductor-{{ . }}
      password: ${{ . | upper | replace "-" "_" }}_PASSWORD
      permissions {
        publish {
          allow: [{{ include "conductor.natsReading" $ }}, {{ include "conductor.natsWorking" . }}]
          deny: [{{ include "conductor.natsOthers" (dict "root" $ "name" .) }}]
        }
        subscribe: "_INBOX.>"
      }
    }
    {{- end }}
    {
      user: conductor-dead-letters
      password: $DEAD_LETTERS_PASSWORD
      permissions {
        publish {
          allow: [{{ include "conductor.natsDeadLetters" . }}]
        }
        subscribe: "_INBOX.>"
      }
    }
  ]
}
{{- end }}

{{/* Those that take work from the bus; the others only read it, or fill it. */}}
{{- define "conductor.workers" -}}
{{ list "aws-provisioner" "gcp-provisioner" "sql-provisioner" "secrets-writer" | concat .Values.nats.extraWorkers | uniq | join " " }}
{{- end }}

{{/* All who have a password: the users are called conductor-<name>, but for the servers of a cluster among themselves. */}}
{{- define "conductor.natsUsers" -}}
watcher scheduler {{ include "conductor.workers" . }} dead-letters{{ if gt (int .Values.nats.replicas) 1 }} cluster{{ end }}
{{- end }}

{{/* Readers make consumers of random names, which no subject can tell from others: hence natsOthers. */}}
{{- define "conductor.natsReading" -}}
"$JS.API.INFO", "$JS.API.STREAM.INFO.*", "$JS.API.STREAM.CREATE.*", "$JS.API.STREAM.UPDATE.*", "$JS.API.DIRECT.GET.CONDUCTOR_OBJECTS.>", "$JS.API.STREAM.MSG.GET.CONDUCTOR_OBJECTS"
{{- range list "CREATE" "INFO" "DELETE" "MSG.NEXT" }}, "$JS.API.CONSUMER.{{ . }}.CONDUCTOR_OBJECTS.*"{{ end }}
{{- end }}

{{- define "conductor.natsWorking" -}}
"$JS.ACK.CONDUCTOR_OBJECTS.{{ . }}.>", "$JS.API.STREAM.MSG.DELETE.CONDUCTOR_LOCKS", "conductor.lock.{{ . }}.>", "conductor.wake.{{ . }}.>", "conductor.schedule.{{ . }}.>", "conductor.dead.{{ . }}.>"
{{- end }}

{{- define "conductor.natsDeadLetters" -}}
{{- range list "CREATE" "DELETE" "MSG.NEXT" }}"$JS.API.CONSUMER.{{ . }}.CONDUCTOR_DEAD_LETTERS.*", {{ end -}}
"$JS.API.STREAM.MSG.DELETE.CONDUCTOR_DEAD_LETTERS", "conductor.wake.>"
{{- end }}

{{/* The work of the others: what a service may do to consumers, it may not do to theirs. */}}
{{- define "conductor.natsOthers" -}}
{{- $subjects := list -}}
{{- range without (include "conductor.workers" .root | splitList " ") .name -}}
{{- $worker := . -}}
{{- range list "CREATE" "INFO" "DELETE" "MSG.NEXT" -}}
{{- $subjects = append $subjects (printf "$JS.API.CONSUMER.%s.CONDUCTOR_OBJECTS.%s" . $worker | quote) -}}
{{- end -}}
{{- end -}}
{{- join ", " $subjects -}}
{{- end }}

{{/* Where the servers of a cluster find each other. Kubernetes puts the password in: NATS looks for variables in no string. */}}
{{- define "conductor.natsRoutes" -}}
{{- $routes := list -}}
{{- range until (int .Values.nats.replicas) -}}
{{- $routes = append $routes (printf "nats-route://cluster:$(CLUSTER_PASSWORD)@conductor-nats-%d.conductor-nats.%s:6222" . $.Release.Namespace) -}}
{{- end -}}
{{- join "," $routes -}}
{{- end }}
