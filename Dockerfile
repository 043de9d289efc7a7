# syntax=docker/dockerfile:1
# Two stages: a Rust toolchain that builds the one binary, and a small Debian that runs it as nobody in particular.

FROM rust:1.95-slim-bookworm AS build
# librdkafka and zstd are compiled from the sources in their crates: a C/C++ compiler and make are all they need, and
# for TLS towards the cluster OpenSSL's headers.
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ libssl-dev make pkg-config \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY crates crates
COPY src src
# The caches outlive a build, so that a changed source file does not compile the dependencies again.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --features tls,mongodb,cluster --bin eventlake \
    && cp target/release/eventlake /usr/local/bin/eventlake

FROM debian:bookworm-slim
# For clusters and databases that speak TLS.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates libssl3 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin eventlake \
    && install -d -o eventlake -g eventlake /var/lib/eventlake
COPY --from=build /usr/local/bin/eventlake /usr/local/bin/eventlake
COPY config /etc/eventlake
USER eventlake
# Relative paths of the configuration (data/parquet, data/rejected, checkpoints) land here: mount a volume.
WORKDIR /var/lib/eventlake
ENV EVENTLAKE_CONFIG=/etc/eventlake/eventlake.toml
EXPOSE 8088
# The daemon rolls and commits on SIGTERM before it stops.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/eventlake"]
CMD ["ingest"]
