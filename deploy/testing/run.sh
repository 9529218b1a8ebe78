# Starts a run in containers and checks it. Sourced by deploy/test, after engine.sh.

run_image=arcshard-test
run_prometheus_image=arcshard-test-prometheus
run_data=$PWD/.deps/deploy/example
run_project=arcshard-test
run_is_up=false
# The accuracy that scripts/demo prints. It has 3 shards and 2 workers too, so it is the same on the same kind of processor.
demo_accuracy=$(sed -n 's/^step 1800 unseen_alphabets: accuracy \([0-9.]*\).*/\1/p' README.md)

export COMPOSE_FILE=${COMPOSE_FILE:-deploy/compose/compose.yaml} COMPOSE_PROJECT_NAME=$run_project
export ARCSHARD_IMAGE=$run_image ARCSHARD_PROMETHEUS_IMAGE=$run_prometheus_image ARCSHARD_DATA=$run_data

compose() { .deps/deploy/venv/bin/docker-compose --progress quiet "$@"; }
container() { echo "$run_project-$1"; }
state() { "$engine_docker" inspect -f "$2" "$(container "$1")"; }
members() { "$engine_docker" ps -a --filter "label=com.docker.compose.project=$run_project" --format '{{.Names}}' |
  sed "s/^$run_project-//" | grep -E '^(coordinator|shard|worker)-' | sort; }

# Copies the example's folder. The functions below add configurations of other lengths, with more frequent checkpoints.
make_data() {
  rm -rf "$run_data"
  cp -r examples/omniglot "$run_data"
  chmod -R a+rX "$run_data"
}
config_like() {  # NAME STEPS-BETWEEN-CHECKPOINTS EDIT
  # However slow this machine is, the run waits for a worker that is started again: then a loss changes no bit of the result.
  { sed "$3; /^checkpoint:/,/^$/d" examples/omniglot/omniglot.yaml
    printf '\ncheckpoint:\n  every_steps: %s\n\ncluster:\n  rejoin_grace: 9m\n' "$2"; } >"$run_data/$1.yaml"
  chmod a+r "$run_data/$1.yaml"
  echo "$1.yaml"
}
config_of_epochs() {  # EPOCHS: empty for the example's own number
  # Three verifications, as in the example: the last one may be over before it is scraped.
  [ -n "$1" ] || { config_like whole 100 ''; return; }
  config_like "$1" 50 "s/epochs: 12/epochs: $1/; s/every_epochs: .*/every_epochs: $(awk "BEGIN {print $1 / 3}")/; s/warmup_epochs: .*/warmup_epochs: 0/"
}
config_of_steps() {  # STEPS: of the whole run, without verification; the example has 150 steps in an epoch
  config_like "until-$1" 50 "s/epochs: 12/epochs: $(awk "BEGIN {print $1 / 150}")/; s/warmup_epochs: .*/warmup_epochs: 0/; s/sets: .*/sets: []/"
}

run_up() {  # SHARDS WORKERS FOLDER CONFIG
  local from=$SECONDS
  run_is_up=true
  export ARCSHARD_SHARDS=$1 ARCSHARD_WORKERS=$2 ARCSHARD_RUN=$3 ARCSHARD_CONFIG=/data/$4
  # Without Grafana, whose image a test cannot pull.
  compose up -d --wait --scale "shard=$1" --scale "worker=$2" coordinator prometheus
  echo "  up and healthy after $((SECONDS - from)) s: $(members | tr '\n' ' ')"
}

run_down() {
  $run_is_up || return 0
  compose down --volumes --timeout 5 || true
  run_is_up=false
}

show_failure() {
  $run_is_up || return 0
  "$engine_docker" ps -a --format 'table {{.Names}}\t{{.Status}}' >&2
  compose logs --tail 12 coordinator shard worker certs >&2 || true
}

run_folder() { echo "$("$engine_docker" volume inspect -f '{{.Mountpoint}}' "${run_project}_runs")/$1"; }

# Waits until all processes of the run have ended, each with STATUS.
run_await_end() {
  local one status
  for one in $(members); do
    status=$(timeout 3600 "$engine_docker" wait "$(container "$one")") || fail "$one did not end within an hour"
    [ "$status" = "$1" ] || fail "$one ended with exit status $status instead of $1"
  done
  echo "  all $(members | wc -l) processes ended with exit status $1: $(coordinator_says 'finished after step')"
}

check_image() {
  local size most=650 found
  size=$("$engine_docker" image inspect -f '{{.Size}}' "$run_image")
  echo "  image: $((size / 1000000)) MB, user $("$engine_docker" image inspect -f '{{.Config.User}}' "$run_image")"
  [ "$size" -le $((most * 1000000)) ] || fail "the image is larger than $most MB"
  found=$("$engine_docker" run --rm --network none "$run_image" sh -c 'for p in cc gcc g++ ld python3 pip; do command -v $p; done; true')
  [ -z "$found" ] || fail "the image has $found"
}

check_containers() {
  local one
  for one in $(members); do
    [ "$(state "$one" '{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.Config.User}}')" = 'true [ALL] 10001:10001' ] ||
      fail "$one is not as confined as compose.yaml says: $(state "$one" '{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.Config.User}}')"
    [ "$(state "$one" '{{.HostConfig.Memory}}')" -gt 0 ] || fail "$one has no memory limit"
    [ "$(state "$one" '{{.State.Health.Status}}')" = healthy ] || fail "$one is not healthy"
  done
  echo '  each process: read-only root, no capabilities, 10001:10001, a memory limit, healthy'
}

address() { state "$1" '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}'; }

# Checks each process from outside: with the client's certificate it lists its services by reflection and is SERVING; without a
# certificate it refuses the connection.
check_grpc() {
  local certs=$engine_run/client one port target services status
  mkdir -p "$certs"
  cp "$("$engine_docker" volume inspect -f '{{.Mountpoint}}' "${run_project}_client-certificate")"/{ca.crt,tls.crt,tls.key} "$certs/"
  for one in $(members | grep -v worker); do
    port=7100
    case $one in coordinator-*) port=7000 ;; esac
    target=$(address "$one"):$port
    # Peers check roles, not host names: the certificates contain no host name, so grpcurl must not check it.
    services=$(grpcurl -insecure -cert "$certs/tls.crt" -key "$certs/tls.key" "$target" list) || fail "grpcurl cannot list $one's services"
    status=$(grpcurl -insecure -cert "$certs/tls.crt" -key "$certs/tls.key" "$target" grpc.health.v1.Health/Check) || fail "grpcurl cannot ask $one for its health"
    grep -q '"SERVING"' <<<"$status" || fail "$one is not SERVING: $status"
    echo "  $one: SERVING; $(tr '\n' ' ' <<<"$services")"
    # grpcurl retries until its timeout.
    if grpcurl -connect-timeout 2 -insecure "$target" list >/dev/null 2>&1; then fail "$one answers without a certificate"; fi
    if grpcurl -connect-timeout 2 -plaintext "$target" list >/dev/null 2>&1; then fail "$one answers in plaintext"; fi
  done
  echo '  without a certificate, and in plaintext: refused by each'
}
grpcurl() { engine_inside .deps/deploy/venv/bin/grpcurl -connect-timeout 60 -max-time 120 "$@"; }

query() { engine_inside python3 deploy/testing/query.py http://127.0.0.1:9090 "$1"; }

check_scrape() {  # HOW-MANY
  local i up
  for ((i = 0; i < 600; i++)); do
    # A Prometheus that was stopped too reports earlier processes for five minutes, so only recent samples count.
    up=$(query 'count(up{job=~"arcshard-.*"} == 1 and time() - timestamp(up) < 15)')
    [ "$up" != "$1" ] || break
    sleep 1
  done
  [ "$up" = "$1" ] || fail "Prometheus scrapes $up of $1 processes"
  echo "  Prometheus scrapes all $1 processes, found by DNS"
}

# Checks that the model has a backbone, and each class once.
check_model() {  # RUN
  local folder rows
  folder=$(run_folder "$1")/model
  rows=$(find "$folder" -name 'class_centers-*.safetensors' -printf '%f\n' | sort -V)
  [ -s "$folder/backbone.safetensors" ] && [ -n "$rows" ] || fail "no model in $folder"
  echo "  the volume has backbone.safetensors $(tr '\n' ' ' <<<"$rows")"
  sed 's/.*-\([0-9]*\)-\([0-9]*\)\..*/\1 \2/' <<<"$rows" |
    awk '$1 != end {wrong = 1} {end = $2} END {exit wrong || end != 964}' || fail "its ranges are not the 964 classes, each once"
}

model_bits() { python3 deploy/testing/model_bits.py "$(run_folder "$1")/model"; }  # RUN

# Checks that the run, whose processes were killed, has the weights of one that was not disturbed, bit by bit.
check_same_weights() {  # RUN BITS-OF-THE-UNDISTURBED-ONE
  [ "$(grep -c . <<<"$2")" -ge 2 ] || fail 'the undisturbed run has left no weights to compare with'
  diff <(echo "$2") <(model_bits "$1") || fail 'the weights are not those of the undisturbed run'
  echo "  $(grep -c . <<<"$2") files of weights: the same bits as without a death"
}

# Compares the accuracy with the demo's, if the run has the example's own length.
check_accuracy() {  # EPOCHS: empty for the example's own number
  local line verified
  line=$(compose logs --no-log-prefix coordinator | grep 'accuracy' | tail -1 | sed 's/.*verification/verification/')
  echo "  $line"
  verified=$(compose run --rm --no-deps -T arcshard verify /runs/omniglot/model/backbone.safetensors /data/data/unseen_alphabets.bin --threads 1 | sed -n 1p)
  echo "  arcshard verify in a container: $verified"
  [ -z "$1" ] || return 0
  python3 - "$demo_accuracy" "$line" <<'PYTHON' || fail "that is not the demo's accuracy"
import re, sys
demo, found = float(sys.argv[1]), re.search(r"accuracy ([\d.]+) (?:±|\+-) ([\d.]+)", sys.argv[2])
accuracy, spread = map(float, found.groups())
print(f"  scripts/demo, by README.md: {demo}; here: {accuracy} +- {spread}" + (", the same" if accuracy == demo else ""))
sys.exit(abs(accuracy - demo) > spread)
PYTHON
}

# Asks the run for its status, with a client's certificate.
check_status() {
  compose run --rm --no-deps -T arcshard status --coordinator coordinator:7000 | sed 's/^/    /'
}

# Writes the report of a run into its folder, and copies it out of a container that has ended.
check_report() {
  local page=$engine_run/report.html
  compose run --rm --no-deps -T arcshard report "/runs/$1" >/dev/null
  compose cp "coordinator:/runs/$1/report.html" "$page" 2>/dev/null
  grep -q '<svg' "$page" || fail 'arcshard report wrote no page with pictures'
  echo "  arcshard report: $(stat -c %s "$page") bytes"
}

check_panels() {
  engine_inside python3 deploy/check_panels.py --prometheus http://127.0.0.1:9090 ${panels:+--pictures "$panels"}
}

await_steps() { await_at_least arcshard_step "$@"; }  # INCARNATION STEPS
await_checkpoint() {  # INCARNATION STEPS
  await_at_least arcshard_checkpoint_step "$@"
  checkpoint_step=$reached
}
await_at_least() {  # METRIC INCARNATION LEAST
  local i
  for ((i = 0; i < 1200; i++)); do
    reached=$(query "max($1 and on (instance) arcshard_view_incarnation{job=\"arcshard-coordinator\"} == $2)")
    if [ "${reached:-0}" -ge "$3" ]; then return; fi
    sleep 1
  done
  fail "start $2 of the run has $1 ${reached:-none} after twenty minutes, not $3"
}

# The number of a member's process on this host; an error where there is none: 0 would mean this script's own processes.
pid_of() {
  local pid
  pid=$(state "$1" '{{.State.Pid}}')
  [ "${pid:-0}" -gt 1 ] || { echo "deploy/test: $1 does not run" >&2; return 1; }
  echo "$pid"
}
# Kills processes as a crash would, all of them at once. `docker kill` would count as a manual stop, after which a container is
# not restarted.
kill_members() {
  local one pid pids=()
  for one in "$@"; do
    pid=$(pid_of "$one")
    pids+=("$pid")
  done
  kill -KILL "${pids[@]}"
}

coordinator_log() { compose logs --no-log-prefix coordinator; }
recoveries() { coordinator_log | grep -c 'the run goes on after step' || true; }
last_step() { compose logs --no-log-prefix --tail 100 coordinator | sed -n 's/.* step \([0-9]*\)\/.*/\1/p' | tail -1; }

# Waits until the run has decided STEP. Unlike Prometheus the log knows it within a second.
await_step() {
  local i
  for ((i = 0; i < 6000; i++)); do
    if [ "$(last_step)" -ge "$1" ] 2>/dev/null; then return; fi
    [ "$(state coordinator-1 '{{.State.Status}}')" != exited ] || fail "the run has ended before step $1"
    sleep 0.1
  done
  fail "the run has not decided step $1 within ten minutes, but step $(last_step)"
}

# Waits until the run has recovered COUNT times.
await_recoveries() {
  local i
  for ((i = 0; i < 6000; i++)); do
    if [ "$(recoveries)" -ge "$1" ]; then return; fi
    sleep 0.1
  done
  fail "the run has recovered $(recoveries) times, not $1, within ten minutes"
}

# Kills each service in turn TIMES times while the run trains, its replicas one after another, and waits each time until the
# run goes on and has decided some steps. No step may be lost, nobody may end who was not killed, and Prometheus has to show
# each recovery.
kill_each_service() {  # TIMES
  local service replicas time one before restarts step=20
  local -A killed=()
  for service in shard worker coordinator; do
    replicas=$(members | grep -c "^$service-")
    for ((time = 0; time < $1; time++)); do
      await_step "$step"
      one=$service-$((time % replicas + 1))
      before=$(recoveries)
      kill_members "$one"
      killed[$one]=$((${killed[$one]:-0} + 1))
      await_recoveries $((before + 1))
      if coordinator_log | grep 'the run goes back from step'; then fail "steps were lost when $one was killed"; fi
      step=$(($(last_step) + 15))
    done
    if [ "$service" = coordinator ]; then  # each of its lives counts from 0, so Prometheus counts its starts
      await_value "$1 new starts of the coordinator" \
        'max(max_over_time(arcshard_view_incarnation[1h])) - min(min_over_time((arcshard_view_incarnation > 0)[1h:5s]))' "$1"
      await_value 'the recovery from its last death' 'max(arcshard_recoveries_total{role="coordinator"})' 1
    else
      await_value "$1 recoveries from the death of a $service" "max(arcshard_recoveries_total{role=\"$service\"})" "$1"
    fi
    await_value 'that a shard may be lost again' 'min(arcshard_recoverable{job="arcshard-coordinator"})' 1
    echo "  $service: killed $1 times; $(coordinator_says 'the run goes on after step')"
  done
  for one in $(members); do
    restarts=$(state "$one" '{{.RestartCount}}')
    [ "$restarts" = "${killed[$one]:-0}" ] || fail "$one was killed ${killed[$one]:-0} times, but restarted $restarts times"
  done
  echo "  each was restarted as often as it was killed, and no step was lost"
}

# Waits until QUERY has a value of at least LEAST.
await_value() {  # WHAT QUERY LEAST
  local i value
  for ((i = 0; i < 600; i++)); do
    value=$(query "$2")
    if [ "${value:-0}" -ge "$3" ]; then return; fi
    sleep 1
  done
  fail "Prometheus does not show $1 after ten minutes: it has ${value:-nothing}"
}

# Kills all processes at once, which is the one death that no process survives, and checks that the run resumes from the
# checkpoint of STEP, which the first start is known to have, or from a later one.
kill_all() {  # STEP
  local from=$SECONDS
  # shellcheck disable=SC2046
  kill_members $(members)
  await_steps 2 1
  check_resumed "$1"
  echo "  trains again $((SECONDS - from)) s after the kill"
}

coordinator_says() { compose logs --no-log-prefix coordinator | grep "$1" | tail -1; }

# Checks that the coordinator resumed from the checkpoint of STEP or a later one.
check_resumed() {  # STEP
  local line step
  line=$(coordinator_says 'resumes after step') || fail 'the run started anew instead of resuming from its checkpoint'
  step=$(sed -n 's/.*resumes after step \([0-9]*\),.*/\1/p' <<<"$line")
  [ "$step" -gt 0 ] && [ "$step" -ge "$1" ] || fail "the run resumed from step $step, but had a checkpoint of step $1"
  sed 's/.*resumes/  resumes/' <<<"$line"
}

# Lists the run's checkpoints and verifies the newest one, with the program in a container.
check_checkpoints() {  # RUN
  local list
  list=$(compose run --rm --no-deps -T arcshard checkpoint ls "/runs/$1")
  sed 's/^/    /' <<<"$list"
  checkpoint_step=$(awk 'NR == 2 {print $1}' <<<"$list")
  [ "${checkpoint_step:-0}" -gt 0 ] || fail "$1 has no checkpoint"
  compose run --rm --no-deps -T arcshard checkpoint verify "/runs/$1" | sed 's/^/  /'
}

# Stops the run with `docker compose stop`: all processes must exit with 0 within the grace period and leave a checkpoint of
# the last step, and the model.
run_stop() {  # RUN
  local from=$SECONDS one line step
  compose stop
  for one in $(members); do
    [ "$(state "$one" '{{.State.ExitCode}}')" = 0 ] || fail "$one ended with exit status $(state "$one" '{{.State.ExitCode}}') when stopped"
  done
  line=$(coordinator_says 'finished after step')
  echo "  stopped in $((SECONDS - from)) s, all with exit status 0: $line"
  check_model "$1"
  check_checkpoints "$1"
  step=$(sed -n 's/.* after step \([0-9]*\).*/\1/p' <<<"$line")
  [ "$step" = "$checkpoint_step" ] || fail "the run was stopped after step $step, but its newest checkpoint is of step $checkpoint_step"
}

# Runs the same `up` after the end of the run: all processes start, find nothing to train, and exit.
run_up_again() {
  local from=$SECONDS line
  compose up -d --scale "shard=$ARCSHARD_SHARDS" --scale "worker=$ARCSHARD_WORKERS" coordinator prometheus
  run_await_end 0
  line=$(coordinator_says 'nothing is left to train') || fail 'the run that had ended started anew'
  echo "  in $((SECONDS - from)) s: ${line#*coordinator: }"
}
