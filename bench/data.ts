import { Client } from 'pg';
import { databaseUrl, type Servers } from './servers.ts';

/**
 * A database like an application's: a wide table of orders that holds about two fifths of it, JSON events, documents as
 * bytea, customers, narrow measurements; indexes on each. Values are drawn at random from vocabularies, so that a dump
 * of it compresses about as well as real ones do; `measureCompression` in contenders.ts holds it to that.
 */

interface TableShape {
  readonly name: string;
  /** Of the size of all tables. */
  readonly share: number;
  readonly create: string;
  /** Inserts $1 rows numbered from $2. */
  readonly insert: string;
  /** Rows inserted at once into a database of 1 GB. */
  readonly batch: number;
}

/** 256 words that sound like words. As a constant in the statement: a table of them would be read for every word. */
const SYLLABLES = [
  'ka',
  'lo',
  'min',
  'ter',
  'sa',
  'ru',
  'ven',
  'do',
  'pel',
  'ti',
  'mor',
  'an',
  'gu',
  'sil',
  'be',
  'fo',
];
const WORDS = SYLLABLES.flatMap((first, one) =>
  SYLLABLES.map((second, other) => (other % 3 === 0 ? first + second : first + second + SYLLABLES[(one + other) % 16])),
);
const WORD = `(array['${WORDS.join("', '")}'])[1 + (random() * 255)::int]`;
/** What names and numbers are to a compressor: new every time. */
const TOKEN = `substr(md5(random()::text), 1, 7)`;
const sentence = (words: number) =>
  `concat_ws(' ', ${Array.from({ length: words }, (_, index) => (index % 3 === 2 ? TOKEN : WORD)).join(', ')})`;
const RANDOM_TIME = `timestamptz '2023-01-01' + random() * interval '3 years'`;
/** Bytes that nothing compresses. */
const noise = (pieces: number) =>
  Array.from({ length: pieces }, (_, index) => `sha512((g::text || random()::text || '${index}')::bytea)`).join(' || ');

const TABLES: readonly TableShape[] = [
  {
    name: 'orders',
    share: 0.4,
    create: `create table orders (id bigint primary key, customer_id bigint not null, placed_at timestamptz not null,
      status text not null, amount numeric(12, 2) not null, note text, details jsonb)`,
    insert: `insert into orders select g, (random() * 100000)::bigint, ${RANDOM_TIME},
      (array['new', 'paid', 'sent', 'returned'])[1 + (random() * 3)::int], (random() * 10000)::numeric(12, 2),
      ${sentence(14)}, jsonb_build_object('sku', upper(substr(md5(random()::text), 1, 10)), 'quantity', (random() * 20)::int,
      'address', ${sentence(5)}, 'tracking', md5(random()::text))
      from generate_series($2::bigint, $2::bigint + $1::bigint - 1) g`,
    batch: 20_000,
  },
  {
    name: 'events',
    share: 0.25,
    create: `create table events (id bigint primary key, at timestamptz not null, kind text not null, body jsonb not null)`,
    insert: `insert into events select g, ${RANDOM_TIME}, ${WORD},
      jsonb_build_object('session', gen_random_uuid(), 'path', '/' || ${WORD} || '/' || ${WORD}, 'ms', (random() * 5000)::int,
      'agent', ${sentence(4)}, 'ip', concat_ws('.', (random()*255)::int, (random()*255)::int, (random()*255)::int, (random()*255)::int))
      from generate_series($2::bigint, $2::bigint + $1::bigint - 1) g`,
    batch: 20_000,
  },
  {
    name: 'documents',
    share: 0.15,
    create: `create table documents (id bigint primary key, title text not null, content bytea not null)`,
    insert: `insert into documents select g, ${sentence(3)}, ${noise(24)}
      from generate_series($2::bigint, $2::bigint + $1::bigint - 1) g`,
    batch: 4_000,
  },
  {
    name: 'customers',
    share: 0.1,
    create: `create table customers (id bigint primary key, name text not null, email text not null, since date, notes text)`,
    insert: `insert into customers select g, initcap(${sentence(2)}), md5(g::text) || '@example.org', (${RANDOM_TIME})::date, ${sentence(10)}
      from generate_series($2::bigint, $2::bigint + $1::bigint - 1) g`,
    batch: 20_000,
  },
  {
    name: 'measurements',
    share: 0.1,
    create: `create table measurements (sensor integer not null, at timestamptz not null, value double precision, quality smallint)`,
    insert: `insert into measurements select (random() * 500)::int, ${RANDOM_TIME}, random() * 1000, (random() * 100)::int
      from generate_series($2::bigint, $2::bigint + $1::bigint - 1) g`,
    batch: 50_000,
  },
];

const INDEXES = [
  'create index on orders (customer_id)',
  'create index on orders (placed_at)',
  'create index on events (at)',
  'create index on customers (email)',
  'create index on measurements (sensor, at)',
  'alter table orders add foreign key (customer_id) references customers (id) not valid',
];

/** Changes with the shapes above, so that an older database is not taken for a new one. */
const SHAPE_VERSION = 2;
/** Indexes come on top of the tables, about so much of the whole. */
const INDEX_SHARE = 0.12;

export interface BenchDatabase {
  readonly name: string;
  /** pg_database_size(), in bytes. */
  readonly bytes: number;
}

/** A database of about `size` bytes, made now or by an earlier run. */
export async function prepareDatabase(
  servers: Servers,
  size: number,
  say: (line: string) => void,
): Promise<BenchDatabase> {
  const name = `bench_v${SHAPE_VERSION}_${size}`;
  if (!(await databaseExists(servers, name))) {
    say(`making a database of ${size} bytes, once ...`);
    const draft = `${name}_draft`;
    await recreateDatabase(servers, draft);
    await fill(servers, draft, size);
    await administer(servers, `alter database ${draft} rename to ${name}`);
  }
  return { name, bytes: await databaseBytes(servers, name) };
}

/** A new database without any table. */
export async function recreateDatabase(servers: Servers, name: string): Promise<void> {
  await dropDatabase(servers, name);
  await administer(servers, `create database ${name}`);
}

export async function dropDatabase(servers: Servers, name: string): Promise<void> {
  await administer(servers, `drop database if exists ${name} with (force)`);
}

/** One statement in the maintenance database. */
export async function administer(servers: Servers, statement: string): Promise<void> {
  await withClient(servers, 'postgres', (client) => client.query(statement));
}

async function fill(servers: Servers, database: string, size: number): Promise<void> {
  await withClient(servers, database, async (client) => {
    await client.query('set synchronous_commit = off');
    for (const table of TABLES) {
      await client.query(table.create);
      const target = size * (1 - INDEX_SHARE) * table.share;
      const batch = Math.ceil(table.batch * Math.min(1, size / 1e9));
      for (let next = 1; (await tableBytes(client, table.name)) < target; next += batch)
        await client.query(table.insert, [batch, next]);
    }
    for (const statement of INDEXES) await client.query(statement);
    await client.query('vacuum analyze');
    await client.query('checkpoint');
  });
}

async function tableBytes(client: Client, table: string): Promise<number> {
  const { rows } = await client.query<{ bytes: string }>('select pg_table_size($1::regclass) as bytes', [table]);
  return Number(rows[0]?.bytes);
}

async function databaseBytes(servers: Servers, name: string): Promise<number> {
  return withClient(servers, 'postgres', async (client) => {
    const { rows } = await client.query<{ bytes: string }>('select pg_database_size($1) as bytes', [name]);
    return Number(rows[0]?.bytes);
  });
}

async function databaseExists(servers: Servers, name: string): Promise<boolean> {
  return withClient(servers, 'postgres', async (client) => {
    const { rowCount } = await client.query('select from pg_database where datname = $1', [name]);
    return rowCount === 1;
  });
}

async function withClient<T>(servers: Servers, database: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: databaseUrl(servers, database) });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
