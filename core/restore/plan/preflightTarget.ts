import type pg from 'pg';
import { connect, endSession, queryError } from '../../postgres/access.ts';
import type { Finding } from '../../postgres/finding.ts';
import type { Inventory } from '../../postgres/inventorySchema.ts';
import { readServer } from '../../postgres/server.ts';
import { connectFindings } from './connectFindings.ts';
import { fillFindings } from './fillFindings.ts';
import { libraryFindings } from './libraryFindings.ts';
import { databaseLocaleFindings, needFindings } from './needFindings.ts';
import { ownStoreFinding } from './ownStores.ts';
import type { PreflightTargetOptions, TargetInspection } from '../run.ts';
import { readRole, type RoleOnServer } from './roleOnServer.ts';
import { rightsFindings } from './rightsFindings.ts';
import {
  existenceFinding,
  extensionFindings,
  nameFinding,
  roleFindings,
  spaceFindings,
  tablespaceFindings,
  versionFindings,
} from './targetFindings.ts';

/**
 * Looks at everything that could keep a restore from succeeding on this server, changing nothing. What is missing is
 * named with what mends it. Rejects with `SourceUnreachable` or `SourceRefused` when the server does not let it in.
 */
export async function preflightTarget(options: PreflightTargetOptions): Promise<TargetInspection> {
  const { server, description, target, replaces, signal } = options;
  const client = await connect(server, signal);
  try {
    const facts = await readServer(client);
    const role = await readRole(client);
    const roles = await roleFindings(client, role, facts.major, options);
    const { findings: space, ...bytes } = await spaceFindings(client, options);
    const name = nameFinding(options);
    const findings = [
      ...name,
      ...(name.length === 0 ? await existenceFinding(client, options) : []),
      ...(await storeFindings(options, [target, ...(replaces === undefined ? [] : [replaces])])),
      ...versionFindings(facts, options),
      ...roles.findings,
      ...(await rightsFindings(client, role, facts.major, options)),
      ...(await connectFindings(client, role, options)),
      ...(await fillFindings(client, role, options)),
      ...(await databaseLocaleFindings(client, description.inventory)),
      ...(await tablespaceFindings(client, role, tablespaceOfDatabase(description.inventory))),
      ...(await contentFindings(client, role, options)),
      ...space,
    ];
    return {
      findings: findings.toSorted((a, b) => Number(a.severity === 'warning') - Number(b.severity === 'warning')),
      serverVersion: facts.version,
      createRoles: roles.createRoles,
      ...bytes,
    };
  } catch (error) {
    signal?.throwIfAborted();
    throw queryError(server, 'inspecting the server', error);
  } finally {
    await endSession(client);
  }
}

/** To make a database in the server's default one, none is named. */
function tablespaceOfDatabase({ database: { tablespace } }: Inventory): string[] {
  return tablespace === 'pg_default' ? [] : [tablespace];
}

/** What is in the database and cannot be made on this server. Of single tables, which need little of it, no refusal. */
async function contentFindings(
  client: pg.Client,
  role: RoleOnServer,
  { server, description, tables, signal }: PreflightTargetOptions,
): Promise<Finding[]> {
  const { inventory } = description;
  const tablespaces = inventory.tablespaces.filter((name) => name !== inventory.database.tablespace);
  const findings = [
    ...(await extensionFindings(client, role, description)),
    ...(await tablespaceFindings(client, role, tablespaces)),
    ...(await needFindings(client, inventory)),
    ...(await libraryFindings(server, role, inventory, signal)),
  ];
  return tables ? findings.map((each) => ({ ...each, severity: 'warning' })) : findings;
}

async function storeFindings({ server, signal }: PreflightTargetOptions, names: readonly string[]): Promise<Finding[]> {
  const findings: (Finding | undefined)[] = [];
  for (const name of new Set(names)) findings.push(await ownStoreFinding(server, name, signal));
  return findings.filter((finding) => finding !== undefined);
}
