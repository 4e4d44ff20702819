import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import type { DemoLayout } from './layout.ts';
import { demoSecret, secretPath, writeSecret } from './secrets.ts';
import { BUCKETS, type DemoServers } from './servers.ts';
import { BACKUP_ROLE, CATALOG_DATABASE, SHOP_DATABASE } from './shopDatabase.ts';

export const DEMO_SOURCE = 'shop';
export const DEMO_PLAN = 'shop-manual';

/** The name of the storage that the demo recovers from: one other than the first. */
export const RECOVERY_BACKEND = 'near';

/** Key files that `makeKeys` has written. */
export interface DemoKeys {
  readonly ops: string;
  readonly escrowPublic: string;
  readonly escrowSecret: string;
  readonly sign: string;
  readonly signPublic: string;
}

/** Writes holdfast.yaml for the servers of this run; passwords stand in files that it refers to. */
export async function writeConfiguration(layout: DemoLayout, servers: DemoServers, keys: DemoKeys): Promise<void> {
  const { postgres, temporal } = servers;
  const superuser = await demoSecret(layout.secrets, 'postgres-password');
  const catalogUrl = `postgres://${postgres.user}:${superuser}@${postgres.host}:${postgres.port}/${CATALOG_DATABASE}`;
  await writeSecret(layout.secrets, 'catalog-url', catalogUrl);
  const backends = await backendsOf(layout, servers);
  const configuration = {
    catalog: { url: { file: secretPath(layout.secrets, 'catalog-url') } },
    temporal: { address: temporal.address, namespace: temporal.namespace, uiUrl: temporal.uiUrl },
    spool: { path: layout.spool, limit: '2GiB' },
    keys: {
      ops: { type: 'aes-256', key: { file: keys.ops } },
      escrow: { type: 'rsa', publicKey: { file: keys.escrowPublic } },
      sign: { type: 'ed25519', privateKey: { file: keys.sign } },
    },
    backends,
    sources: {
      [DEMO_SOURCE]: {
        database: {
          host: postgres.host,
          port: postgres.port,
          name: SHOP_DATABASE,
          user: BACKUP_ROLE,
          password: { file: secretPath(layout.secrets, 'backup-password') },
          sslmode: 'disable',
        },
        files: {
          media: { path: layout.media },
          logs: { path: layout.logs, exclude: ['*.gz'] },
          config: { path: layout.config },
        },
        environment: ['SECRET_KEY'],
      },
    },
    plans: {
      [DEMO_PLAN]: {
        source: DEMO_SOURCE,
        kind: 'full',
        tier: 'manual',
        backends: Object.keys(backends),
        copies: { required: 2 },
        encryptTo: ['ops', 'escrow'],
      },
    },
  };
  const heading = '# Written by `holdfast demo` for the servers it started; the next demo writes it anew.\n';
  await writeFile(layout.configuration, heading + stringify(configuration), { mode: 0o600 });
}

async function backendsOf(layout: DemoLayout, { s3 }: DemoServers): Promise<Record<string, object>> {
  const [near, far] = BUCKETS;
  const bucket = (name: string) => ({
    type: 's3',
    provider: 'generic',
    endpoint: s3?.endpoint,
    region: s3?.region,
    bucket: name,
    accessKeyId: { file: secretPath(layout.secrets, 's3-access-key-id') },
    secretAccessKey: { file: secretPath(layout.secrets, 's3-secret-key') },
  });
  return {
    local: await directory(layout, 'local'),
    [RECOVERY_BACKEND]: s3 ? bucket(near) : await directory(layout, near),
    far: s3 ? bucket(far) : await directory(layout, far),
  };
}

async function directory(layout: DemoLayout, name: string): Promise<object> {
  const path = join(layout.storages, name);
  await mkdir(path, { recursive: true, mode: 0o700 });
  return { type: 'local', path };
}
