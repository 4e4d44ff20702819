import assert from 'node:assert/strict';
import test from 'node:test';
import { chooseJob } from '../../../core/backup/chooseJob.ts';
import type { BackupInput } from '../../../core/backup/run.ts';
import { configurationSchema } from '../../../core/config/schema.ts';
import { isHoldfastError } from '../../../core/errors.ts';

const configuration = configurationSchema.parse({
  catalog: { url: { env: 'CATALOG' } },
  keys: { ops: { type: 'aes-256', key: { env: 'OPS' } } },
  backends: { near: { type: 'local', path: '/near' }, far: { type: 'local', path: '/far' } },
  sources: {
    shop: { database: { name: 'shop', user: 'backup' }, files: { media: { path: '/media' } } },
    papers: { files: { documents: { path: '/documents' } } },
  },
  plans: {
    'shop-daily': { source: 'shop', backends: ['near', 'far'], copies: { required: 2 }, encryptTo: ['ops'] },
    'shop-media': { source: 'shop', kind: 'media', backends: ['near'], encryptTo: ['ops'] },
    papers: { source: 'papers', backends: ['near'], encryptTo: ['ops'] },
  },
});

function refusal(input: BackupInput): string {
  try {
    chooseJob(configuration, input);
  } catch (error) {
    assert.ok(isHoldfastError(error, 'InvalidInput'));
    return `${error.message} ${error.advice}`;
  }
  return assert.fail('it was accepted');
}

test('the only plan of a source need not be named', () => {
  const job = chooseJob(configuration, { source: 'papers' });
  assert.deepEqual([job.planName, job.kind, job.tier, job.backends], ['papers', 'full', 'manual', ['near']]);
});

test('among several plans the kind decides where it can, else one must be named', () => {
  assert.equal(chooseJob(configuration, { source: 'shop', kind: 'media' }).planName, 'shop-media');
  assert.match(refusal({ source: 'shop' }), /several plans.*shop-daily, shop-media/);
  assert.equal(chooseJob(configuration, { source: 'shop', plan: 'shop-daily', kind: 'database' }).kind, 'database');
});

test('fewer backends by hand are all required; more copies than asked for never are', () => {
  const job = chooseJob(configuration, { source: 'shop', plan: 'shop-daily', backends: ['far', 'far'] });
  assert.deepEqual([job.backends, job.requiredCopies], [['far'], 1]);
});

test('unknown and unfitting names are refused with what there is', () => {
  assert.match(refusal({ source: 'shopp' }), /no source shopp.*shop/);
  assert.match(refusal({ source: 'shop', plan: 'shop-dayly' }), /no plan shop-dayly.*shop-daily/);
  assert.match(refusal({ source: 'papers', plan: 'shop-daily' }), /backs up shop, not papers/);
  assert.match(refusal({ source: 'shop', plan: 'shop-daily', backends: ['neer'] }), /no backend neer.*near/);
  assert.match(refusal({ source: 'papers', kind: 'database' }), /nothing of the kind database.*documents/);
  assert.match(refusal({ source: 'shop', plan: 'shop-daily', kind: 'logs' }), /nothing of the kind logs/);
});
