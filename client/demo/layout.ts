import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { readProcess } from '../../core/process/childProcess.ts';
import { serverAccount } from '../../core/tools/postgresServer.ts';

/** Inside the demo's directory: what an earlier run left running. */
export const STATE_FILE = 'running.json';

/** Where everything of the demo lives. Removing `root` removes the demo. */
export interface DemoLayout {
  readonly root: string;
  readonly media: string;
  readonly logs: string;
  readonly config: string;
  readonly keys: string;
  readonly secrets: string;
  readonly spool: string;
  /** Parent of the directories that serve as storages. */
  readonly storages: string;
  readonly postgres: string;
  readonly s3: string;
  readonly temporal: string;
  readonly recovered: string;
  readonly configuration: string;
  readonly state: string;
}

/** Makes the demo's directories; what holds data is of mode 0700. */
export async function makeLayout(directory: string): Promise<DemoLayout> {
  const root = resolve(directory);
  await mkdir(root, { recursive: true, mode: 0o711 });
  const layout = {
    root,
    media: join(root, 'shop', 'media'),
    logs: join(root, 'shop', 'logs'),
    config: join(root, 'shop', 'config'),
    keys: join(root, 'keys'),
    secrets: join(root, 'secrets'),
    spool: join(root, 'spool'),
    storages: join(root, 'storages'),
    postgres: await postgresDirectory(root),
    s3: join(root, 's3'),
    temporal: join(root, 'temporal'),
    recovered: join(root, 'recovered'),
    configuration: join(root, 'holdfast.yaml'),
    state: join(root, STATE_FILE),
  };
  for (const path of [layout.keys, layout.secrets, layout.spool, layout.storages, layout.recovered]) {
    await mkdir(path, { recursive: true, mode: 0o700 });
  }
  return layout;
}

/**
 * As root PostgreSQL runs under another account, which cannot pass through, say, /root. Then its files are in /var/lib,
 * under a name that the next run finds again.
 */
async function postgresDirectory(root: string): Promise<string> {
  const inside = join(root, 'postgres');
  const user = await serverAccount();
  if (user === undefined) return inside;
  await mkdir(inside, { recursive: true, mode: 0o755 });
  const reachable = await readProcess({ command: 'test', args: ['-x', inside], user }).then(
    () => true,
    () => false,
  );
  if (reachable) return inside;
  const outside = join('/var/lib/holdfast-demo', createHash('sha256').update(root).digest('hex').slice(0, 12));
  await mkdir(outside, { recursive: true });
  return outside;
}
