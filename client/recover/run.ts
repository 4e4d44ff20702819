import type { RestoreFlags } from '../commands/recover.ts';
import { HoldfastError } from '../../core/errors.ts';
import { describeRecovery, isComplete } from './result.ts';
import { recoverBackend, recoverCheckingKeys, recoverOpeningKeys, type RecoverOptions } from './access.ts';
import { recover, type Recovery, type RecoveryMeans, type RecoveryWish } from './recover.ts';
import { recoverServer } from './server.ts';
import { showProgress } from '../progress.ts';
import type { ServerOptions } from './serverOptions.ts';
import { EXIT_CODES, type ExitCode, type Terminal } from '../terminal.ts';

type RecoveryOptions = RecoverOptions & ServerOptions & RestoreFlags & { readonly backup: string };

/** Restores as the options say, and answers with what came of it. */
export async function runRecovery(terminal: Terminal, options: RecoveryOptions): Promise<ExitCode> {
  const wish = await wishOf(options);
  const openingKeys = await recoverOpeningKeys(options);
  const backend = await recoverBackend(options, process.env);
  try {
    const checkingKeys = await recoverCheckingKeys(options, terminal);
    const recovery = await withProgress(terminal, (onProgress) =>
      recover(wish, {
        backend,
        checkingKeys,
        openingKeys,
        copiesIn: options.local,
        signal: terminal.interruption(),
        warn: (text) => terminal.warn(text),
        onProgress,
      }),
    );
    const complete = isComplete(recovery);
    terminal.answer({ ...recovery, state: complete ? 'restored' : 'degraded' }, () => describeRecovery(recovery));
    return complete ? EXIT_CODES.done : EXIT_CODES.degraded;
  } finally {
    backend.close();
  }
}

async function wishOf(options: RecoveryOptions): Promise<RecoveryWish> {
  const { backup, source, before, target, tree, into } = options;
  if ((tree === undefined) !== (into === undefined)) throw invalid('--tree and --into belong together');
  if (target === undefined && tree === undefined) throw invalid('It is not said what to restore');
  if (target === undefined && options.table) throw invalid('--table is for a database');
  return {
    backup,
    source,
    before,
    ...(target !== undefined && {
      database: {
        server: await recoverServer(options, process.env),
        target,
        createRoles: options.createRoles === true,
        noOwner: !options.owner,
        noPrivileges: !options.privileges,
        tables: options.table,
        jobs: options.jobs,
      },
    }),
    ...(tree !== undefined && into !== undefined && { tree: { name: tree, directory: into } }),
  };
}

async function withProgress(
  terminal: Terminal,
  work: (onProgress: RecoveryMeans['onProgress']) => Promise<Recovery>,
): Promise<Recovery> {
  const ended = new AbortController();
  let now = { phase: 'looking what there is', done: 0, total: 0 };
  const display = showProgress({
    terminal,
    poll: async () => ({
      phase: now.phase,
      lines: now.total === 0 ? [] : [{ label: 'read', done: now.done, total: now.total, state: 'running' }],
    }),
    signal: ended.signal,
  });
  try {
    return await work((phase, done, total) => (now = { phase, done, total }));
  } finally {
    ended.abort();
    await display;
  }
}

function invalid(message: string): HoldfastError {
  return new HoldfastError('InvalidInput', message, {
    advice: 'Give --target NAME for the database, --tree NAME and --into DIRECTORY for a file tree, or both.',
  });
}
