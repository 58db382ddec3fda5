# Debian's PgBouncer, for compose.yaml's profile `scaling`.
FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends pgbouncer postgresql-client \
    && rm -rf /var/lib/apt/lists/*
COPY pgbouncer.ini /etc/pgbouncer/pgbouncer.ini
COPY --chmod=0755 start-pgbouncer /usr/local/bin/start-pgbouncer
USER postgres
EXPOSE 6432
STOPSIGNAL SIGINT
CMD ["start-pgbouncer"]
