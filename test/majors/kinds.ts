import { readFile } from 'node:fs/promises';

/** The kinds of objects of test/core/restore, as far as a major version has them. */
export async function kindsSql(file: 'kinds.sql' | 'rareKinds.sql', major: number): Promise<string> {
  const sql = await readFile(new URL(`../core/restore/${file}`, import.meta.url), 'utf8');
  return major >= 15 ? sql : SINCE_15.reduce((text, [newer, older]) => text.replaceAll(newer, older), sql);
}

/** What came with 15, and what is as good before it. */
const SINCE_15: readonly (readonly [string, string])[] = [
  ['unique nulls not distinct (tag, leaf)', 'unique (tag, leaf)'],
  [`create publication whole_schema for tables in schema "Sales; --";`, 'create publication whole for all tables;'],
  ['for table app.nodes (id, tag) where (id > 5) with', 'for table app.nodes with'],
  ['on delete set null (ref)', 'on delete set null'],
  [' with (security_invoker)', ''],
  // What pg_dump 14.10 writes before its constraint.
  [` comment on constraint late on domain app.late is 'not valid';`, ''],
];

/** What came after 15, as far as a major version has it. */
export async function newKindsSql(major: number): Promise<string> {
  const sql = await readFile(new URL('newKinds.sql', import.meta.url), 'utf8');
  const [, ...sections] = sql.split(/^-- since (?=\d+$)/m);
  return sections
    .filter((section) => Number.parseInt(section, 10) <= major)
    .map((section) => section.replace(/^\d+/, ''))
    .join('');
}
