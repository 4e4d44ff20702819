import type { RunningServer } from '../../core/tools/server.ts';
import { relative } from 'node:path';
import { z } from 'zod';
import type { Terminal } from '../terminal.ts';
import { DEMO_PLAN, DEMO_SOURCE, writeConfiguration, type DemoKeys } from './configuration.ts';
import { askCommand, HOLDFAST, showCommand } from './holdfastCommand.ts';
import { makeKeys } from './keys.ts';
import { makeLayout, type DemoLayout } from './layout.ts';
import { proveDump, type Proof } from './proof.ts';
import { recoverDatabase, type Recovery } from './recovery.ts';
import { demoSecret } from './secrets.ts';
import { startDemoServers, type DemoServers } from './servers.ts';
import { makeShopDatabase } from './shopDatabase.ts';
import { makeShopFiles } from './shopFiles.ts';
import { keptServer, rememberServers, stopKeptServers } from './state.ts';
import { startDemoWorker } from './worker.ts';

export interface DemoOptions {
  readonly directory: string;
  readonly keepRunning: boolean;
}

interface Outcome {
  readonly backup: string;
  readonly recovery: Recovery;
  readonly proof: Proof;
}

interface DemoPlace {
  readonly layout: DemoLayout;
  readonly servers: DemoServers;
  readonly keys: DemoKeys;
}

/** Everything that runs and must end, in the order of its start. */
type Started = { readonly name: string; readonly server: RunningServer }[];

/** The whole demo: an application, its backup, the proof, the recovery. */
export async function runDemo(options: DemoOptions, terminal: Terminal): Promise<void> {
  const signal = terminal.interruption();
  const started: Started = [];
  let kept = false;
  try {
    const layout = await makeLayout(options.directory);
    await stopKeptServers(layout.state);
    const place = await preparePlace(layout, options, started, terminal);
    signal.throwIfAborted();
    const outcome = await backUpAndRecover(place, terminal, signal);
    if (options.keepRunning) {
      await rememberServers(layout.state, await Promise.all(started.map(keptServer)));
      kept = true;
    }
    terminal.answer({ ...outcome, webUi: place.servers.temporal.uiUrl, configuration: layout.configuration }, () =>
      farewell(outcome, place, kept),
    );
  } finally {
    if (!kept) for (const { server } of started.toReversed()) await server.close();
  }
}

async function preparePlace(
  layout: DemoLayout,
  { keepRunning }: DemoOptions,
  started: Started,
  terminal: Terminal,
): Promise<DemoPlace> {
  const say = headings(terminal);
  say('Starting PostgreSQL, Temporal and an S3 server ...');
  const servers = await startDemoServers(layout, {
    keepRunning,
    say: (line) => terminal.note(line),
    onStart: (name, server) => started.push({ name, server }),
  });
  say('Making the application: a shop with its database, media, logs and configuration ...');
  const { missingExtensions } = await makeShopDatabase(
    await superuser(layout, servers),
    await demoSecret(layout.secrets, 'backup-password'),
  );
  if (missingExtensions.length > 0) {
    terminal.note(`This PostgreSQL has no ${missingExtensions.join(', ')} (contrib package): the shop does without.`);
  }
  if (!layout.postgres.startsWith(layout.root)) {
    terminal.note(
      `PostgreSQL runs under an account that cannot reach ${layout.root}: its files are in ${layout.postgres}.`,
    );
  }
  await makeShopFiles(layout);
  const keys = await makeKeys(layout.keys);
  await writeConfiguration(layout, servers, keys);
  say('Starting a worker ...');
  started.push({ name: 'worker', server: await startDemoWorker(layout, keepRunning) });
  return { layout, servers, keys };
}

async function backUpAndRecover(place: DemoPlace, terminal: Terminal, signal: AbortSignal): Promise<Outcome> {
  const { layout, servers } = place;
  const say = headings(terminal);
  const configured = (...args: string[]) => [...args, '--config', layout.configuration];
  const show = (...args: string[]) => showCommand(configured(...args), { signal, json: terminal.json });

  say(`holdfast backup ${DEMO_SOURCE} --plan ${DEMO_PLAN}    (to three storages at once)`);
  terminal.note(`Watch it in Temporal's Web UI: ${servers.temporal.uiUrl}/namespaces/${servers.temporal.namespace}`);
  await show('backup', DEMO_SOURCE, '--plan', DEMO_PLAN);
  say(`holdfast list ${DEMO_SOURCE}`);
  await show('list', DEMO_SOURCE);
  const backup = newestBackup(await askCommand(configured('list', DEMO_SOURCE), signal));
  say(`holdfast verify ${backup} --depth opened    (every copy is read back, decrypted and decompressed)`);
  await show('verify', backup, '--depth', 'opened');

  say('The worst day: the database from one bucket, with nothing but its credentials and the escrow key');
  const recovery = await recoverDatabase(backup, place, signal);
  terminal.note(recovery.command);
  say("Restoring that dump with PostgreSQL's own pg_restore and comparing it with the original ...");
  const login = { ...(await superuser(layout, servers)), binDirectory: servers.postgres.binDirectory };
  const proof = await proveDump(recovery.dump, layout, login, signal);
  return { backup, recovery, proof };
}

async function superuser(layout: DemoLayout, { postgres }: DemoServers) {
  const { host, port, user } = postgres;
  return { host, port, user, password: await demoSecret(layout.secrets, 'postgres-password') };
}

/** A step of the story, set off from what the commands print. */
function headings(terminal: Terminal): (text: string) => void {
  return (text) => {
    if (!terminal.json) terminal.stderr.write(`\n== ${text}\n`);
  };
}

const backupList = z.object({ backups: z.array(z.object({ id: z.string() })).min(1) });

/** Ids begin with their time, so the newest is the last in order. */
function newestBackup(document: unknown): string {
  const ids = backupList.parse(document).backups.map(({ id }) => id);
  return ids.toSorted().at(-1) ?? '';
}

function farewell({ backup, proof }: Outcome, { layout, servers }: DemoPlace, kept: boolean): string {
  const program = pathToType(HOLDFAST);
  const configuration = pathToType(layout.configuration);
  const lines = [
    '',
    `Backup ${backup} is on three storages, and every copy was read back and opened.`,
    `The dump recovered from one bucket holds ${proof.archiveEntries} objects; restored, its ${proof.rows} rows in ` +
      `${proof.relations} tables, views and large objects are those of the original, fingerprint by fingerprint.`,
    '',
  ];
  if (!kept) return [...lines, 'Everything is stopped. `--keep` leaves it running to be looked at.'].join('\n');
  return [
    ...lines,
    'Everything is still running:',
    `  Temporal's Web UI   ${servers.temporal.uiUrl}`,
    `  Holdfast            ${program} list --config ${configuration}`,
    `  Stop it             ${program} demo --stop --directory ${pathToType(layout.root)}`,
  ].join('\n');
}

/** From here, where that is shorter; with `./`, so that a shell takes it for a program. */
function pathToType(path: string): string {
  const fromHere = relative(process.cwd(), path);
  return fromHere.startsWith('..') ? path : `./${fromHere}`;
}
