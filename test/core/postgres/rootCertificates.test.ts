import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { createClientEnvironment } from '../../../core/postgres/passwordFile.ts';
import { rootCertificates } from '../../../core/postgres/rootCertificates.ts';
import { temporaryDirectory } from '../../support/directories.ts';
import { createDatabase } from '../../support/servers.ts';
import { accessTo, assertRejects, openDump } from './support.ts';

test('certificates are held against the configured authority, else against the system’s', async (context) => {
  const access = accessTo({ host: 'db', port: 5432, name: 'shop', user: 'backup', password: 'x' });
  const directory = await temporaryDirectory(context);
  const file = async (changes: Partial<typeof access>) => {
    const environment = await createClientEnvironment({ ...access, ...changes }, directory);
    await environment.remove();
    return environment.variables.PGSSLROOTCERT;
  };
  assert.equal(await file({ sslmode: 'require' }), undefined);
  assert.equal(await file({ sslmode: 'verify-full', sslrootcert: '/etc/own.pem' }), '/etc/own.pem');
  const system = await rootCertificates({ ...access, sslmode: 'verify-full' });
  assert.equal(await file({ sslmode: 'verify-ca' }), system);
  if (system !== undefined) assert.match(await readFile(system, 'utf8'), /BEGIN CERTIFICATE/);
});

test('a server without TLS is refused where a certificate is to be verified', async (context) => {
  const access = accessTo(await createDatabase(context), { sslmode: 'verify-full' });
  await assertRejects(openDump(context, access), 'SourceRefused', /does not support SSL/);
});
