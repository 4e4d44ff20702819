import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { stringify } from 'yaml';
import type { Finding } from '../../../client/doctor/finding.ts';
import { quoteIdentifier } from '../../../core/postgres/identifiers.ts';
import { runSql } from '../../core/postgres/support.ts';
import { onServer } from '../../core/restore/support.ts';
import { createApplication, urlOf, type Application, type Settings } from '../../support/application.ts';
import { fileScope } from '../../support/fileScope.ts';
import { createDatabase, testPostgres } from '../../support/servers.ts';
import { fillSmallShop } from '../../support/smallShop.ts';
import { holdfast } from '../commandLine.ts';

/** Every check of `doctor`, seen to find what it is for. */

const scope = fileScope();
let app: Application;

before(async () => {
  app = await createApplication(scope);
  await fillSmallShop(app);
  await app.startWorker();
});

test('with a worker running and everything in place nothing is wrong', async () => {
  const { code, findings } = await doctor();
  assert.equal(code, 0, JSON.stringify(findings, undefined, 1));
  assert.deepEqual(
    findings.filter(({ state }) => state === 'failure'),
    [],
  );
  for (const subject of ['temporal', 'catalog', 'backend local', 'backend near', 'backend far', 'spool', 'key ops']) {
    assert.ok(
      findings.some((finding) => finding.subject === subject && finding.state === 'ok'),
      subject,
    );
  }
  for (const store of Object.values(app.stores)) {
    assert.equal((await store.objects()).size, 0);
    assert.deepEqual(await store.leftovers(), []);
  }
});

interface Breakage {
  readonly subject: string;
  readonly state: 'failure' | 'warning';
  readonly message: RegExp;
  readonly change: (settings: Application['settings']) => Promise<void> | void;
}

const breakages: Record<string, Breakage> = {
  'nobody at the address of Temporal': {
    subject: 'temporal',
    state: 'failure',
    message: /127\.0\.0\.1:1/,
    change: ({ temporal }) => void (temporal.address = '127.0.0.1:1'),
  },
  'a namespace that does not exist': {
    subject: 'temporal',
    state: 'failure',
    message: /namespace nowhere/,
    change: ({ temporal }) => void (temporal.namespace = 'nowhere'),
  },
  'no worker on the task queue': {
    subject: 'temporal',
    state: 'warning',
    message: /no worker listens on task queue lonely/,
    change: ({ temporal }) => void (temporal.taskQueue = 'lonely'),
  },
  'a catalog that nobody has migrated': {
    subject: 'catalog',
    state: 'warning',
    message: /still to migrate/,
    change: async ({ catalog }) => {
      catalog.url = await app.writeSecret('empty-catalog-url', urlOf(await createDatabase(scope)));
    },
  },
  'a wrong password of the catalog': {
    subject: 'catalog',
    state: 'failure',
    message: /password/,
    change: async ({ catalog }) => {
      const url = urlOf({ ...app.catalogDatabase, password: 'canary-wrong' });
      catalog.url = await app.writeSecret('wrong-catalog-url', url);
    },
  },
  'a directory that is not there': {
    subject: 'backend local',
    state: 'failure',
    message: /not-mounted/,
    change: (settings) => void Object.assign(settings.backends['local'] ?? {}, { path: join(app.home, 'not-mounted') }),
  },
  'a bucket that does not exist': {
    subject: 'backend near',
    state: 'failure',
    message: /no-such-bucket/,
    change: (settings) => void Object.assign(settings.backends['near'] ?? {}, { bucket: 'no-such-bucket' }),
  },
  'a wrong S3 secret': {
    subject: 'backend far',
    state: 'failure',
    message: /secret|credential/i,
    change: async (settings) => {
      Object.assign(settings.backends['far'] ?? {}, {
        secretAccessKey: await app.writeSecret('wrong', 'canary-wrong'),
      });
    },
  },
  'a wrong database password': {
    subject: 'source shop, database',
    state: 'failure',
    message: /password/,
    change: async (settings) => {
      Object.assign(settings.sources['shop']?.database ?? {}, {
        password: await app.writeSecret('wrong', 'canary-wrong'),
      });
    },
  },
  'a database that does not exist': {
    subject: 'source shop, database',
    state: 'failure',
    message: /no_such_database/,
    change: (settings) => void Object.assign(settings.sources['shop']?.database ?? {}, { name: 'no_such_database' }),
  },
  'a tree that is not mounted': {
    subject: 'source shop, media',
    state: 'failure',
    message: /not-mounted/,
    change: ({ sources }) => {
      Object.assign(sources['shop']?.files?.['media'] ?? {}, { path: join(app.home, 'not-mounted') });
    },
  },
  'a key of the wrong length': {
    subject: 'key ops',
    state: 'failure',
    message: /32/,
    change: async ({ keys }) => {
      keys['ops'] = { type: 'aes-256', key: await app.writeSecret('short.key', 'c2hvcnQ=') };
    },
  },
  'a signing key that is none': {
    subject: 'key sign',
    state: 'failure',
    message: /sign/,
    change: async ({ keys }) => {
      keys['sign'] = { type: 'ed25519', privateKey: await app.writeSecret('no-key.pem', 'no key at all') };
    },
  },
  'a spool that is a file': {
    subject: 'spool',
    state: 'failure',
    message: /occupied/,
    change: async ({ spool }) => {
      const path = join(app.home, 'occupied');
      await writeFile(path, '');
      Object.assign(spool ?? {}, { path: join(path, 'spool') });
    },
  },
  'a spool smaller than its limit': {
    subject: 'spool',
    state: 'warning',
    message: /free, its limit/,
    change: ({ spool }) => void Object.assign(spool ?? {}, { limit: '900TiB' }),
  },
  'keys that are all on this host': {
    subject: 'plan shop, keys',
    state: 'warning',
    message: /lose the host/,
    change: () => undefined,
  },
};

for (const [what, { subject, state, message, change }] of Object.entries(breakages)) {
  test(`${what}: ${state} of ${subject}, with what to do, and nothing else fails`, async () => {
    const settings = structuredClone(app.settings);
    await change(settings);
    const { code, findings, output } = await doctor(settings);
    assert.equal(code, state === 'failure' ? 1 : 0, output);
    const found = findings.find((finding) => finding.subject === subject && finding.state === state);
    assert.match(found?.message ?? '', message, output);
    assert.ok(found?.advice, 'it says what to do');
    const others = findings.filter((finding) => finding.state === 'failure' && finding.subject !== subject);
    assert.deepEqual(others, []);
    assert.doesNotMatch(output, /canary/);
  });
}

test('[26] what the roles of restores and drills lack is named, with the grant for it', async (context) => {
  const role = `restorer_${randomBytes(4).toString('hex')}`;
  const owner = `owner_${randomBytes(4).toString('hex')}`;
  await onServer(`create role ${role} login password 'canary-role'; create role ${owner}`);
  context.after(async () => {
    await runSql(app.database, `drop table owned_by_another`);
    await onServer(`drop role ${role}, ${owner}`);
  });
  await runSql(
    app.database,
    `create table owned_by_another (); alter table owned_by_another owner to ${owner};
     alter table owned_by_another enable row level security; alter table owned_by_another force row level security`,
  );
  const settings = structuredClone(app.settings);
  const { shop } = settings.sources;
  const password = await app.writeSecret('restorer', 'canary-role');
  const { host, port, sslmode } = shop?.database ?? {};
  const server = { host, port, user: role, password, ...(sslmode && { sslmode }) };
  Object.assign(shop ?? {}, { restore: { user: role, password }, drill: { server } });
  const told = async (subject: string) => {
    const { code, findings, output } = await doctor(settings);
    assert.equal(code, 0, output);
    assert.doesNotMatch(output, /canary/);
    return findings
      .filter((finding) => finding.subject === subject)
      .map(({ state, message, advice }) => `${state}: ${message} ${advice ?? ''}`)
      .join('\n');
  };
  const lacking = await told('source shop, restores');
  assert.match(lacking, /\(table public\.owned_by_another\)/);
  assert.match(lacking, new RegExp(`warning: role ${role} may not create databases ALTER ROLE "${role}" CREATEDB;`));
  assert.match(lacking, new RegExp(`cannot give what it restores to .*${owner}.* GRANT .*${owner}.* TO "${role}"`));
  assert.match(lacking, /may not end the sessions .* GRANT "pg_signal_backend"/);
  assert.match(
    lacking,
    new RegExp(`is forced on their owner: public\\.owned_by_another ALTER ROLE "${role}" BYPASSRLS;`),
  );
  const drills = await told('source shop, drills');
  assert.match(drills, /^warning: role \S+ may not create databases/);
  assert.match(drills, /is forced on their owner: public\.owned_by_another/);
  const { user } = testPostgres();
  await onServer(
    `alter role ${role} createdb bypassrls; grant pg_signal_backend, ${owner}, ${quoteIdentifier(user)} to ${role}`,
  );
  assert.match(await told('source shop, restores'), new RegExp(`^ok: role ${role} may restore this database`));
  await onServer(`revoke ${owner} from ${role}; alter role ${role} noinherit; grant ${owner} to ${role}`);
  assert.match(
    await told('source shop, restores'),
    new RegExp(
      `warning: role ${role} does not inherit .*${owner}.* (GRANT .* WITH INHERIT TRUE|ALTER ROLE "${role}" INHERIT)`,
    ),
  );
  await onServer(`revoke ${owner} from ${role}; alter role ${role} inherit; grant ${owner} to ${role}`);
  assert.match(await told('source shop, drills'), new RegExp(`^ok: role ${role} may make drills`));
  Object.assign(shop ?? {}, { restore: { user: role, password: await app.writeSecret('wrong', 'canary-wrong') } });
  const { code, findings } = await doctor(settings);
  assert.equal(code, 1);
  assert.equal(findings.find(({ subject }) => subject === 'source shop, restores')?.state, 'failure');
});

async function doctor(settings: Settings = app.settings) {
  const file = join(app.home, `${randomBytes(6).toString('hex')}.yaml`);
  await writeFile(file, stringify(settings));
  const { exitCode, stdout, stderr } = await holdfast('--config', file, '--json', 'doctor', '--timeout', '10');
  const { findings } = JSON.parse(stdout) as { findings: Finding[] };
  return { code: exitCode, findings, output: stdout + stderr };
}
