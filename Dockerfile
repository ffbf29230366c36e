# syntax=docker/dockerfile:1
# A container needs `listen = "0.0.0.0:4000"` and client keys in its config, because loopback inside it reaches nobody:
#   docker run -p 4000:4000 -v ./tollgate.toml:/etc/tollgate/tollgate.toml:ro -v tollgate:/var/lib/tollgate tollgate
FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --locked --release --package tollgate && install -d -m 0700 /state

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /src/target/release/tollgate /usr/local/bin/tollgate
COPY --from=build --chown=65532:65532 /state /var/lib/tollgate
ENV TOLLGATE_CONFIG=/etc/tollgate/tollgate.toml TOLLGATE_DATA_DIR=/var/lib/tollgate
USER 65532:65532
VOLUME /var/lib/tollgate
EXPOSE 4000
# /healthz and /readyz are for the orchestrator's probes: the image has no shell or curl to ask them with.
HEALTHCHECK NONE
ENTRYPOINT ["/usr/local/bin/tollgate"]
CMD ["serve"]
