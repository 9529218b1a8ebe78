# Runs a Docker engine for a test and removes all of it from the host afterwards. Sourced.
#
# Two engines run one after the other and share images in $engine_data. The first builds, on the host's network but without a
# bridge and firewall rules; the second runs containers inside a network namespace, where it may create bridge, rules and
# forwarding. engine_stop ends them by their pid files; a test first ends the engines of an earlier test that was killed.

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
  # An engine restores the containers and networks of the last one; the one that builds would do so on the host.
  rm -rf "$engine_data"/{containers,network,volumes}
  engine_run=$(mktemp -d /run/arcshard-deploy.XXXXXX)
  echo "$engine_data" >"$engine_run/data"
  # Every engine creates these, wherever its data folder is.
  for left in /run/docker /run/containerd; do [ -e "$left" ] || echo "$left"; done >"$engine_run/made"
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
  for ((i = 0; i < 6000; i++)); do
    "$engine_docker" version >/dev/null 2>&1 && return
    kill -0 $! 2>/dev/null || break
    sleep 0.1
  done
  cat "$engine_run/dockerd.log" >&2
  echo "deploy/test: no Docker engine within ten minutes" >&2
  return 1
}

engine_stop() {
  local engine one
  engine=$(cat "$engine_run/pid" 2>/dev/null || true)
  # The number may belong to another process by now.
  if [ -n "$engine" ] && engine_has "$engine"; then
    kill "$engine"
    engine_await_end 600  # also waits for the containers' shims, which end a moment later
  fi
  # If the engine was killed or hangs: end its containers, then their shims, which remove their sockets.
  for one in $(engine_processes); do
    # shellcheck disable=SC2046
    kill -KILL $(cat "/proc/$one/task/$one/children" 2>/dev/null) 2>/dev/null || true
    kill "$one" 2>/dev/null || true
  done
  engine_await_end 60
  for one in $(engine_processes); do kill -KILL "$one" 2>/dev/null || true; done
  engine_await_end 60
  # Unmount the network's name, the folder of images, and other mounts of a killed engine, the latest first.
  awk -v run="$engine_run/" -v data="$engine_data/" 'index($2 "/", run) == 1 || index($2 "/", data) == 1 {print $2}' /proc/mounts | tac |
    while read -r one; do umount "$one"; done
}

# Lists the processes of this engine and of its containers' shims: its folder is in their command lines.
engine_processes() {
  local one
  for one in /proc/[0-9]*; do
    if engine_has "${one#/proc/}"; then echo "${one#/proc/}"; fi
  done
}
engine_has() {  # PID
  local words=()
  { mapfile -d '' words <"/proc/$1/cmdline"; } 2>/dev/null || true
  [[ "${words[*]}" == *"$engine_run/"* ]]
}
engine_await_end() {  # SECONDS
  local i
  for ((i = 0; i < $1 * 10; i++)); do
    [ -n "$(engine_processes)" ] || break
    sleep 0.1
  done
}

# Runs a command where published ports and containers are reachable.
engine_inside() { nsenter --net="$engine_run/network" "$@"; }

# After the last engine: removes its folder, and its empty cgroups and folders below /run.
engine_remove() {
  local folder
  while read -r folder; do
    if [ -d "$folder" ]; then find "$folder" -depth -type d -empty -delete; fi
  done <"$engine_run/made"
  rm -rf --one-file-system "$engine_run"
  for folder in /sys/fs/cgroup/*/docker /sys/fs/cgroup/docker; do
    if [ -d "$folder" ]; then find "$folder" -depth -type d -exec rmdir {} + 2>/dev/null || true; fi
  done
}
