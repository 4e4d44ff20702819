import { mkdir, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { measureCompression, otherContenders } from './contenders.ts';
import { prepareDatabase, recreateDatabase, type BenchDatabase } from './data.ts';
import { HOLDFAST, holdfastContenders, holdfastName, warmUp } from './holdfastContenders.ts';
import { installHoldfast, startWorker } from './holdfastRun.ts';
import { describeMachine } from './machine.ts';
import { measureInTurn, type Contender, type Measurement } from './measure.ts';
import { readOptions, USAGE, type BenchOptions } from './options.ts';
import { createReport } from './report.ts';
import { startServers, type Servers } from './servers.ts';

/** Measures Holdfast against what people use today, on one machine, in turn. See options.ts for its flags. */

/** Real dumps compress to about a third; easier data would make every pipeline look faster than it is. */
const MAXIMUM_COMPRESSION = 4;
/** The database, its indexes while they are built, and one run's copies and spool. */
const SPACE_FACTOR = 4;

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
    const measurements = await measure(servers, database, options);
    const text = [
      `# Backup of a ${options.sizeText} database, ${new Date().toISOString().slice(0, 10)}`,
      await describeMachine(servers),
      `- database ${(database.bytes / 1e6).toFixed(0)} MB, its dump compresses ${compression.toFixed(2)}:1 with zstd -${options.level}; ${options.runs} runs, medians`,
      '',
      createReport(measurements, database.bytes),
      '',
    ].join('\n');
    console.log(text);
    if (options.save) await save(text, options);
  } finally {
    await servers.close();
  }
}

async function measure(servers: Servers, database: BenchDatabase, options: BenchOptions): Promise<Measurement[]> {
  const wanted = (name: string) => options.only === undefined || name.includes(options.only);
  const contenders: Contender[] = (await otherContenders(servers, database.name, options.level)).filter(({ name }) =>
    wanted(name),
  );
  const target = join(options.directory, 'run');
  if (!Object.values(HOLDFAST).some((plan) => wanted(holdfastName(plan))))
    return measureInTurn(contenders, options.runs, target, say);

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
    contenders.push(...holdfastContenders(servers, installation, worker).filter(({ name }) => wanted(name)));
    return await measureInTurn(contenders, options.runs, target, say);
  } finally {
    await worker.close();
  }
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
  await mkdir(fileURLToPath(new URL('results/', import.meta.url)), { recursive: true });
  await writeFile(file, text);
  say(`saved ${file}`);
}
