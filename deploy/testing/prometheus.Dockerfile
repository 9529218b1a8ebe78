# Debian's Prometheus with the paths of the image prom/prometheus, which a test cannot pull.
ARG BASE=debian:bookworm-slim
# hadolint ignore=DL3006
FROM ${BASE}
# Debian keeps only the newest point release of a package.
# hadolint ignore=DL3008
RUN --mount=type=secret,id=apt,target=/etc/apt/apt.conf.d/99host \
    apt-get update -q \
 && apt-get install -y -q --no-install-recommends prometheus \
 && rm -rf /var/lib/apt/lists/* \
 && install -d -o 65534 -g 65534 /prometheus
USER 65534:65534
ENTRYPOINT ["/usr/bin/prometheus"]
