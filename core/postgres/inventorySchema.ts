import { z } from 'zod';

/**
 * The part `inventory`: what a database held inside the dump's own snapshot, for a restore to be compared with. One JSON
 * document. Lists are sorted; large integers are decimal text.
 */

export const INVENTORY_FORMAT = 'holdfast-inventory';
export const INVENTORY_VERSION = 1;

const decimal = z.string().regex(/^-?\d+$/);

const table = z.strictObject({
  schema: z.string(),
  name: z.string(),
  /**
   * `table`: a plain table or a partition, with the rows of its own (without children's). `partitioned`: has none; but
   * one partitioned by the hash of an enum has the rows of all its partitions, and they have none, because a restore
   * distributes them anew.
   */
  kind: z.enum(['table', 'partitioned']),
  /** Exact count in the snapshot; absent where not counted. Of an extension's table only the rows a dump carries. */
  rows: decimal.optional(),
  /** See fingerprint.ts; equal for equal rows whatever their order, on servers 14 to 18 of the same byte order. */
  fingerprint: decimal.optional(),
});

const sequence = z.strictObject({
  schema: z.string(),
  name: z.string(),
  /**
   * Sequences stand outside of transactions: read at or after the snapshot, so never behind the rows, and on a busy
   * database a little before or after what the dump carries.
   */
  lastValue: decimal,
  isCalled: z.boolean(),
  /** The column that owns it, e.g. `public.orders.id`. */
  ownedBy: z.string().optional(),
});

const role = z.strictObject({
  name: z.string(),
  superuser: z.boolean(),
  createRole: z.boolean(),
  createDatabase: z.boolean(),
  inherit: z.boolean(),
  login: z.boolean(),
  replication: z.boolean(),
  bypassRowSecurity: z.boolean(),
  memberOf: z.array(z.string()),
  /**
   * Whether something that a restore brings back names it: an owner, a privilege, a policy, a setting. All others are here for
   * what roles are members of. Absent in inventories of earlier releases.
   */
  named: z.boolean().optional(),
});

/** Anything with a definition. Compare by `kind` and `identity` first, then digest by digest. */
const object = z.strictObject({
  kind: z.string(),
  /** As pg_identify_object() says, qualified and quoted, e.g. `orders_pkey on public.orders`. */
  identity: z.string(),
  /**
   * SHA-256 of the definition, first 32 hex digits. Within one major version it is the same after dump and restore;
   * a newer server can print the same definition in another way.
   */
  definition: z.string(),
  owner: z.string().optional(),
  /** Digest of the effective privileges, absent where the kind has none. */
  privileges: z.string().optional(),
  /** Digest of the comment, absent where there is none. */
  comment: z.string().optional(),
});

/** Something that belongs to the database and that pg_dump leaves out. */
const notCarried = z.strictObject({
  kind: z.enum([
    'replication slot',
    'subscription',
    'subscription state',
    'prepared transaction',
    'rows of foreign table',
    'rows of unlogged table',
    'invalid index',
    'security label',
    'security label of database',
    'object in a system schema',
    'order of columns',
    'identity of partition',
    'owner of extension',
    'enabled state of constraint',
    'options of user mapping',
  ]),
  /** Its name, qualified and quoted where it needs to be. */
  name: z.string(),
});

/** What the server has to have for a dump to be restored, beside extensions, roles and tablespaces. */
const serverNeeds = z.strictObject({
  /** Of security labels that a dump carries. */
  labelProviders: z.array(z.string()),
  /** Of functions in C that belong to no extension: as `pg_proc.probin` names it, and which functions these are. */
  libraries: z.array(z.strictObject({ library: z.string(), functions: z.array(z.string()) })),
  /** Of functions that extensions bring: their libraries may bring providers of labels too. */
  extensionLibraries: z.array(z.string()),
  /** Languages that belong to no extension and whose handler no dump carries: CREATE LANGUAGE asks for the extension. */
  languages: z.array(z.string()),
  /** The server's own collations that something in the database names: initdb makes them of what the machine knows. */
  collations: z.array(z.string()),
  /** Locales of libc that collations of the database's own are made of. */
  locales: z.array(z.string()),
  /** Whether collations of the database's own are of the provider ICU. */
  icu: z.boolean(),
  /** Text search dictionaries of PostgreSQL's own templates that read files of the server, and how they are set. */
  dictionaries: z.array(
    z.strictObject({
      name: z.string(),
      template: z.string(),
      options: z.array(z.strictObject({ name: z.string(), value: z.string() })),
    }),
  ),
  /** Who granted privileges on what belongs to others, and on what. Absent in inventories of earlier releases. */
  grantors: z.array(z.strictObject({ grantor: z.string(), objects: z.array(z.string()) })).optional(),
  /** Tables whose row-level security holds for their owner too. Absent in inventories of earlier releases. */
  forcedSecurity: z.array(z.strictObject({ schema: z.string(), name: z.string() })).optional(),
  /**
   * Schemas, tables and sequences that their own owner may not look into: he took that right from himself. Absent in
   * inventories of earlier releases.
   */
  closedToOwners: z.array(z.string()).optional(),
  /**
   * Materialized views that hold rows, the tables with row-level security that they read, as which role, whose these tables
   * are, and whether it holds for their owner too. Absent in inventories of earlier releases.
   */
  securedFills: z
    .array(
      z.strictObject({
        view: z.string(),
        reader: z.string(),
        table: z.string(),
        owner: z.string(),
        forced: z.boolean(),
      }),
    )
    .optional(),
});

export const inventorySchema = z.strictObject({
  format: z.literal(INVENTORY_FORMAT),
  version: z.literal(INVENTORY_VERSION),
  detail: z.enum(['fingerprints', 'counts', 'off']),
  serverVersion: z.string(),
  database: z.strictObject({
    name: z.string(),
    owner: z.string(),
    encoding: z.string(),
    collate: z.string(),
    ctype: z.string(),
    /** `libc`, `icu` or `builtin`; absent on servers before 15. */
    localeProvider: z.string().optional(),
    /** Of the providers icu and builtin. */
    locale: z.string().optional(),
    /** Of the provider icu, where there are any; servers have them from 16 on. */
    icuRules: z.string().optional(),
    tablespace: z.string(),
    /** Whoever may create databases may copy it, and it cannot be dropped. */
    template: z.literal(true).optional(),
    privileges: z.string(),
    comment: z.string().optional(),
    settings: z.array(z.strictObject({ role: z.string().nullable(), name: z.string(), value: z.string() })),
  }),
  /** With their schema; a restore needs them installed, in at least this version. */
  extensions: z.array(z.strictObject({ name: z.string(), version: z.string(), schema: z.string() })),
  /** Roles that something in the database belongs to, is granted to, or is set for, and all they are members of. */
  roles: z.array(role),
  tablespaces: z.array(z.string()),
  /** Absent in inventories of earlier releases. */
  needs: serverNeeds.optional(),
  largeObjects: z.strictObject({
    count: decimal,
    /** Over the contents. */
    fingerprint: decimal.optional(),
    /** Over owners, privileges and comments. */
    privileges: decimal,
  }),
  /** Tables by which applications record their migrations, of the ones that are known. */
  migrationTables: z.array(z.string()),
  /** Tables that hold work to be done later, of the ones that are known. Absent in inventories of earlier releases. */
  taskTables: z.array(z.string()).optional(),
  /** What is there and not in any dump. Absent in inventories of earlier releases. */
  notCarried: z.array(notCarried).optional(),
  sequences: z.array(sequence),
  objects: z.array(object),
  tables: z.array(table),
});

export type Inventory = z.infer<typeof inventorySchema>;
export type ServerNeeds = z.infer<typeof serverNeeds>;
export type NotCarried = z.infer<typeof notCarried>;
export type InventoryTable = Inventory['tables'][number];
export type InventoryObject = Inventory['objects'][number];
