import { connect, endSession, queryError } from '../postgres/access.ts';
import type { Finding } from '../postgres/preflight.ts';
import { readServer } from '../postgres/server.ts';
import { ownStoreFinding } from './ownStores.ts';
import type { PreflightTargetOptions, TargetInspection } from './run.ts';
import {
  existenceFinding,
  extensionFindings,
  nameFinding,
  readRole,
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
    const roles = await roleFindings(client, role, options);
    const { findings: space, ...bytes } = await spaceFindings(client, options);
    const name = nameFinding(options);
    const findings = [
      ...name,
      ...(name.length === 0 ? await existenceFinding(client, options) : []),
      ...(await storeFindings(options, [target, ...(replaces === undefined ? [] : [replaces])])),
      ...versionFindings(facts, options),
      ...roles.findings,
      ...(await extensionFindings(client, role, description)),
      ...(await tablespaceFindings(client, description)),
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

async function storeFindings({ server, signal }: PreflightTargetOptions, names: readonly string[]): Promise<Finding[]> {
  const findings: (Finding | undefined)[] = [];
  for (const name of new Set(names)) findings.push(await ownStoreFinding(server, name, signal));
  return findings.filter((finding) => finding !== undefined);
}
