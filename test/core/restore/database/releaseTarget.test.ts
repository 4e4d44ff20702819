import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test, type TestContext } from 'node:test';
import { isHoldfastError } from '../../../../core/errors.ts';
import { reconcile } from '../../../../core/restore/reconcile/reconcile.ts';
import { dropDeadTargets, findDeadTargets } from '../../../../core/restore/database/deadTargets.ts';
import { releaseTarget } from '../../../../core/restore/database/releaseTarget.ts';
import { databaseOids, swapDatabases, undoSwap } from '../../../../core/restore/database/swapDatabases.ts';
import { createTarget, dropLeftOvers } from '../../../../core/restore/database/targetDatabase.ts';
import { newAttempt, scopeOf } from '../../../../core/restore/database/targetMark.ts';
import { createDatabase, type TestDatabase } from '../../../support/servers.ts';
import { accessTo, openSession, runSql } from '../../postgres/support.ts';
import { backUp, maintenance, newTarget, onServer, restore, type StoredDatabase } from '../support.ts';

/** A restored database keeps its restore's mark until it is released: at every instant somebody is answerable for it. */

test('[27] whole, and not yet released: it is dropped by its mark, and equal to what was dumped', async (context) => {
  const { backup, target, mark } = await restored(context);
  assert.match(await commentOn(target), new RegExp(`: ${mark} \\(\\w+, \\d+, "${target.name}"\\)\\nits own$`));
  const { differences } = await reconcile({ database: accessTo(target), expected: backup.inventory });
  assert.deepEqual(differences, []);
  await dropLeftOvers({ server: maintenance(), target: target.name, mark });
  assert.deepEqual(await databaseOids(maintenance(), [target.name]), [undefined]);
});

test('released it has its own comment, is left alone, and releasing it again changes nothing', async (context) => {
  const { target, mark } = await restored(context);
  const [oid = ''] = await databaseOids(maintenance(), [target.name]);
  const released = { server: maintenance(), target: target.name, mark, oid };
  for (let count = 0; count < 2; count += 1) {
    await releaseTarget(released);
    assert.equal(await commentOn(target), 'its own');
  }
  await runSql(target, `comment on database ${target.name} is 'changed since'`);
  await releaseTarget(released);
  assert.equal(await commentOn(target), 'changed since');
  await dropLeftOvers({ server: maintenance(), target: target.name, mark });
  assert.deepEqual(await databaseOids(maintenance(), [target.name]), [oid]);
  await assert.rejects(releaseTarget({ ...released, oid: '1' }), (error) => isHoldfastError(error, 'RefusedForSafety'));
});

test('[27] released under another name it gets it in one go with its comment, and never takes a name that is taken', async (context) => {
  const { target, mark } = await restored(context);
  const taken = await createDatabase(context);
  const name = await newTarget(context);
  const [oid = ''] = await databaseOids(maintenance(), [target.name]);
  const released = { server: maintenance(), target: target.name, name: name.name, mark, oid };
  await assert.rejects(releaseTarget({ ...released, name: taken.name }), /has come to be/);
  assert.match(await commentOn(target), /^Holdfast is restoring/);
  const session = await openSession(context, target);
  session.on('error', () => undefined);
  for (let count = 1; count <= 2; count += 1) {
    await releaseTarget(released);
    assert.deepEqual(await databaseOids(maintenance(), [target.name, name.name]), [undefined, oid]);
    assert.equal(await commentOn(name), 'its own');
  }
});

test("[27] the mark goes in the transaction of the swap, and what was in place is nobody's to drop", async (context) => {
  const { target, mark } = await restored(context);
  const old = await createDatabase(context);
  const [oldOid = '', nextOid = ''] = await databaseOids(maintenance(), [old.name, target.name]);
  const [keptAs, setAsideAs] = [`${old.name}_kept`, `${old.name}_aside`];
  const oids = { old: oldOid, next: nextOid };
  const swap = { server: maintenance(), name: old.name, next: target.name, keptAs, setAsideAs, oids, mark };
  await swapDatabases(swap);
  assert.equal(await commentOn(old), 'its own');
  assert.equal(await undoSwap(swap), 'undone');
  await dropLeftOvers({ server: maintenance(), target: target.name, mark });
  const names = [old.name, target.name, keptAs, setAsideAs];
  assert.deepEqual(await databaseOids(maintenance(), names), [oldOid, undefined, undefined, nextOid]);
  assert.equal(await commentOn({ ...target, name: setAsideAs }), 'its own');
  await onServer(`drop database ${setAsideAs}`);
});

test('[27] a database whose dropping was cut off is dropped to its end', async (context) => {
  const { target, mark } = await restored(context);
  // As a server leaves it that ended in the middle of DROP DATABASE.
  await onServer(`update pg_database set datconnlimit = -2 where datname = '${target.name}'`);
  const { dropped } = await dropDeadTargets(maintenance(), `${scopeOf(mark)}/mine`, []);
  assert.deepEqual(dropped, [target.name]);
  assert.deepEqual(await databaseOids(maintenance(), [target.name]), [undefined]);
});

test('[27] what dead runs left is found by their scope, in whatever state; others stay, and what is used', async (context) => {
  const { backup, target, mark } = await restored(context);
  const server = maintenance();
  const scope = mark.slice(0, mark.lastIndexOf('/'));
  const [own, other, used] = await Promise.all([newTarget(context), newTarget(context), newTarget(context)]);
  const begun = (database: TestDatabase, of: string) =>
    createTarget({ server, target: database.name, mark: of, attempt: newAttempt() }, backup.inventory.database);
  await begun(own, `${scope}/mine`);
  await begun(other, `${scope}-of-another/it`);
  await begun(used, `${scope}/used`);
  await openSession(context, used);
  // Who does not have the source's lock cannot know that its restore is dead.
  const [looked] = (await findDeadTargets(server, `${scope}/mine`, [])).left;
  assert.equal(looked?.name, used.name);
  assert.match(looked.advice, /^Look first whether a restore of the source runs/);
  assert.doesNotMatch(looked.advice, /DROP DATABASE|COMMENT ON/);
  const { dropped, left } = await dropDeadTargets(server, `${scope}/mine`, []);
  assert.deepEqual(dropped, [target.name]);
  assert.deepEqual(
    left.map(({ name, why }) => [name, why]),
    [[used.name, '1 sessions are in it']],
  );
  assert.match(left[0]?.advice ?? '', /DROP DATABASE/);
  const there = await databaseOids(server, [own.name, other.name, used.name]);
  assert.ok(there.every((oid) => oid !== undefined));
});

async function restored(context: TestContext): Promise<{ backup: StoredDatabase; target: TestDatabase; mark: string }> {
  const source = await createDatabase(context);
  await runSql(source, `create table t (v int); comment on database ${source.name} is 'its own'`);
  const backup = await backUp(context, source);
  const target = await newTarget(context);
  const mark = `test/${randomBytes(6).toString('hex')}/dead`;
  await restore(backup, target, { mark, keepMark: true });
  return { backup, target, mark };
}

async function commentOn({ name }: TestDatabase): Promise<string> {
  const [row] = await onServer(
    `select shobj_description(oid, 'pg_database') as comment from pg_database where datname = '${name}'`,
  );
  return String(row?.['comment']);
}
