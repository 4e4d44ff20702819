import assert from 'node:assert/strict';
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { z } from 'zod';
import { HOLDFAST } from '../../../client/demo/holdfastCommand.ts';
import { readProcess } from '../../../core/process/childProcess.ts';
import { isRunning } from '../../../core/process/runningProcess.ts';
import { temporaryDirectory } from '../../support/directories.ts';
import { testServersFromEnvironment } from '../../support/addresses.ts';

const demoOutcome = z.object({
  backup: z.string(),
  configuration: z.string(),
  webUi: z.url(),
  proof: z.object({ rows: z.int().min(100_000), relations: z.int().min(8), archiveEntries: z.int().min(50) }),
});
const stopOutcome = z.object({ stopped: z.array(z.string()) });

test('[25] the demo backs up, verifies, recovers with storage and key alone, is kept, and is stopped', async (t) => {
  const directory = await temporaryDirectory(t, { reachable: true });
  const { programs } = testServersFromEnvironment();
  const demo = async (...args: string[]): Promise<unknown> =>
    JSON.parse(
      await readProcess({
        command: HOLDFAST,
        args: ['demo', '--directory', directory, '--json', ...args],
        environment: { TEMPORAL_CLI_PATH: programs.temporal, VERSITYGW_PATH: programs.versitygw, HOME: directory },
      }),
    );
  t.after(async () => {
    await demo('--stop');
  });

  const { backup, configuration, webUi } = demoOutcome.parse(await demo('--keep'));
  const page = await fetch(webUi);
  assert.equal(page.status, 200);
  const listed = await readProcess({ command: HOLDFAST, args: ['list', 'shop', '--config', configuration] });
  assert.match(listed, new RegExp(`${backup}.*verified`));

  const running = z
    .array(z.object({ pid: z.int() }))
    .parse(JSON.parse(await readProcess({ command: 'cat', args: [join(directory, 'running.json')] })));
  assert.deepEqual(stopOutcome.parse(await demo('--stop')).stopped, ['worker', 'versitygw', 'Temporal', 'PostgreSQL']);
  for (const { pid } of running) assert.equal(await isRunning(pid), false);
  await assert.rejects(access(join(directory, 'running.json')));
});
