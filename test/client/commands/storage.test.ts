import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import type { Finding } from '../../../client/doctor/finding.ts';
import type { ProbeReport } from '../../../core/storage/probe/report.ts';
import { createApplication, type Application } from '../../support/application.ts';
import { fileScope } from '../../support/fileScope.ts';
import { startS3Proxy } from '../../support/s3Proxy.ts';
import { fillSmallShop } from '../../support/smallShop.ts';

/** `storage probe`: its table, what is kept of it, and that a worker goes by it. */

const scope = fileScope();
let app: Application;

before(async () => {
  app = await createApplication(scope);
  await fillSmallShop(app);
  const { near } = app.settings.backends;
  assert.ok(near?.type === 's3');
  const proxy = await startS3Proxy(scope);
  // A service that knows no SHA-256 headers, as some gateways do not.
  proxy.fault = ({ headers }) =>
    Object.keys(headers).some((name) => name.startsWith('x-amz-checksum'))
      ? { kind: 'answer', status: 501, code: 'NotImplemented' }
      : undefined;
  app.settings.backends['far'] = { ...near, bucket: near.bucket, prefix: 'far', endpoint: proxy.endpoint };
  await app.save();
});

test('a backend that is as its profile says: exit code 0, a table for people, one document for machines', async () => {
  for (const name of ['near', 'local']) {
    const { code, stdout, stderr } = await app.holdfast('storage', 'probe', name);
    assert.equal(code, 0, stdout + stderr);
    assert.match(
      stdout,
      new RegExp(`^Backend ${name} \\(.+\\): as its profile says\\n\\n +TRIED +FOUND +PROFILE +WHAT`),
    );
  }
  const { code, document } = await probe('near');
  assert.equal(code, 0);
  assert.deepEqual([document.state, document.saved], ['equal', false]);
  for (const store of Object.values(app.stores)) {
    assert.equal((await store.objects()).size, 0);
    assert.deepEqual(await store.leftovers(), []);
  }
});

test('one that nobody answers for: exit code 1; one that is not configured: 2; a catalog that is away: told, and 3', async () => {
  const { near } = app.settings.backends;
  assert.ok(near?.type === 's3');
  app.settings.backends['closed'] = { ...near, endpoint: 'http://127.0.0.1:1' };
  await app.save();
  assert.equal((await app.holdfast('storage', 'probe', 'closed')).code, 1);
  assert.equal((await app.holdfast('storage', 'probe', 'naer')).code, 2);
  delete app.settings.backends['closed'];
  await app.save();
  // No worker has migrated it yet.
  const { code, stderr, document } = await probe('near', '--save');
  assert.equal(code, 3);
  assert.match(stderr, /the result was not kept: .*catalog/);
  assert.equal(document.saved, false);
});

test('what was found is kept, shown by doctor, and gone by', async () => {
  const first = await app.startWorker();
  const without = await app.backup('shop', '--kind', 'config', '--backend', 'far');
  assert.equal(without.code, 1, 'the profile of the provider does not fit');
  const { code, document } = await probe('far', '--save');
  assert.equal(code, 3);
  assert.deepEqual([document.state, document.learned.checksum, document.saved], ['differs', 'md5', true]);

  const doctor = await app.ask('doctor');
  const { findings } = doctor.document as { findings: Finding[] };
  const far = findings.find(({ subject }) => subject === 'backend far, probe');
  assert.equal(far?.state, 'warning');
  assert.match(far.message, /^probed .+ ago: not as its profile says: checksum sha256: refused \(501 NotImplemented\)/);
  assert.match(findings.find(({ subject }) => subject === 'backend near, probe')?.message ?? '', /^never probed/);

  await first.close();
  await app.startWorker();
  const by = await app.backup('shop', '--kind', 'config', '--backend', 'far');
  assert.equal(by.code, 0, JSON.stringify(by.document));
});

async function probe(...args: string[]) {
  const { code, stderr, document } = await app.ask('storage', 'probe', ...args);
  return { code, stderr, document: document as ProbeReport & { saved: boolean } };
}
