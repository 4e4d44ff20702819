import type pg from 'pg';
import { codeOf } from '../../errors.ts';
import type { DatabaseAccess } from '../../postgres/access.ts';
import { inSession } from '../../postgres/inSession.ts';
import type { Inventory } from '../../postgres/inventorySchema.ts';
import type { RestoreScope } from '../run.ts';
import type { Restorer } from './restorer.ts';

/** Who has to be allowed to create what, for as long as it is being given to him. */
export interface Creators {
  readonly inSchemas: readonly { readonly schema: string; readonly role: string }[];
  /** Owners of schemas and publications. */
  readonly inDatabase: readonly string[];
}

/**
 * The owners that the restoring role needs them to be: PostgreSQL lets nobody but a superuser give an object to a role that
 * may not create it there (ALTER TABLE, "Description"), and privileges come last.
 */
export function creatorsNeeded(
  { role }: Restorer,
  { objects }: Pick<Inventory, 'objects'>,
  { noOwner }: Pick<RestoreScope, 'noOwner'>,
): Creators {
  const schemas = new Set(objects.filter(({ kind }) => kind === 'schema').map(({ identity }) => identity));
  const owned = noOwner ? [] : objects;
  const owners = owned.flatMap(({ identity, owner }) => {
    const schema = FIRST_NAME.exec(identity)?.[1] ?? '';
    return owner !== undefined && schemas.has(schema) ? [{ schema, role: owner }] : [];
  });
  // Indexes are made by who restores, whoever owns their table.
  const restoring = [...schemas].map((schema) => ({ schema, role }));
  const distinct = new Map([...owners, ...restoring].map((each) => [JSON.stringify(each), each]));
  return {
    inSchemas: [...distinct.values()],
    inDatabase: [
      ...new Set(owned.flatMap(({ kind, owner }) => (/^(schema|publication)$/.test(kind) && owner ? [owner] : []))),
    ],
  };
}

/** Of a qualified name, quoted where it needs to be. */
const FIRST_NAME = /^("(?:[^"]|"")+"|[^".]+)\./;

/**
 * Does work while these roles may create there, and has them allowed no more than before when it is done. A schema that is
 * not there, a role that is not, and a grant that the restoring role may not make are passed over: then the work fails, if
 * it needs them, and names the object. After a failure they keep it: the database is dropped.
 */
export async function whileTheyMayCreate<Result>(
  target: DatabaseAccess,
  { inSchemas, inDatabase }: Creators,
  work: () => Promise<Result>,
  signal?: AbortSignal,
): Promise<Result> {
  const lent: string[] = [];
  await inSession(target, 'letting owners create', signal, async (client) => {
    const lacking = [...(await lackingInDatabase(client, inDatabase)), ...(await lackingInSchemas(client, inSchemas))];
    for (const { right, where, role } of lacking)
      if (await mayGrant(client, `GRANT ${right} ON ${where} TO ${role}`))
        lent.push(`REVOKE ${right} ON ${where} FROM ${role}`);
  });
  const result = await work();
  await inSession(target, 'taking back what owners may create', signal, async (client) => {
    for (const sql of lent) await client.query(sql);
  });
  return result;
}

interface Lacking {
  readonly right: 'CREATE' | 'USAGE';
  /** As GRANT names it. */
  readonly where: string;
  readonly role: string;
}

async function lackingInDatabase(client: pg.Client, roles: readonly string[]): Promise<Lacking[]> {
  const { rows } = await client.query<Lacking>(
    `select 'CREATE' as "right", format('DATABASE %I', current_database()) as where, quote_ident(rolname) as role from pg_roles
      where rolname = any ($1) and rolname <> 'pg_database_owner'
        and not has_database_privilege(oid, current_database(), 'create')`,
    [roles],
  );
  return rows;
}

async function lackingInSchemas(client: pg.Client, wanted: Creators['inSchemas']): Promise<Lacking[]> {
  const { rows } = await client.query<Lacking>(
    `select right_wanted as "right", format('SCHEMA %I', nspname) as where, quote_ident(rolname) as role
       from unnest($1::text[], $2::text[]) as wanted (schema, role)
       join pg_namespace on quote_ident(nspname) = schema join pg_roles on rolname = role
       -- What an index computes runs as the owner of its table.
       cross join (values ('CREATE'), ('USAGE')) as rights (right_wanted)
      where not has_schema_privilege(pg_roles.oid, pg_namespace.oid, right_wanted)`,
    [wanted.map(({ schema }) => schema), wanted.map(({ role }) => role)],
  );
  return rows;
}

async function mayGrant(client: pg.Client, sql: string): Promise<boolean> {
  try {
    await client.query(sql);
    return true;
  } catch (error) {
    if (codeOf(error) === NOT_ALLOWED) return false;
    throw error;
  }
}

const NOT_ALLOWED = '42501';
