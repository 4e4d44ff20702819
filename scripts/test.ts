import { glob, stat } from 'node:fs/promises';
import { delimiter, join, relative, resolve } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { parseArgs } from 'node:util';
import { TEST_SERVERS_VARIABLE } from '../test/support/addresses.ts';
import { bringPostgresArchives } from '../test/support/postgresMajors.ts';
import { startTestServers } from '../test/support/testServers.ts';
import { bringToxiproxy } from '../test/support/toxiproxy.ts';

/**
 * Runs the tests on real servers: `npm test`, or `npm test -- [--name PATTERN] [FILE|DIRECTORY ...]`. The fault suite and
 * the one across PostgreSQL's major versions take minutes and run by themselves: `npm run test:faults`, `npm run
 * test:majors`. With `--postgres 17` the shared server is of that major version.
 * The last line is `N passed, N failed`; the exit code is 0 only when every test passed and there was at least one.
 */

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

/** A file that takes longer than this hangs. */
const FILE_TIMEOUT = 10 * 60_000;
const FAULTS = resolve(import.meta.dirname, '../test/faults');
const MAJORS = resolve(import.meta.dirname, '../test/majors');
const WORKFLOWS = resolve(import.meta.dirname, '../test/workflows');

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { name: { type: 'string' }, concurrency: { type: 'string', default: '2' }, postgres: { type: 'string' } },
});

const files = await (positionals.length > 0 ? testFiles(positionals) : everyOtherTest());
if (files.some(isFaultTest)) await bringToxiproxy(console.error);
if (files.some((file) => isIn(MAJORS, file))) await bringPostgresArchives(console.error);
const major = options.postgres === undefined ? undefined : Number(options.postgres);
// Each test has a home of its own, where each of its commands would compile again what others have compiled.
process.env['NODE_COMPILE_CACHE'] ??= resolve(import.meta.dirname, '../node_modules/.cache/holdfast-tests');
const servers =
  process.env[TEST_SERVERS_VARIABLE] === undefined ? await startTestServers(console.error, major) : undefined;
process.once('SIGINT', () => process.exit(130));
process.once('SIGTERM', () => process.exit(143));
try {
  if (servers) {
    process.env[TEST_SERVERS_VARIABLE] = JSON.stringify(servers.addresses);
    // The programs of another major are found there as an operator's would be.
    if (major !== undefined)
      process.env['PATH'] = `${servers.addresses.postgres.binDirectory}${delimiter}${process.env['PATH']}`;
  }
  const { passed, failed, skipped } = await runFiles(files);
  process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
  console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
} finally {
  await servers?.close();
}

async function runFiles(paths: string[]): Promise<Counts> {
  const counts: Counts = { passed: 0, failed: 0, skipped: 0 };
  const events = run({
    files: paths,
    concurrency: Number(options.concurrency),
    timeout: FILE_TIMEOUT,
    ...(options.name === undefined ? {} : { testNamePatterns: [options.name] }),
  });
  // The runner counts a file without any test as a passed test, and suites too; what counts here are tests.
  const isFile = ({ name, nesting }: { name: string; nesting: number }) =>
    nesting === 0 && paths.some((path) => resolve(path) === resolve(name));
  events.on('test:pass', (event) => {
    if (event.details.type === 'suite' || isFile(event)) return;
    if (event.skip !== undefined || event.todo !== undefined) counts.skipped += 1;
    else counts.passed += 1;
  });
  events.on('test:fail', ({ details, todo }) => {
    // A suite fails with its tests, which are counted already, or by itself, in a hook.
    if (details.type === 'suite' && failureType(details.error) === 'subtestsFailed') return;
    if (todo === undefined) counts.failed += 1;
    else counts.skipped += 1;
  });
  const report = events.compose(spec);
  for await (const text of report) process.stdout.write(text);
  return counts;
}

/** node:test says in this property of its errors why a test failed. */
function failureType(error: Error): unknown {
  return 'failureType' in error ? error.failureType : undefined;
}

/** Files of workflows take longest: those first, so that no processor idles while the last one runs alone. */
async function everyOtherTest(): Promise<string[]> {
  const everyone = (await testFiles(['test'])).filter((file) => !isFaultTest(file) && !isIn(MAJORS, file));
  return everyone.toSorted((a, b) => Number(isIn(WORKFLOWS, b)) - Number(isIn(WORKFLOWS, a)));
}

function isFaultTest(file: string): boolean {
  return isIn(FAULTS, file);
}

function isIn(directory: string, file: string): boolean {
  return !relative(directory, resolve(file)).startsWith('..');
}

async function testFiles(paths: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const path of paths) {
    const isDirectory = (await stat(path)).isDirectory();
    if (!isDirectory) found.push(path);
    else for await (const file of glob(join(path, '**/*.test.ts'))) found.push(file);
  }
  return found.toSorted();
}
