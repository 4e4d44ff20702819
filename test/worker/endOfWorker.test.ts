import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { setImmediate as nextCheck } from 'node:timers/promises';
import { ApplicationFailure, IllegalStateError } from '@temporalio/common';
import { NativeConnection, Worker } from '@temporalio/worker';
import { HoldfastError } from '../../core/errors.ts';
import { endedByForce } from '../../worker/endOfWorker.ts';
import { loggedError } from '../../worker/temporalLog.ts';
import { testTemporal } from '../support/servers.ts';

test('[33] a poller that is not through when its time is over has ended by force, whichever error says so', async () => {
  const connection = await NativeConnection.connect({ address: testTemporal().address });
  const worker = await Worker.create({
    connection,
    taskQueue: `test-${randomBytes(6).toString('hex')}`,
    activities: { step: async () => undefined },
    shutdownForceTime: 1,
  });
  const ended = worker.run();
  // From here the loop comes to its timers first: the time is over before the poller's answers are heard.
  await nextCheck();
  worker.shutdown();
  const over = performance.now() + 50;
  while (performance.now() < over);
  await assert.rejects(ended, (error) => {
    assert.ok(error instanceof Error);
    assert.ok(endedByForce(error), `${error.name}: ${error.message}`);
    return true;
  });
  await connection.close();
  assert.equal(endedByForce(new IllegalStateError('Not running')), false);
  assert.equal(endedByForce(new Error('Worker still in use')), false);
});

test('a logged failure has its message and its causes, and not its details', () => {
  const innermost = new TypeError('not this');
  assert.equal(JSON.stringify(innermost), '{}', 'as it would be logged');
  const cause = new HoldfastError('SourceRefused', 'no such database', { cause: innermost });
  const failure = ApplicationFailure.create({ type: 'BackupFailed', message: 'shop', details: [{ large: 1 }], cause });
  assert.deepEqual(JSON.parse(JSON.stringify(loggedError(failure))), {
    type: 'BackupFailed',
    message: 'shop',
    cause: {
      type: 'SourceRefused',
      message: 'no such database',
      cause: { type: 'TypeError', message: 'not this', stack: innermost.stack },
    },
  });
  assert.equal(loggedError('thrown text'), 'thrown text');
});
