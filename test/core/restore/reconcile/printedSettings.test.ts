import assert from 'node:assert/strict';
import { test } from 'node:test';
import { reconcile } from '../../../../core/restore/reconcile/reconcile.ts';
import { createDatabase } from '../../../support/servers.ts';
import { accessTo, runSql } from '../../postgres/support.ts';
import { backUp, newTarget, restore } from '../support.ts';

/** Settings that change how a server prints and stores what is in a database. */

const OBJECTS = `
  create schema app; create function app.start() returns int language sql as 'select 7';
  set search_path = app; create domain app.counter as int default start(); reset search_path;
  create text search dictionary app.plain (template = simple, stopwords = english, "accept" = false);
  create function app.quoting() returns int language sql set search_path = app, public as 'select 1';
  create table app.t (at timestamptz default '2026-01-02 03:04:05+06', span interval default '-1 mon 2 days', f float8 default 0.1, b bytea default '\\x00ff',
    d date default '2026-02-03' check (d > '2020-01-02'), m money default '12.50', x xml default '<a/>', "select" int);
  insert into app.t default values; create view app.v as select at, f::text, "select" from app.t where at > '2020-05-06 07:08:09+00' and span < '1 year 2 mons';
  create materialized view app.filled as select at::text, span::text, f::text, b::text, d::text from app.t;
  create table app.parts (at timestamptz not null) partition by range (at); create table app.first partition of app.parts for values from ('2026-01-01 00:00+03') to ('2026-02-01');`;

const SETTINGS = {
  quote_all_identifiers: 'on',
  bytea_output: 'escape',
  extra_float_digits: '-3',
  datestyle: 'German',
  intervalstyle: 'sql_standard',
  timezone: 'Asia/Tokyo',
  xmlbinary: 'hex',
  standard_conforming_strings: 'off',
  lc_monetary: 'C',
  search_path: 'app',
};

test('[7] a backup restores as it was whatever settings of the database change how it is printed', async (context) => {
  const source = await createDatabase(context);
  const settings = Object.entries(SETTINGS).map(
    ([name, value]) => `alter database ${source.name} set ${name} = '${value}'`,
  );
  await runSql(source, OBJECTS);
  await runSql(source, settings.join(';'));
  // Some of it made under these settings.
  await runSql(
    source,
    `create text search dictionary app.quoted (template = simple, stopwords = english); alter database ${source.name} set search_path = app, public;
     create domain app.later as date default '03.02.2026'`,
  );
  const backup = await backUp(context, source);
  for (const scope of [{}, { noOwner: true, noPrivileges: true }]) {
    const target = await newTarget(context);
    await restore(backup, target, scope);
    const { differences } = await reconcile({ database: accessTo(target), expected: backup.inventory, ...scope });
    assert.deepEqual(differences, []);
    const printed = await backUp(context, target);
    const again = await newTarget(context);
    await restore(printed, again, scope);
    assert.deepEqual(
      (await reconcile({ database: accessTo(again), expected: backup.inventory, ...scope })).differences,
      [],
    );
  }
});
