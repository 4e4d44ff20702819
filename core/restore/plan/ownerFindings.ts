import type pg from 'pg';
import { cutList, quoteIdentifier } from '../../postgres/identifiers.ts';
import type { Owner } from './ownersIn.ts';
import type { RoleOnServer } from './roleOnServer.ts';

/** What a role lacks, and what mends it. */
export interface Lack {
  readonly message: string;
  readonly advice: string;
}

interface Membership {
  readonly name: string;
  /** To give an object away takes SET on its new owner from 16 on, where a membership can come without. */
  readonly member: boolean;
  /** Whether the role may do what that one may without becoming it: everything that follows needs it. */
  readonly inherits: boolean;
}

/**
 * The roles that one which restores can give nothing to, or not go on with what it gave: it fills tables, and makes indexes, that
 * belong to their owner already. `toBeMade`: roles that the server does not have yet and that it will join.
 */
export async function ownerLacks(
  client: pg.Client,
  role: RoleOnServer,
  serverMajor: number,
  { owners, toBeMade = [] }: { readonly owners: readonly Owner[]; readonly toBeMade?: readonly string[] },
): Promise<Lack[]> {
  const memberships = await readMemberships(
    client,
    owners.map(({ name }) => name),
  );
  // From 16 on it is asked for when it joins.
  const never = serverMajor < 16 && !role.superuser && !role.inherits ? toBeMade : [];
  const shown = (names: readonly string[]) =>
    cutList(owners.filter(({ name }) => names.includes(name)).map(shownOwner));
  const foreign = memberships.filter(({ member }) => !member).map(({ name }) => name);
  const apart = [
    ...memberships.filter(({ member, inherits }) => member && !inherits).map(({ name }) => name),
    ...owners.filter(({ name }) => never.includes(name)).map(({ name }) => name),
  ];
  return [
    ...(foreign.length > 0
      ? [
          {
            message: `role ${role.name} cannot give what it restores to ${shown(foreign)}`,
            advice: joiningSql(role, serverMajor, { foreign, apart: [] }),
          },
        ]
      : []),
    ...(apart.length > 0
      ? [
          {
            message: `role ${role.name} does not inherit what those may to whom it gives what it restores: ${shown(apart)}`,
            advice: joiningSql(role, serverMajor, { foreign: [], apart }),
          },
        ]
      : []),
  ];
}

/** Of the roles whose default privileges are set: who sets them has to be allowed what they are from 16 on, a member before. */
export async function giverLacks(
  client: pg.Client,
  role: RoleOnServer,
  serverMajor: number,
  givers: readonly string[],
): Promise<Lack[]> {
  const lacking = (await readMemberships(client, givers))
    .filter(({ member, inherits }) => !(serverMajor >= 16 ? inherits : member))
    .map(({ name }) => name);
  if (lacking.length === 0) return [];
  return [
    {
      message: `role ${role.name} may not make the default privileges of ${cutList(lacking.map(quoteIdentifier))}`,
      advice: inheritingSql(role, serverMajor, lacking),
    },
  ];
}

/** Those of these roles that are there and whose rights the role does not have by itself. */
export async function notInherited(client: pg.Client, roles: readonly string[]): Promise<string[]> {
  return (await readMemberships(client, roles)).filter(({ inherits }) => !inherits).map(({ name }) => name);
}

/** SQL that lets the role have the rights of others by itself. */
export function inheritingSql(role: RoleOnServer, serverMajor: number, roles: readonly string[]): string {
  return joiningSql(role, serverMajor, { foreign: roles, apart: [] });
}

async function readMemberships(client: pg.Client, roles: readonly string[]): Promise<Membership[]> {
  const { rows } = await client.query<Membership>(
    `select rolname::text as name, pg_has_role(oid, case when current_setting('server_version_num')::int >= 160000 then 'set' else 'member' end) as member,
            pg_has_role(oid, 'usage') as inherits
       from pg_roles where rolname = any ($1) order by 1`,
    [roles],
  );
  return rows;
}

/** A membership keeps, from 16 on, the options that it has, unless they are named. */
function joiningSql(
  role: RoleOnServer,
  serverMajor: number,
  { foreign, apart }: { readonly foreign: readonly string[]; readonly apart: readonly string[] },
): string {
  const name = quoteIdentifier(role.name);
  const grant = (roles: readonly string[]) => `GRANT ${roles.map(quoteIdentifier).join(', ')} TO ${name}`;
  if (serverMajor >= 16) return `${grant([...foreign, ...apart])} WITH INHERIT TRUE, SET TRUE;`;
  const inheriting = role.inherits ? [] : [`ALTER ROLE ${name} INHERIT;`];
  // One that is a member of theirs by way of a role that does not inherit.
  const joined = role.inherits ? [...foreign, ...apart] : foreign;
  return [...(joined.length > 0 ? [`${grant(joined)};`] : []), ...inheriting].join(' ');
}

function shownOwner({ name, example }: Owner): string {
  return `${quoteIdentifier(name)} (${example})`;
}
