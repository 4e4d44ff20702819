import type pg from 'pg';

/** A role that restores, as its server knows it. */
export interface RoleOnServer {
  readonly name: string;
  readonly superuser: boolean;
  readonly createDatabase: boolean;
  readonly createRole: boolean;
  /** Whether it may by itself what the roles may that it is a member of; from 16 on, only what a new membership begins with. */
  readonly inherits: boolean;
  readonly bypassesRowSecurity: boolean;
}

/** The one that a session has the rights of. */
export async function readRole(client: pg.Client): Promise<RoleOnServer> {
  const { rows } = await client.query<RoleOnServer>(
    `select rolname as name, rolsuper as superuser, rolcreatedb as "createDatabase", rolcreaterole as "createRole", rolinherit as inherits, rolbypassrls as "bypassesRowSecurity" from pg_roles where rolname = current_user`,
  );
  return (
    rows[0] ?? {
      name: '',
      superuser: false,
      createDatabase: false,
      createRole: false,
      inherits: true,
      bypassesRowSecurity: false,
    }
  );
}
