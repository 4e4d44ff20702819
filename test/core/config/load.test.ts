import assert from 'node:assert/strict';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { configurationDocument, documentedKeys } from '../../../core/config/documentation.ts';
import { configurationJsonSchema } from '../../../core/config/jsonSchema.ts';
import { checkText, configurationPath, loadConfiguration } from '../../../core/config/load.ts';
import { resolveSecret } from '../../../core/config/secret.ts';
import { HoldfastError, isHoldfastError } from '../../../core/errors.ts';
import { temporaryDirectory } from '../../support/directories.ts';

function lines(text: string) {
  return checkText(text, '/').errors.map(({ line, path }) => `${line} ${path}`);
}

test('every error has its line, through lists, merges and aliases', () => {
  const text = `
catalog: { url: { env: A } }
keys:
  sign: { type: ed25519, privateKey: { env: B } }
  ops:
    type: aes-256
    key: { env: C }
backends:
  local: { type: local, path: /b }
sources:
  shop: { files: { media: { path: /m } } }
plans:
  daily: &daily
    source: shop
    backends:
      - local
      - nowhere
    encryptTo: [ops]
  weekly:
    <<: *daily
    tier: weakly
`;
  // What a merge brings in stands nowhere of its own: the plan's line is the nearest.
  assert.deepEqual(lines(text), ['17 plans.daily.backends[1]', '19 plans.weekly.backends[1]', '21 plans.weekly.tier']);
});

test('what is no YAML is told with its line and without the text itself', () => {
  for (const text of [
    'a: 1\nb: *hunter2',
    'a: 1\nb: %hunter2',
    'a: 1\nb: !hunter2 x',
    'a: 1\na: hunter2',
    'a: 1\nb: "hunter2',
    'a: 1\n- hunter2',
  ]) {
    const { errors } = checkText(text, '/');
    assert.ok(errors.length > 0, text);
    assert.doesNotMatch(JSON.stringify(errors), /hunter2/);
  }
  assert.equal(checkText('a: 1\na: 2', '/').errors[0]?.line, 2);
});

test('an empty file, a list, a bomb of aliases are refused', () => {
  const bomb = [
    'a0: &a0 [x, x]',
    ...Array.from({ length: 20 }, (_, n) => `a${n + 1}: &a${n + 1} [*a${n}, *a${n}, *a${n}]`),
  ].join('\n');
  for (const text of ['', '# nothing', '[]', 'text', bomb]) {
    assert.equal(checkText(text, '/').configuration, undefined);
    assert.ok(checkText(text, '/').errors.length > 0, text);
  }
});

test('loading rejects with everything that is wrong, and with what to do when there is no file', async (t) => {
  const directory = await temporaryDirectory(t);
  const path = join(directory, 'holdfast.yaml');
  await assert.rejects(loadConfiguration(path), (error) => {
    assert.ok(isHoldfastError(error, 'InvalidConfiguration'));
    assert.match(error.advice ?? '', /holdfast init/);
    return true;
  });
  await writeFile(path, 'keyz: {}\nbackend: {}\n');
  await assert.rejects(loadConfiguration(path), (error) => {
    assert.ok(isHoldfastError(error, 'InvalidConfiguration'));
    assert.match(error.message, /line 1, keyz: .*did you mean keys\?[^]*line 2, backend: .*did you mean backends\?/);
    return true;
  });
  await mkdir(join(directory, 'folder'));
  await assert.rejects(loadConfiguration(join(directory, 'folder')), { type: 'InvalidConfiguration' });
});

test('which file: asked for, named by the environment, or here', () => {
  assert.equal(configurationPath('/a.yaml', { HOLDFAST_CONFIG: '/b.yaml' }), '/a.yaml');
  assert.equal(configurationPath(undefined, { HOLDFAST_CONFIG: '/b.yaml' }), '/b.yaml');
  assert.equal(configurationPath(undefined, { HOLDFAST_CONFIG: '' }), join(process.cwd(), 'holdfast.yaml'));
});

test('a secret comes from a variable or from a file less its last line break', async (t) => {
  const file = join(await temporaryDirectory(t), 'secret');
  await writeFile(file, 'line\n\n', { mode: 0o600 });
  assert.equal(await resolveSecret({ file }), 'line\n');
  assert.equal(await resolveSecret({ env: 'S' }, { environment: { S: ' kept as it is ' } }), ' kept as it is ');
});

function refused(name: string) {
  return (error: unknown) =>
    error instanceof HoldfastError && error.type === 'InvalidConfiguration' && error.message.includes(name);
}

test('a secret that cannot be had is refused by the name of its place', async (t) => {
  const directory = await temporaryDirectory(t);
  const missing = join(directory, 'missing');
  const empty = join(directory, 'empty');
  await writeFile(empty, '\n', { mode: 0o600 });
  await assert.rejects(resolveSecret({ env: 'NOT_SET' }, { environment: {} }), refused('NOT_SET'));
  await assert.rejects(resolveSecret({ env: 'EMPTY' }, { environment: { EMPTY: '' } }), refused('EMPTY'));
  await assert.rejects(resolveSecret({ file: missing }), refused(missing));
  await assert.rejects(resolveSecret({ file: empty }), refused(empty));
  await assert.rejects(resolveSecret({ file: directory }), refused(directory));
});

test('a key file that others can reach is warned of, with its mode and without its value', async (t) => {
  const file = join(await temporaryDirectory(t), 'secret');
  await writeFile(file, 'hunter2');
  const warningsAt = async (mode: number) => {
    const warnings: string[] = [];
    await chmod(file, mode);
    await resolveSecret({ file }, { onWarning: (warning) => warnings.push(warning) });
    return warnings;
  };
  assert.deepEqual(await warningsAt(0o400), []);
  assert.deepEqual(await warningsAt(0o600), []);
  assert.deepEqual(await warningsAt(0o640), []);
  for (const mode of [0o644, 0o660, 0o604, 0o666]) {
    // One mode after the other on one file.
    const [warning = ''] = await warningsAt(mode);
    assert.ok(warning.includes(`mode 0${mode.toString(8)}`), warning);
    assert.doesNotMatch(warning, /hunter2/);
  }
});

test('every key is documented', () => {
  const keys = documentedKeys(configurationJsonSchema());
  for (const key of ['name', 'sql']) assert.ok(keys.some(({ path }) => path === `sources.NAME.checks[].${key}`));
  assert.ok(keys.length > 60);
  assert.deepEqual(
    keys.filter(({ description }) => description === undefined).map(({ path }) => path),
    [],
  );
});

function readDocument(name: string): Promise<string> {
  return readFile(new URL(`../../../docs/${name}`, import.meta.url), 'utf8');
}

test('the generated documents are current: npm run docs:configuration', async () => {
  const schema = configurationJsonSchema();
  assert.equal(await readDocument('configuration.md'), configurationDocument(schema));
  assert.deepEqual(JSON.parse(await readDocument('holdfast.schema.json')), JSON.parse(JSON.stringify(schema)));
});
