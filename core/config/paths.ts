import { resolve } from 'node:path';
import type { BackendConfiguration, Configuration, SourceConfiguration } from './schema.ts';
import type { SecretReference } from './schemaParts.ts';
import type { DrillConfiguration } from './sourceSchema.ts';

type WithPaths = Partial<Pick<Configuration, 'catalog' | 'temporal'>> & {
  readonly spool: Configuration['spool'] | undefined;
} & Readonly<Record<'keys' | 'backends' | 'sources' | 'plans', object>>;

/**
 * Makes every path of the configuration absolute, taken from the folder of holdfast.yaml: what it means must not depend
 * on where a command was started.
 */
export function resolvePaths<Part extends WithPaths>(configuration: Part, directory: string): Part {
  const backends = Object.entries(configuration.backends as Record<string, BackendConfiguration>).map(
    ([name, backend]) => [
      name,
      backend.type === 'local' ? { ...backend, path: resolve(directory, backend.path) } : backend,
    ],
  );
  const sources = Object.entries(configuration.sources as Record<string, SourceConfiguration>).map(([name, source]) => [
    name,
    {
      ...source,
      ...(source.database && { database: withCertificate(source.database, directory) }),
      drill: drillWithPaths(source.drill, directory),
    },
  ]);
  const { spool } = configuration;
  return resolveSecretFiles(
    {
      ...configuration,
      backends: Object.fromEntries(backends) as Part['backends'],
      sources: Object.fromEntries(sources) as Part['sources'],
      spool: spool === undefined ? undefined : { ...spool, path: resolve(directory, spool.path) },
    },
    directory,
  );
}

function drillWithPaths(drill: DrillConfiguration, directory: string): DrillConfiguration {
  return {
    ...drill,
    ...(drill.server && { server: withCertificate(drill.server, directory) }),
    ...(drill.directory !== undefined && { directory: resolve(directory, drill.directory) }),
  };
}

function withCertificate<Server extends { readonly sslrootcert?: string | undefined }>(
  server: Server,
  directory: string,
): Server {
  return server.sslrootcert === undefined ? server : { ...server, sslrootcert: resolve(directory, server.sslrootcert) };
}

/** A secret's reference is the only kind of map whose one key is `file`. */
function resolveSecretFiles<Value>(value: Value, directory: string): Value {
  if (Array.isArray(value) || typeof value !== 'object' || value === null) return value;
  if (isFileReference(value)) return { file: resolve(directory, value.file) } as Value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [key, resolveSecretFiles(inner, directory)]),
  ) as Value;
}

function isFileReference(value: object): value is Extract<SecretReference, { file: string }> {
  return Object.keys(value).length === 1 && 'file' in value && typeof value.file === 'string';
}
