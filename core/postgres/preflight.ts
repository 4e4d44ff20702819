import type { Finding } from './finding.ts';
import { isHoldfastError } from '../errors.ts';
import type { DatabaseAccess } from './access.ts';
import {
  chooseClientPrograms,
  findClientPrograms,
  NEWEST_SERVER,
  OLDEST_SERVER,
  securityWarning,
  type ClientPrograms,
} from './clients.ts';
import { inSession } from './inSession.ts';
import { readPrivilegeFindings } from './privileges.ts';
import { readServer, type ServerFacts } from './server.ts';

export interface DatabaseInspection {
  readonly server: ServerFacts;
  /** The programs a dump will use; absent where none fit, which is a finding. */
  readonly clients: ClientPrograms | undefined;
  /** Failures first. */
  readonly findings: readonly Finding[];
}

export interface InspectOptions {
  /** Where to look for pg_dump beside PATH and the usual places. */
  readonly clientDirectories?: readonly string[];
  readonly signal?: AbortSignal;
}

/**
 * Looks at everything that could keep this role from dumping this database, without reading a row or waiting for a
 * lock. Rejects with `SourceUnreachable` or `SourceRefused` when it cannot even get in; all else is a finding.
 */
export async function inspectDatabase(
  access: DatabaseAccess,
  options: InspectOptions = {},
): Promise<DatabaseInspection> {
  return inSession(access, 'inspecting it', options.signal, async (client) => {
    const server = await readServer(client);
    const programs = await inspectPrograms(server, options.clientDirectories ?? []);
    const findings = [
      ...supportFindings(server),
      ...programs.findings,
      ...(await readPrivilegeFindings(client, access, server)),
    ];
    return {
      server,
      clients: programs.clients,
      findings: findings.toSorted((a, b) => Number(a.severity === 'warning') - Number(b.severity === 'warning')),
    };
  });
}

function supportFindings(server: ServerFacts): Finding[] {
  if (server.major >= OLDEST_SERVER && server.major <= NEWEST_SERVER) return [];
  return [
    {
      severity: 'failure',
      type: 'SourceRefused',
      message: `the server is PostgreSQL ${server.version}; ${OLDEST_SERVER} to ${NEWEST_SERVER} are supported`,
      advice:
        server.major < OLDEST_SERVER ? 'Upgrade the server.' : 'Use a release of Holdfast that knows this version.',
    },
  ];
}

async function inspectPrograms(
  server: ServerFacts,
  directories: readonly string[],
): Promise<{ clients: ClientPrograms | undefined; findings: Finding[] }> {
  try {
    const clients = chooseClientPrograms(await findClientPrograms(directories), server);
    const warning = securityWarning(clients);
    return { clients, findings: warning ? [{ severity: 'warning', type: 'ToolMissing', ...warning }] : [] };
  } catch (error) {
    if (!isHoldfastError(error, 'ToolMissing')) throw error;
    const { message, advice = '' } = error;
    return { clients: undefined, findings: [{ severity: 'failure', type: 'ToolMissing', message, advice }] };
  }
}
