# A Docker engine for a test, of which nothing stays on the host. Sourced.
#
# Two engines after one another share images in $engine_data: one builds, on the host's network but with no bridge and no rule
# of its own; one runs containers inside a network namespace, where it makes bridge, rules and forwarding as it likes.
# Both end by their pid files (engine_stop); what a killed test left, the next one ends first.

engine_data=${ARCSHARD_DEPLOY_DATA:-$PWD/.deps/deploy/docker}
engine_run=                   # pid files, sockets and the namespace of this test, below /run
engine_docker=/usr/bin/docker  # Debian's own client: it has BuildKit built in, others need a plugin

engine_prepare() {
  local left
  mkdir -p "$engine_data"
  exec {engine_lock}>"$engine_data.lock"
  flock -n "$engine_lock" || { echo "deploy/test: another test uses $engine_data" >&2; return 1; }
  for left in /run/arcshard-deploy.*; do
    if [ "$(cat "$left/data" 2>/dev/null)" = "$engine_data" ]; then
      engine_run=$left
      engine_stop
      engine_remove
    fi
  done
  # An engine takes up containers and networks where the last one left them; one that builds would do so on the host.
  rm -rf "$engine_data"/{containers,network,volumes}
  engine_run=$(mktemp -d /run/arcshard-deploy.XXXXXX)
  echo "$engine_data" >"$engine_run/data"
  export DOCKER_HOST=unix://$engine_run/docker.sock DOCKER_BUILDKIT=1 DOCKER_CONFIG=$engine_run/config
}

engine_start() {  # build|run
  local how=$1 command=(dockerd) i
  if [ "$how" = build ]; then
    command+=(--bridge=none --iptables=false --ip-forward=false)
  else
    touch "$engine_run/network"
    unshare --net="$engine_run/network" ip link set lo up
    command=(nsenter --net="$engine_run/network" "${command[@]}")
  fi
  "${command[@]}" --data-root "$engine_data" --exec-root "$engine_run/exec" -H "$DOCKER_HOST" --pidfile "$engine_run/pid" \
    --storage-driver=overlay2 {engine_lock}>&- >"$engine_run/dockerd.log" 2>&1 &
  for ((i = 0; i < 600; i++)); do
    "$engine_docker" version >/dev/null 2>&1 && return
    kill -0 $! 2>/dev/null || break
    sleep 0.1
  done
  cat "$engine_run/dockerd.log" >&2
  echo "deploy/test: no Docker engine within a minute" >&2
  return 1
}

engine_stop() {
  local engine i one
  engine=$(cat "$engine_run/pid" 2>/dev/null || true)
  # The number may be another process's by now.
  if [ -n "$engine" ] && grep -qsF "$engine_run/" "/proc/$engine/cmdline"; then
    kill "$engine"
    for ((i = 0; i < 600; i++)); do  # its own end, and what it started: containers' shims outlive it by a moment
      [ -n "$(engine_processes)" ] || break
      sleep 0.1
    done
  fi
  # Of an engine that was killed, or hangs: containers, their shims, containerd.
  for one in $(engine_processes); do
    # shellcheck disable=SC2046
    kill -KILL $(cat "/proc/$one/task/$one/children" 2>/dev/null) "$one" 2>/dev/null || true
  done
  for ((i = 0; i < 100; i++)); do
    [ -n "$(engine_processes)" ] || break
    sleep 0.1
  done
  # The network's name, and what a killed engine had mounted; the latest first.
  awk -v run="$engine_run/" -v data="$engine_data/" 'index($2, run) == 1 || index($2, data) == 1 {print $2}' /proc/mounts | tac |
    while read -r one; do umount "$one"; done
}
engine_processes() { grep -lsF "$engine_run/" /proc/[0-9]*/cmdline | cut -d/ -f3 || true; }

# Runs a command where published ports and containers are reachable.
engine_inside() { nsenter --net="$engine_run/network" "$@"; }

# After the last engine: its folder, and cgroups that it leaves empty.
engine_remove() {
  local folder
  rm -rf --one-file-system "$engine_run"
  for folder in /sys/fs/cgroup/*/docker /sys/fs/cgroup/docker; do
    if [ -d "$folder" ]; then find "$folder" -depth -type d -exec rmdir {} + 2>/dev/null || true; fi
  done
}
