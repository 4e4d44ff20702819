import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { readProcess } from '../../core/process/childProcess.ts';
import { HOLDFAST } from './holdfastCommand.ts';
import type { DemoKeys } from './configuration.ts';
import type { DemoLayout } from './layout.ts';
import { demoSecret } from './secrets.ts';
import { BUCKETS, S3_ACCESS_KEY_ID, type DemoServers } from './servers.ts';

export interface Recovery {
  /** The command as a person would type it; no secret stands in it. */
  readonly command: string;
  readonly dump: string;
}

/**
 * Gets the database out of one bucket as on the worst day: no configuration, no catalog, no Temporal, no environment of
 * the demo's; only the storage's credentials, the offline escrow key and the key that checks signatures.
 */
export async function recoverDatabase(
  backup: string,
  place: { readonly layout: DemoLayout; readonly servers: DemoServers; readonly keys: DemoKeys },
  signal: AbortSignal,
): Promise<Recovery> {
  const { layout, servers, keys } = place;
  const dump = join(layout.recovered, 'shop.dump');
  await rm(dump, { force: true });
  const args = [
    'recover',
    'extract',
    backup,
    ...storageArguments(layout, servers),
    `--key=${keys.escrowSecret}`,
    `--verify-key=${keys.signPublic}`,
    '--part=database',
    '--as=dump',
    `--output=${dump}`,
  ];
  await readProcess({
    command: HOLDFAST,
    args,
    workingDirectory: layout.recovered,
    environment: {
      AWS_ACCESS_KEY_ID: S3_ACCESS_KEY_ID,
      AWS_SECRET_ACCESS_KEY: await demoSecret(layout.secrets, 's3-secret-key'),
    },
    signal,
  });
  return { command: ['holdfast', ...args].join(' '), dump };
}

function storageArguments(layout: DemoLayout, { s3 }: DemoServers): string[] {
  const [near] = BUCKETS;
  if (s3 === undefined) return [`--local=${join(layout.storages, near)}`];
  return [`--s3-bucket=${near}`, `--s3-endpoint=${s3.endpoint}`, `--s3-region=${s3.region}`];
}
