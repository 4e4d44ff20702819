import { findClientPrograms } from '../core/postgres/clients.ts';
import { loadConfiguration } from '../core/config/load.ts';
import { loadKeys, openBackends, restoreServer } from '../core/config/open.ts';
import { chooseBackup } from '../core/restore/choose/chooseBackup.ts';
import { readDescription } from '../core/restore/choose/readDescription.ts';
import { reconcile } from '../core/restore/reconcile/reconcile.ts';
import { restoreDatabase } from '../core/restore/database/restoreDatabase.ts';
import { chooseRestorePrograms } from '../core/restore/database/restorePrograms.ts';
import type { RestoreAnswer, RestoreOrder } from './restoreRun.ts';

/** One restore and its reconciliation, in a process whose memory and time are its own. Takes a RestoreOrder as JSON. */

const order = JSON.parse(process.argv[2] ?? '') as RestoreOrder;
console.log(JSON.stringify(await restoreOnce(order)));

async function restoreOnce({
  configuration: path,
  backend,
  backup,
  target,
  jobs,
}: RestoreOrder): Promise<RestoreAnswer> {
  const { configuration } = await loadConfiguration(path);
  const backends = openBackends(configuration);
  const keys = loadKeys(configuration);
  try {
    const openingKeys = await keys.opening();
    const { manifest, copies } = await chooseBackup({
      wish: { backup, parts: ['database'] },
      copies: [{ backend, open: () => backends.get(backend) }],
      checkingKeys: await keys.checking(),
    });
    if (manifest.database === undefined) throw new TypeError('a backup with a database names its programs');
    const server = await restoreServer(configuration, manifest.source);
    const clients = chooseRestorePrograms(await findClientPrograms(), manifest.database.clientVersion);
    const before = process.memoryUsage.rss();
    const { durations } = await restoreDatabase({
      copies,
      manifest,
      openingKeys,
      server,
      target,
      mark: 'bench',
      jobs,
      clients,
    });
    const memory = { before, peak: process.resourceUsage().maxRSS * 1024 };
    const { inventory } = await readDescription(copies, manifest, openingKeys);
    const { equal, differences, duration } = await reconcile({
      database: { ...server, name: target },
      expected: inventory,
    });
    if (!equal) throw new Error(`what was restored is not what was dumped: ${JSON.stringify(differences.slice(0, 3))}`);
    return { durations, reconciliation: duration, memory };
  } finally {
    backends.close();
  }
}
