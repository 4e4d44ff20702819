import { mkdir, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { measureCompression, otherContenders } from './contenders.ts';
import { prepareDatabase, recreateDatabase, type BenchDatabase } from './data.ts';
import { HOLDFAST, holdfastContenders, holdfastName, warmUp } from './holdfastContenders.ts';
import { installHoldfast, startWorker, type Installation, type RunningWorker } from './holdfastRun.ts';
import { describeMachine } from './machine.ts';
import { measureInTurn, type Contender, type Measurement } from './measure.ts';
import { readOptions, USAGE, type BenchOptions } from './options.ts';
import { createReport } from './report.ts';
import {
  BY_HAND,
  holdfastRestores,
  restoreName,
  RESTORES,
  restoresByHand,
  type PreparedRestores,
} from './restoreContenders.ts';
import { createRestoreReport } from './restoreReport.ts';
import { startServers, type Servers } from './servers.ts';

/** Measures Holdfast against what people use today, on one machine, in turn. See options.ts for its flags. */

/** Real dumps compress to about a third; easier data would make every pipeline look faster than it is. */
const MAXIMUM_COMPRESSION = 4;
/** The database, the one that is restored, a dump beside it, and one run's copies and spool. */
const SPACE_FACTOR = 5;

const say = (line: string) => console.error(line);

if (process.argv.includes('--help')) console.log(USAGE);
else await bench(readOptions(process.argv.slice(2)));

async function bench(options: BenchOptions): Promise<void> {
  const servers = await startServers(options.directory, say);
  try {
    await assertSpace(options);
    const database = await prepareDatabase(servers, options.size, say);
    const compression = await measureCompression(servers, database.name, options.level);
    say(`${database.name}: ${(database.bytes / 1e6).toFixed(0)} MB, its dump compresses ${compression.toFixed(2)}:1`);
    if (compression > MAXIMUM_COMPRESSION) throw new Error(`the data compresses better than ${MAXIMUM_COMPRESSION}:1`);
    const { backups, restores } = await measure(servers, database, options);
    const text = [
      `# Backup and restore of a ${options.sizeText} database, ${new Date().toISOString().slice(0, 10)}`,
      await describeMachine(servers),
      `- database ${(database.bytes / 1e6).toFixed(0)} MB, its dump compresses ${compression.toFixed(2)}:1 with zstd -${options.level}; ${options.runs} runs, medians`,
      '',
      ...(backups.length === 0 ? [] : ['## Backup', '', createReport(backups, database.bytes), '']),
      ...(restores.length === 0 ? [] : ['## Restore', '', createRestoreReport(restores, database.bytes), '']),
    ].join('\n');
    console.log(text);
    if (options.save) await save(text, options);
  } finally {
    await servers.close();
  }
}

interface Measured {
  readonly backups: readonly Measurement[];
  readonly restores: readonly Measurement[];
}

async function measure(servers: Servers, database: BenchDatabase, options: BenchOptions): Promise<Measured> {
  const wanted = (name: string) => options.only === undefined || name.includes(options.only);
  const ownNames = [...Object.values(HOLDFAST).map(holdfastName), ...Object.values(RESTORES).map(restoreName)];
  if (!ownNames.some(wanted)) return measureBoth(servers, database, options, wanted);

  await recreateDatabase(servers, 'bench_empty');
  await recreateDatabase(servers, 'bench_catalog');
  const installation = await installHoldfast(
    servers,
    join(options.directory, 'holdfast'),
    { large: database.name, empty: 'bench_empty', catalog: 'bench_catalog' },
    Object.values(HOLDFAST),
    options.level,
  );
  const worker = await startWorker(installation, options.profile ? await profileDirectory() : undefined);
  try {
    await warmUp(installation);
    return await measureBoth(servers, database, options, wanted, { installation, worker });
  } finally {
    await worker.close();
  }
}

interface Holdfast {
  readonly installation: Installation;
  readonly worker: RunningWorker;
}

async function measureBoth(
  servers: Servers,
  database: BenchDatabase,
  options: BenchOptions,
  wanted: (name: string) => boolean,
  holdfast?: Holdfast,
): Promise<Measured> {
  const backups = await otherContenders(servers, database.name, options.level);
  if (holdfast) backups.push(...holdfastContenders(servers, holdfast.installation, holdfast.worker));
  return {
    backups: await inTurn(backups, options, wanted),
    restores: await measureRestores(servers, database, options, wanted, holdfast),
  };
}

async function measureRestores(
  servers: Servers,
  database: BenchDatabase,
  options: BenchOptions,
  wanted: (name: string) => boolean,
  holdfast?: Holdfast,
): Promise<Measurement[]> {
  const prepared: PreparedRestores[] = [];
  try {
    if (Object.values(BY_HAND).some(wanted)) prepared.push(await restoresByHand(servers, database.name, options));
    if (holdfast) prepared.push(await holdfastRestores(servers, holdfast.installation, wanted));
    const contenders = prepared.flatMap((each) => each.contenders);
    return await inTurn(contenders, options, wanted);
  } finally {
    for (const each of prepared) await each.close();
  }
}

function inTurn(contenders: readonly Contender[], options: BenchOptions, wanted: (name: string) => boolean) {
  const chosen = contenders.filter(({ name }) => wanted(name));
  return measureInTurn(chosen, options.runs, join(options.directory, 'run'), say);
}

async function assertSpace({ directory, size }: BenchOptions): Promise<void> {
  const { bavail, bsize } = await statfs(directory);
  if (bavail * bsize < size * SPACE_FACTOR)
    throw new Error(`${directory} has ${bavail * bsize} bytes free; this needs about ${size * SPACE_FACTOR}`);
}

async function profileDirectory(): Promise<string> {
  const directory = fileURLToPath(new URL('work/', import.meta.url));
  await mkdir(directory, { recursive: true });
  say(`the worker's CPU profile will be in ${directory}`);
  return directory;
}

async function save(text: string, options: BenchOptions): Promise<void> {
  const name = `${new Date().toISOString().slice(0, 10)}-${options.sizeText}.md`;
  const file = fileURLToPath(new URL(`results/${name}`, import.meta.url));
  await mkdir(fileURLToPath(new URL('results', import.meta.url)), { recursive: true });
  await writeFile(file, text);
  say(`saved ${file}`);
}
