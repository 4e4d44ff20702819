import { TEST_SERVERS_VARIABLE } from './addresses.ts';
import { startTestServers, type RunningTestServers } from './testServers.ts';

let running: RunningTestServers | undefined;

/** Called by node:test once before all test files; uses the servers of `npm run servers` when they are there. */
export async function globalSetup(): Promise<void> {
  if (process.env[TEST_SERVERS_VARIABLE] !== undefined) return;
  running = await startTestServers((line) => process.stderr.write(`${line}\n`));
  process.env[TEST_SERVERS_VARIABLE] = JSON.stringify(running.addresses);
}

export async function globalTeardown(): Promise<void> {
  await running?.close();
}
