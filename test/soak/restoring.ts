import assert from 'node:assert/strict';
import { differences } from '../../client/demo/databaseContents.ts';
import { runSql } from '../core/postgres/support.ts';
import { databasesOf, dropRestored, resultOf, startRestore } from '../support/restores.ts';
import { restoreDatabase, strays, type StoreName } from '../support/soundness.ts';
import { fileOf, flipBit } from '../support/storedFiles.ts';
import type { SupervisedWorker } from '../support/supervisedWorker.ts';
import { contentsOf, type Ground } from './ground.ts';
import { killAtRandom, type Kill } from './killer.ts';
import type { Scope } from './scope.ts';

/** `extract` and pg_restore by hand; into a new database beside the source's; in place of it, when its rows are gone. */
const WAYS = ['extract', 'new', 'replace'] as const;
type Way = (typeof WAYS)[number];

/** How one backup is restored, drawn before anything is begun. */
export interface RestoreDraw {
  readonly way: Way;
  /** The copy that is read first. */
  readonly backend: StoreName;
  /** That copy is damaged before: another one has to step in, by name. */
  readonly damaged: boolean;
  readonly kills: number;
}

export interface RestoreReport {
  readonly kills: readonly Kill[];
  /** Milliseconds. */
  readonly duration: number;
}

const BACKENDS: readonly StoreName[] = ['far', 'near', 'local'];
/** The object with the rows. */
const ROWS = 'database.dump.zst.enc';

export function drawRestore(random: () => number, mostKills: number): RestoreDraw {
  const one = <Item>(items: readonly [Item, ...Item[]]) => items[Math.floor(random() * items.length)] ?? items[0];
  const way = one(WAYS);
  const backend = BACKENDS[Math.floor(random() * BACKENDS.length)] ?? 'far';
  const damaged = random() < 0.5;
  const kills = Math.floor(random() * (mostKills + 1));
  // What is extracted by hand has no run that outlives a kill, nor another copy to go to.
  return { way, backend, damaged: damaged && way !== 'extract', kills: way === 'extract' ? 0 : kills };
}

export function describeRestore({ way, backend, damaged }: RestoreDraw): string {
  return `restored (${way}) from ${backend}${damaged ? ', damaged, so from another' : ''}`;
}

interface RestoreOrder {
  readonly id: string;
  readonly draw: RestoreDraw;
  /** Milliseconds that a backup takes which nobody disturbs: kills fall within as many. */
  readonly undisturbed: number;
  readonly random: () => number;
}

/** Restores a backup as drawn and compares it with what the source held. Throws where a promise was broken. */
export async function restoreAndCompare(
  scope: Scope,
  ground: Ground,
  worker: SupervisedWorker,
  order: RestoreOrder,
): Promise<RestoreReport> {
  const { id, draw } = order;
  const begun = Date.now();
  if (draw.way === 'extract') {
    const restored = await restoreDatabase(scope, ground.app, id, draw.backend);
    assert.deepEqual(differences(ground.contents, await contentsOf(restored)), []);
    return { kills: [], duration: Date.now() - begun };
  }
  if (draw.damaged) await flipBit(fileOf(ground.app, draw.backend, id, ROWS));
  if (draw.way === 'replace') await runSql(ground.app.database, 'truncate bulky');
  try {
    return await runRestore(ground, worker, { ...order, mode: draw.way });
  } finally {
    await dropRestored(ground.app);
  }
}

async function runRestore(
  { app, contents }: Ground,
  worker: SupervisedWorker,
  { id, mode, draw, undisturbed, random }: RestoreOrder & { readonly mode: 'new' | 'replace' },
): Promise<RestoreReport> {
  const { backend, damaged } = draw;
  const { name } = app.database;
  const begun = Date.now();
  const handle = await startRestore(app, {
    source: 'shop',
    backup: id,
    mode,
    backends: [backend, ...BACKENDS.filter((other) => other !== backend)],
    ...(mode === 'replace' && { confirm: name, safetyBackup: 'skip' }),
  });
  const over = new AbortController();
  const disturbance = { workflowId: handle.workflowId, kills: draw.kills, undisturbed, random, ended: over.signal };
  const killing = killAtRandom({ app, worker, ...disturbance });
  const { state, problem, database = '', kept, passedOver } = await resultOf(handle).finally(() => over.abort());
  const duration = Date.now() - begun;
  const kills = await killing;
  assert.equal(state, 'restored', problem?.message);
  const told = passedOver.map((copy) => copy.backend);
  assert.deepEqual(told, damaged ? [backend] : [], JSON.stringify(passedOver));
  assert.deepEqual(await databasesOf(app), [name, mode === 'new' ? database : (kept?.name ?? '')].toSorted());
  assert.deepEqual(differences(contents, await contentsOf({ ...app.database, name: database })), []);
  assert.deepEqual(await strays(app), []);
  return { kills, duration };
}
