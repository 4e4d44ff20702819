import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { startServer, type RunningServer } from '../../core/tools/server.ts';
import { HOLDFAST } from './holdfastCommand.ts';
import type { DemoLayout } from './layout.ts';

const READY_TIMEOUT = 60_000;

/** Starts `holdfast worker` and waits for the line in which it says that it is ready. */
export async function startDemoWorker(layout: DemoLayout, keepRunning: boolean): Promise<RunningServer> {
  const logFile = join(layout.root, 'worker.log');
  await rm(logFile, { force: true });
  return startServer({
    name: 'The worker',
    command: HOLDFAST,
    args: ['worker', '--config', layout.configuration],
    environment: { HOME: layout.root },
    workingDirectory: layout.root,
    logFile,
    stopSignal: 'SIGTERM',
    keepRunning,
    ready: async () => /\bready\b/i.test(await readFile(logFile, 'utf8')),
    readyTimeout: READY_TIMEOUT,
    errorType: 'TemporalUnreachable',
  });
}
