# The worker: Node 24 on Debian (Temporal's native parts need glibc, so no Alpine) with the PostgreSQL clients of the
# newest major, which can dump every server from 14 on.
FROM node:24-bookworm-slim AS build
WORKDIR /opt/holdfast
COPY package.json package-lock.json .npmrc ./
RUN npm install --no-save --no-audit --no-fund
COPY . .
RUN npm run build && npm prune --omit=dev --no-save

FROM node:24-bookworm-slim
ARG POSTGRES_MAJOR=18
# postgresql-common carries the script that adds the PostgreSQL project's own package archive and its key.
RUN apt-get update \
  && apt-get install --yes --no-install-recommends acl attr ca-certificates postgresql-common tar zstd \
  && /usr/share/postgresql-common/pgdg/apt.postgresql.org.sh -y \
  && apt-get install --yes --no-install-recommends "postgresql-client-${POSTGRES_MAJOR}" \
  && rm -rf /var/lib/apt/lists/*
RUN useradd --system --uid 10001 --create-home holdfast \
  && install -d -o holdfast -g holdfast -m 0700 /etc/holdfast /var/lib/holdfast /var/lib/holdfast/spool /var/backups/holdfast
COPY --from=build /opt/holdfast /opt/holdfast
RUN ln -s /opt/holdfast/holdfast /usr/local/bin/holdfast
USER holdfast
WORKDIR /etc/holdfast
ENV HOLDFAST_CONFIG=/etc/holdfast/holdfast.yaml NODE_ENV=production
VOLUME ["/var/lib/holdfast/spool", "/var/backups/holdfast"]
ENTRYPOINT ["/opt/holdfast/holdfast"]
CMD ["worker"]
