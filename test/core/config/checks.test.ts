import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stringify } from 'yaml';
import { formatIssue } from '../../../core/config/issue.ts';
import { checkText } from '../../../core/config/load.ts';

/** A configuration without a mistake; tests spoil one thing of it. */
function rightConfiguration() {
  return {
    catalog: { url: { env: 'CATALOG' } },
    spool: { path: '/var/spool/holdfast' },
    keys: {
      ops: { type: 'aes-256', key: { file: 'ops.key' } },
      escrow: { type: 'rsa', publicKey: { file: 'escrow.pub.pem' } },
      sign: { type: 'ed25519', privateKey: { file: 'sign.pem' } },
    } as Record<string, object>,
    backends: {
      local: { type: 'local', path: '/backups' },
      r2: {
        type: 's3',
        provider: 'r2',
        accountId: 'abc',
        bucket: 'shop',
        accessKeyId: { env: 'R2_ID' },
        secretAccessKey: { env: 'R2_SECRET' },
      },
    } as Record<string, object>,
    sources: {
      shop: {
        database: { name: 'shop', user: 'backup', password: { env: 'PASSWORD' } },
        files: { media: { path: '/srv/media' } } as Record<string, object>,
      },
    } as Record<string, object>,
    plans: {
      daily: { source: 'shop', backends: ['local', 'r2'], copies: { required: 2 }, encryptTo: ['ops', 'escrow'] },
    } as Record<string, object>,
  };
}

type Spoilable = ReturnType<typeof rightConfiguration> & Record<string, unknown>;

function check(spoil: (configuration: Spoilable) => void) {
  const configuration: Spoilable = rightConfiguration();
  spoil(configuration);
  const { errors, warnings } = checkText(stringify(configuration), '/etc/holdfast');
  return { errors: errors.map(withoutLine), warnings: warnings.map(withoutLine) };
}

function withoutLine({ path, message }: { path: string; message: string }): string {
  return formatIssue({ path, message });
}

test('a right configuration has no findings and absolute paths', () => {
  const checked = checkText(stringify(rightConfiguration()), '/etc/holdfast');
  assert.deepEqual(checked.errors, []);
  assert.deepEqual(checked.warnings, []);
  assert.deepEqual(checked.configuration?.keys['ops'], {
    type: 'aes-256',
    key: { file: '/etc/holdfast/ops.key' },
  });
  assert.equal(checked.configuration?.plans['daily']?.stallTimeout, 15 * 60_000);
  assert.equal(checked.configuration?.spool.segmentSize, 8 * 2 ** 20);
});

/** Each spoils one thing and names the one error it must give. */
const MISTAKES: readonly (readonly [string, (configuration: Spoilable) => void, RegExp])[] = [
  ['a misspelt section', (c) => (c['backend'] = {}), /^backend: unknown key; did you mean backends\?$/],
  [
    'a misspelt key',
    (c) => Object.assign(c.plans['daily'] ?? {}, { encrypto: [] }),
    /^plans\.daily\.encrypto: unknown key; did you mean encryptTo\?$/,
  ],
  [
    'an unknown key like no other',
    (c) => Object.assign(c.spool, { colour: 1 }),
    /^spool\.colour: unknown key; expected one of path, limit, takeoverAfter, segmentSize$/,
  ],
  [
    'a key of another variant',
    (c) => (c.keys['ops'] = { type: 'aes-256', key: { env: 'A' }, publicKey: { env: 'B' } }),
    /^keys\.ops\.publicKey: unknown key/,
  ],
  ['a later section', (c) => (c['retention'] = {}), /^retention: not available in this release; remove it$/],
  [
    'a later key of a plan',
    (c) => Object.assign(c.plans['daily'] ?? {}, { cron: '0 2 * * *' }),
    /^plans\.daily\.cron: not available in this release/,
  ],
  [
    'a later key of a source',
    (c) => Object.assign(c.sources['shop'] ?? {}, { tenants: {} }),
    /^sources\.shop\.tenants: not available in this release/,
  ],
  [
    'a later kind',
    (c) => Object.assign(c.plans['daily'] ?? {}, { kind: 'tenant' }),
    /^plans\.daily\.kind: not available in this release/,
  ],
  [
    'a misspelt choice',
    (c) => Object.assign(c.plans['daily'] ?? {}, { tier: 'dayly' }),
    /^plans\.daily\.tier: expected one of daily, .*; did you mean daily\?$/,
  ],
  [
    'a missing key',
    (c) => (c.backends['local'] = { type: 'local' }),
    /^backends\.local\.path: is missing; expected text$/,
  ],
  [
    'a wrong type',
    (c) => (c.sources['shop'] = { database: 'shop' }),
    /^sources\.shop\.database: expected a map of keys, found text$/,
  ],
  [
    'a wrong duration',
    (c) => Object.assign(c.plans['daily'] ?? {}, { stallTimeout: 15 }),
    /^plans\.daily\.stallTimeout: expected a duration such as/,
  ],
  [
    'an unknown source',
    (c) => Object.assign(c.plans['daily'] ?? {}, { source: 'shp' }),
    /^plans\.daily\.source: there is no source shp; expected one of shop; did you mean shop\?$/,
  ],
  [
    'an unknown backend',
    (c) => Object.assign(c.plans['daily'] ?? {}, { backends: ['local', 'b2'] }),
    /^plans\.daily\.backends\[1\]: there is no backend b2/,
  ],
  [
    'an unknown key name',
    (c) => Object.assign(c.plans['daily'] ?? {}, { encryptTo: ['ops', 'escro'] }),
    /^plans\.daily\.encryptTo\[1\]: there is no key escro; .*did you mean escrow\?$/,
  ],
  [
    'a backend twice',
    (c) => Object.assign(c.plans['daily'] ?? {}, { backends: ['local', 'local'] }),
    /^plans\.daily\.backends\[1\]: backend local stands here twice$/,
  ],
  [
    'a signing key as recipient',
    (c) => Object.assign(c.plans['daily'] ?? {}, { encryptTo: ['ops', 'sign'] }),
    /^plans\.daily\.encryptTo\[1\]: sign is a signing key and cannot seal/,
  ],
  [
    'more copies than backends',
    (c) => Object.assign(c.plans['daily'] ?? {}, { copies: { required: 3 } }),
    /^plans\.daily\.copies\.required: expected at most 2/,
  ],
  [
    'a kind the source has not',
    (c) => Object.assign(c.plans['daily'] ?? {}, { kind: 'logs' }),
    /^plans\.daily\.kind: source shop has no file tree logs$/,
  ],
  [
    'a database plan without one',
    (c) => {
      c.sources['shop'] = { files: { media: { path: '/m' } } };
      Object.assign(c.plans['daily'] ?? {}, { kind: 'database' });
    },
    /^plans\.daily\.kind: source shop has no database$/,
  ],
  ['a source of nothing', (c) => (c.sources['shop'] = {}), /^sources\.shop: expected a database, files, or both$/],
  [
    'a tree named like a part',
    (c) => (c.sources['shop'] = { files: { 'rows-1': { path: '/m' } } }),
    /^sources\.shop\.files\.rows-1: rows-1 is the name of a part of its own/,
  ],
  ['no signing key', (c) => delete c.keys['sign'], /^keys: expected an ed25519 key with a privateKey/],
  [
    'two signing keys',
    (c) => (c.keys['more'] = { type: 'ed25519', privateKey: { env: 'A' } }),
    /^keys: expected one signing key, found sign, more/,
  ],
  [
    'a signing key without halves',
    (c) => (c.keys['old'] = { type: 'ed25519' }),
    /^keys\.old: expected a privateKey to sign with, or a publicKey/,
  ],
  [
    'a backend inside another',
    (c) => (c.backends['inner'] = { type: 'local', path: '/backups/../backups/inner' }),
    /^backends\.inner: the same storage as backend local/,
  ],
  [
    'a backend inside the spool',
    (c) => (c.backends['local'] = { type: 'local', path: '/var/spool/holdfast/x' }),
    /^backends\.local\.path: the spool and a backend/,
  ],
  [
    'the spool inside a backend',
    (c) => (c.backends['local'] = { type: 'local', path: '/var' }),
    /^backends\.local\.path: the spool and a backend/,
  ],
  [
    'one bucket twice',
    (c) => (c.backends['again'] = { type: 's3', provider: 'r2', accountId: 'abc', bucket: 'shop', prefix: 'x' }),
    /^backends\.again: the same storage as backend r2/,
  ],
  [
    'r2 without account',
    (c) => (c.backends['r2'] = { type: 's3', provider: 'r2', bucket: 'shop' }),
    /^backends\.r2: accountId is missing/,
  ],
  [
    'generic without endpoint',
    (c) => (c.backends['r2'] = { type: 's3', bucket: 'shop' }),
    /^backends\.r2: endpoint is missing/,
  ],
  [
    'b2 without region',
    (c) => (c.backends['r2'] = { type: 's3', provider: 'b2', bucket: 'shop' }),
    /^backends\.r2: region is missing/,
  ],
  [
    'half a credential',
    (c) =>
      (c.backends['r2'] = { type: 's3', provider: 'r2', accountId: 'a', bucket: 'shop', accessKeyId: { env: 'A' } }),
    /^backends\.r2: secretAccessKey is missing/,
  ],
  [
    'a prefix that climbs',
    (c) => (c.backends['r2'] = { type: 's3', provider: 'r2', accountId: 'a', bucket: 'shop', prefix: '../x' }),
    /^backends\.r2\.prefix: expected path elements/,
  ],
  [
    'a bandwidth of nothing',
    (c) => Object.assign(c.backends['local'] ?? {}, { bandwidth: 0 }),
    /^backends\.local\.bandwidth: expected at least 1 byte a second; leave it out for no limit/,
  ],
  [
    'a time-out of no time at all',
    (c) => Object.assign(c.backends['r2'] ?? {}, { requestTimeout: '0s' }),
    /^backends\.r2\.requestTimeout: expected more than no time at all/,
  ],
  [
    'a plan that waits for no time at all',
    (c) => Object.assign(c.plans['daily'] ?? {}, { stallTimeout: '0s' }),
    /^plans\.daily\.stallTimeout: expected more than no time at all/,
  ],
  [
    'a spool that cannot hold two segments',
    (c) => Object.assign(c.spool, { limit: '15MiB' }),
    /^spool\.limit: expected at least 32\.0 MiB, 4 segments of 8\.00 MiB, for plan daily with jobs: 1$/,
  ],
  [
    'a spool too small for the parts that are written at once',
    (c) => {
      Object.assign(c.spool, { limit: '40MiB' });
      Object.assign(c.plans['daily'] ?? {}, { jobs: 2 });
    },
    /^spool\.limit: expected at least 48\.0 MiB, 6 segments .* for plan daily with jobs: 2$/,
  ],
];

for (const [name, spoil, expected] of MISTAKES) {
  test(`is refused: ${name}`, () => {
    const { errors } = check(spoil);
    assert.equal(errors.length, 1, errors.join('\n'));
    assert.match(errors[0] ?? '', expected);
  });
}

const DOUBTS: readonly (readonly [string, (configuration: Spoilable) => void, RegExp])[] = [
  [
    'http to another host',
    (c) => (c.backends['r2'] = { type: 's3', endpoint: 'http://s3.example.com', bucket: 'shop' }),
    /^backends\.r2\.endpoint: http to another host/,
  ],
  [
    'one recipient',
    (c) => Object.assign(c.plans['daily'] ?? {}, { encryptTo: ['ops'] }),
    /^plans\.daily\.encryptTo: one key alone opens these backups/,
  ],
  [
    'no key that opens',
    (c) => {
      c.keys['second'] = { type: 'rsa', publicKey: { env: 'A' } };
      Object.assign(c.plans['daily'] ?? {}, { encryptTo: ['escrow', 'second'] });
    },
    /^plans\.daily\.encryptTo: none of these keys can open here/,
  ],
  [
    'a source without plan',
    (c) => (c.sources['blog'] = { files: { media: { path: '/b' } } }),
    /^sources\.blog: no plan backs up this source$/,
  ],
  [
    'a backend inside a tree',
    (c) => (c.sources['shop'] = { files: { media: { path: '/backups/..' } } }),
    /^sources\.shop\.files\.media\.path: backend local lies inside this tree/,
  ],
];

for (const [name, spoil, expected] of DOUBTS) {
  test(`is warned of: ${name}`, () => {
    const { errors, warnings } = check(spoil);
    assert.deepEqual(errors, []);
    assert.match(warnings[0] ?? '', expected);
  });
}

test('http on this machine is no doubt', () => {
  for (const host of ['127.0.0.1:9000', 'localhost:9000', '[::1]:9000']) {
    const { errors, warnings } = check(
      (c) => (c.backends['r2'] = { type: 's3', endpoint: `http://${host}`, bucket: 'shop' }),
    );
    assert.deepEqual([...errors, ...warnings], [], host);
  }
});

test('one mistake does not hide another', () => {
  const { errors } = check((c) => {
    c.backends['r2'] = { type: 'S3' };
    c.sources['shop'] = { database: { nam: 'shop', user: 'backup' } };
    c.plans['daily'] = { source: 'shp', backends: ['local', 'r2', 'b2'], encryptTo: ['ops', 'nope'] };
    c['notify'] = {};
  });
  for (const path of [
    'backends.r2.type',
    'sources.shop.database.nam',
    'sources.shop.database.name',
    'plans.daily.source',
    'plans.daily.backends[2]',
    'plans.daily.encryptTo[1]',
    'notify',
  ]) {
    assert.ok(
      errors.some((text) => text.startsWith(`${path}: `)),
      `${path} in:\n${errors.join('\n')}`,
    );
  }
  assert.equal(errors.length, 7, errors.join('\n'));
});

for (const [name, spoil] of [
  ['a password', (c) => (c.sources['shop'] = { database: { name: 'a', user: 'b', password: 'hunter2-Canary' } })],
  ['an URL', (c) => (c.catalog = { url: 'postgres://u:hunter2-Canary@h/d' } as never)],
  ['an AES key', (c) => (c.keys['ops'] = { type: 'aes-256', key: 'hunter2-Canary' })],
  ['an access key', (c) => Object.assign(c.backends['r2'] ?? {}, { secretAccessKey: 'hunter2-Canary' })],
  ['a secret in the variable name', (c) => (c.keys['ops'] = { type: 'aes-256', key: { env: 'hunter2-Canary' } })],
  [
    'credentials in an endpoint',
    (c) => (c.backends['r2'] = { type: 's3', bucket: 'shop', endpoint: 'https://u:hunter2-Canary@h' }),
  ],
  ['an URL for a database', (c) => (c.sources['shop'] = { database: 'postgres://u:hunter2-Canary@h/d' })],
  ['a secret as a choice', (c) => (c.keys['ops'] = { type: 'hunter2-Canary' })],
  [
    'a secret under an unknown key',
    (c) => (c.keys['ops'] = { type: 'aes-256', key: { env: 'A' }, passphrase: 'hunter2-Canary' }),
  ],
] as readonly (readonly [string, (configuration: Spoilable) => void])[]) {
  test(`[38] is refused and never repeated: ${name}`, () => {
    const { errors, warnings } = check(spoil);
    assert.ok(errors.length > 0);
    assert.doesNotMatch([...errors, ...warnings].join('\n'), /Canary/);
  });
}

test('a literal secret gets the advice how to refer to one', () => {
  const { errors } = check((c) => (c.keys['ops'] = { type: 'aes-256', key: 'abc' }));
  assert.match(errors[0] ?? '', /^keys\.ops\.key: a secret is never written .* \{ env: NAME \} or \{ file: PATH \}$/);
});
