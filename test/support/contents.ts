import { createHash } from 'node:crypto';
import { readdir, readFile, readlink } from 'node:fs/promises';
import { join, relative } from 'node:path';
import type { Client } from 'pg';
import { querySession } from './session.ts';
import type { TestDatabase } from './servers.ts';

const RELATIONS = `
  select c.oid::regclass::text as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
   where c.relkind in ('r', 'm') and c.relispopulated and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
   order by 1`;

/** What a database holds, to be compared with another's: each table's rows as one hash, sequences, large objects. */
export async function databaseContents(database: TestDatabase): Promise<Record<string, string>> {
  return querySession(database, async (client) => {
    const contents: Record<string, string> = {};
    const { rows: relations } = await client.query<{ name: string }>(RELATIONS);
    for (const { name } of relations) {
      // As JSON by name: a column that came late to a parent stands elsewhere after a restore.
      contents[name] = await hashOf(client, `select to_jsonb(t)::text as line from only ${name} t`);
    }
    contents['sequences'] = await hashOf(
      client,
      `select concat_ws(' ', schemaname, sequencename, last_value, increment_by) as line from pg_sequences`,
    );
    contents['large objects'] = await hashOf(
      client,
      `select oid || ' ' || encode(lo_get(oid), 'hex') as line from pg_largeobject_metadata`,
    );
    return contents;
  });
}

async function hashOf(client: Client, lines: string): Promise<string> {
  const sql = `select count(*) || ' ' || coalesce(md5(string_agg(line, E'\\n' order by line collate "C")), '') as hash from (${lines}) l`;
  const { rows } = await client.query<{ hash: string }>(sql);
  return rows[0]?.hash ?? '';
}

/** What a tree holds, to be compared with another's: each file's bytes as a hash, each link's target. */
export async function treeContents(root: string): Promise<Record<string, string>> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  const found = await Promise.all(
    entries.map(async (entry) => {
      const path = join(entry.parentPath, entry.name);
      const content = entry.isSymbolicLink()
        ? `-> ${await readlink(path)}`
        : entry.isFile()
          ? createHash('sha256')
              .update(await readFile(path))
              .digest('hex')
          : 'directory';
      return [relative(root, path), content] as const;
    }),
  );
  return Object.fromEntries(found.toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
