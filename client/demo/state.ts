import { readFile, rm, writeFile } from 'node:fs/promises';
import { z } from 'zod';
import { codeOf } from '../../core/errors.ts';
import { startOf } from '../../core/process/runningProcess.ts';
import { stopServer, type RunningServer } from '../../core/tools/server.ts';

/** What `demo --keep` leaves running, in state.json, for `demo --stop` to end. */
const keptServers = z.array(
  z.strictObject({
    name: z.string(),
    pid: z.int().positive(),
    start: z.string(),
    stopSignal: z.enum(['SIGTERM', 'SIGINT']),
  }),
);

export type KeptServer = z.infer<typeof keptServers>[number];

/** What has to be known of a server to end it from another process. */
export async function keptServer({ name, server }: { name: string; server: RunningServer }): Promise<KeptServer> {
  return { name, pid: server.pid, start: (await startOf(server.pid)) ?? '', stopSignal: server.stopSignal };
}

export async function rememberServers(stateFile: string, servers: readonly KeptServer[]): Promise<void> {
  await writeFile(stateFile, JSON.stringify(servers, undefined, 2), { mode: 0o600 });
}

/** Ends what an earlier `demo --keep` left running, the last started first, and gives the names of what it ended. */
export async function stopKeptServers(stateFile: string): Promise<string[]> {
  const stopped: string[] = [];
  for (const { name, pid, start, stopSignal } of (await readKept(stateFile)).toReversed()) {
    // A pid is given out again after its process ended; the start time tells the two apart.
    if ((await startOf(pid)) !== start) continue;
    await stopServer(pid, stopSignal);
    stopped.push(name);
  }
  await rm(stateFile, { force: true });
  return stopped;
}

async function readKept(path: string): Promise<KeptServer[]> {
  try {
    return keptServers.parse(JSON.parse(await readFile(path, 'utf8')));
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  }
}
