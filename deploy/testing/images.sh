# Makes the images of a deployment test without pulling any: a base by debootstrap, and on it arcshard and Debian's
# Prometheus. Sourced by deploy/test after engine.sh; needs an engine that builds.

images_cache=$PWD/.deps/deploy
images_base=arcshard-test-base
images_host=()  # arguments of `docker build` that give a build this host's configuration for reaching packages

# Makes a base like debian:bookworm-slim: minimal, without documentation and translations.
make_base() {
  [ -z "$("$engine_docker" images -q "$images_base")" ] || return 0
  local tar=$images_cache/bookworm.tar root mirror
  if [ ! -e "$tar" ]; then
    mirror=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' | awk '$2 == "bookworm" && !found++ {print $1}')
    root=$(mktemp -d "$images_cache/root.XXXXXX")
    debootstrap --variant=minbase bookworm "$root" ${mirror:+"$mirror"} >"$images_cache/debootstrap.log" ||
      { tail -5 "$images_cache/debootstrap.log"; return 1; }
    tar -C "$root" -cf "$tar.part" --exclude='./dev/*' --exclude='./var/cache/apt/*' --exclude='./var/lib/apt/lists/*' \
      --exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' --exclude='./usr/share/locale/*' .
    mv "$tar.part" "$tar"
    rm -rf "$root"
  fi
  "$engine_docker" import "$tar" "$images_base" >/dev/null
}

# Finds the host's proxy, mirror and certificate authority, if it has any.
find_host_configuration() {
  local folder=$engine_run/secrets key value name
  mkdir -p "$folder"
  apt-config dump | grep -E '^Acquire::(http|https)::Proxy' >"$folder/apt" || true
  echo '[global]' >"$folder/pip"
  for key in index-url extra-index-url; do
    for name in global :env:; do
      if value=$(python3 -m pip config get "$name.$key" 2>/dev/null); then echo "$key = $value" >>"$folder/pip"; fi
    done
  done
  images_host=(--secret "id=apt,src=$folder/apt" --secret "id=pip,src=$folder/pip")
  if [ -e /etc/ssl/certs/ca-certificates.crt ]; then
    images_host+=(--secret "id=ca,src=/etc/ssl/certs/ca-certificates.crt")
  fi
  for name in http_proxy https_proxy no_proxy; do
    if [ -n "${!name:-}" ]; then images_host+=(--build-arg "$name"); fi
  done
}

build_image() {  # TAG ARGUMENTS-AND-CONTEXT
  local tag=$1 log=$images_cache/build-$1.log
  shift
  if ! "$engine_docker" build --progress plain --network host --build-arg "BASE=$images_base" "${images_host[@]}" -t "$tag" "$@" \
    >"$log" 2>&1; then
    tail -40 "$log" >&2
    echo "deploy/test: building the image $tag failed, see $log" >&2
    return 1
  fi
}

# Builds arcshard:TAG, with the programs of a build folder or by compiling inside, as a user's build does.
build_arcshard() {  # TAG inside|BUILD_FOLDER
  local tag=$1 from=$2 context=$images_cache/context revision
  revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
  if [ "$from" = inside ]; then
    build_image "$tag" -f deploy/docker/Dockerfile --build-arg "REVISION=$revision" .
  else
    rm -rf "$context"
    deploy/docker/gather "$from" "$context"
    build_image "$tag" -f deploy/docker/Dockerfile --build-arg "REVISION=$revision" --build-arg PROGRAMS=prebuilt "$context"
    rm -rf "$context"
  fi
}

build_prometheus() {  # TAG
  build_image "$1" -f deploy/testing/prometheus.Dockerfile deploy/testing
}
