import { isIP } from 'node:net';
import { relative, resolve, sep } from 'node:path';
import type { CheckableConfiguration, Findings } from './checkable.ts';
import type { Finding } from './issue.ts';
import type { BackendConfiguration, S3BackendConfiguration } from './schema.ts';

/** Each backend by itself, and two that are the same storage under two names. */
export function checkBackends(backends: Readonly<Record<string, BackendConfiguration>>): Findings {
  const buckets = Object.entries(backends).flatMap(([name, backend]) =>
    backend.type === 's3' ? [{ name, backend }] : [],
  );
  return {
    errors: [
      ...buckets.flatMap(({ name, backend }) => missingSettings(name, backend)),
      ...pairs(buckets)
        .filter(([a, b]) => sameBucketSpace(a.backend, b.backend))
        .map(([a, b]) => twice(a.name, b.name)),
    ],
    warnings: buckets.flatMap(({ name, backend }) =>
      isPlainHttpAbroad(backend.endpoint)
        ? [
            {
              path: ['backends', name, 'endpoint'],
              message: 'http to another host: credentials and object names can be read on the way; use https',
            },
          ]
        : [],
    ),
  };
}

function missingSettings(name: string, backend: S3BackendConfiguration): Finding[] {
  const { provider, endpoint, region, accountId } = backend;
  const missing = (key: string, message: string): Finding => ({
    path: ['backends', name],
    message: `${key} is missing; ${message}`,
  });
  const findings: Finding[] = [];
  if (provider === 'r2' && accountId === undefined && endpoint === undefined) {
    findings.push(missing('accountId', 'provider r2 needs it, or an endpoint'));
  }
  if (provider === 'generic' && endpoint === undefined) findings.push(missing('endpoint', 'provider generic needs it'));
  if ((provider === 'aws' || provider === 'b2') && region === undefined) {
    findings.push(missing('region', `provider ${provider} needs it`));
  }
  if (backend.accessKeyId !== undefined && backend.secretAccessKey === undefined) {
    findings.push(missing('secretAccessKey', 'accessKeyId needs it'));
  }
  if (backend.accessKeyId === undefined && (backend.secretAccessKey ?? backend.sessionToken) !== undefined) {
    findings.push(missing('accessKeyId', 'secretAccessKey and sessionToken need it'));
  }
  return findings;
}

function sameBucketSpace(a: S3BackendConfiguration, b: S3BackendConfiguration): boolean {
  return placeOf(a) === placeOf(b) && (isPrefix(a.prefix, b.prefix) || isPrefix(b.prefix, a.prefix));
}

/** Bucket names of AWS are unique across its regions; elsewhere the endpoint, or account and region, tells two apart. */
function placeOf({ provider, endpoint, accountId, region, bucket }: S3BackendConfiguration): string {
  if (endpoint !== undefined) return `${new URL(endpoint).host} ${bucket}`;
  return `${provider} ${provider === 'aws' ? '' : (accountId ?? region)} ${bucket}`;
}

function isPrefix(outer: string, inner: string): boolean {
  return outer === '' || inner === outer || inner.startsWith(`${outer}/`);
}

function twice(first: string, second: string): Finding {
  return {
    path: ['backends', second],
    message: `the same storage as backend ${first}, or a folder of it: a second copy there is lost with the first`,
  };
}

function isPlainHttpAbroad(endpoint: string | undefined): boolean {
  const url = endpoint === undefined ? undefined : new URL(endpoint);
  return url?.protocol === 'http:' && !isLoopback(url.hostname);
}

function isLoopback(host: string): boolean {
  return (
    host === 'localhost' ||
    host.endsWith('.localhost') ||
    host === '[::1]' ||
    (isIP(host) === 4 && host.startsWith('127.'))
  );
}

/** Directories that must not lie in one another: backends, the spool, and what is backed up. */
export function checkPlaces({ backends, spool, sources }: CheckableConfiguration): Findings {
  const directories = Object.entries(backends).flatMap(([name, backend]) =>
    backend.type === 'local'
      ? [{ name, what: `backend ${name}`, directory: backend.path, path: ['backends', name, 'path'] }]
      : [],
  );
  const spools = spool === undefined ? [] : [{ what: 'the spool', directory: spool.path }];
  const trees = Object.entries(sources).flatMap(([source, { files }]) =>
    Object.entries(files).map(([tree, { path }]) => ({
      path: ['sources', source, 'files', tree, 'path'],
      directory: path,
    })),
  );
  return {
    errors: [
      ...pairs(directories)
        .filter(([a, b]) => overlap(a.directory, b.directory))
        .map(([a, b]) => twice(a.name, b.name)),
      ...directories
        .filter(({ directory }) => spools.some((spoolPlace) => overlap(spoolPlace.directory, directory)))
        .map(({ path }) => ({ path, message: 'the spool and a backend must not lie in one another' })),
    ],
    warnings: trees.flatMap((tree) =>
      [...directories, ...spools]
        .filter(({ directory }) => isInside(directory, tree.directory))
        .map(({ what }) => ({
          path: tree.path,
          message: `${what} lies inside this tree and would be backed up with it; exclude it`,
        })),
    ),
  };
}

function overlap(a: string, b: string): boolean {
  return isInside(a, b) || isInside(b, a);
}

function isInside(inner: string, outer: string): boolean {
  const way = relative(resolve(outer), resolve(inner));
  return way !== '..' && !way.startsWith(`..${sep}`);
}

function pairs<Item>(items: readonly Item[]): [Item, Item][] {
  return items.flatMap((first, index) => items.slice(index + 1).map((second): [Item, Item] => [first, second]));
}
