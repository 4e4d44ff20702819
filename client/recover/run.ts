import type { PassedOver } from '../../core/restore/run.ts';
import { showProgress } from '../progress.ts';
import { EXIT_CODES, type ExitCode, type Terminal } from '../terminal.ts';
import { recoverCheckingKeys, recoverOpeningKeys, type KeyOptions } from './keys.ts';
import type { RecoveryMeans } from './means.ts';
import { refusalOf } from './plan.ts';
import { lookAtRecovery, recover } from './recover.ts';
import { describePlannedRecovery, describeRecovery, isComplete } from './result.ts';
import { recoverStorages, type StorageOptions } from './storages.ts';
import { wishOf, type RecoveryWish, type WishOptions } from './wish.ts';

export type RecoveryOptions = StorageOptions & KeyOptions & WishOptions;

/** Restores as the options say, or shows what that would be, and answers with what came of it. */
export async function runRecovery(terminal: Terminal, backup: string, options: RecoveryOptions): Promise<ExitCode> {
  const wish = await wishOf(backup, options, process.env);
  const openingKeys = await recoverOpeningKeys(options);
  const storages = await recoverStorages(options, process.env);
  try {
    const { copies, directories: ownDirectories } = storages;
    const checkingKeys = await recoverCheckingKeys(options, terminal);
    const passedOver = listPassedOver(terminal, copies.length > 1);
    const given = {
      copies,
      ownDirectories,
      checkingKeys,
      openingKeys,
      environment: Object.keys(process.env),
      signal: terminal.interruption(),
      warn: (text: string) => terminal.warn(text),
      passOver: passedOver.add,
    };
    return await withProgress(terminal, (onProgress) => {
      const means = { ...given, onProgress };
      return options.dryRun ? plan(terminal, wish, means) : restore(terminal, wish, means, passedOver.list);
    });
  } finally {
    storages.close();
  }
}

/** Gives what is to be answered when the display is off the screen. */
type Answer = () => ExitCode;

async function plan(terminal: Terminal, wish: RecoveryWish, means: RecoveryMeans): Promise<Answer> {
  const planned = await lookAtRecovery(wish, means);
  const describe = () => describePlannedRecovery(planned, terminal);
  const refusal = refusalOf(planned.plan);
  if (refusal) return () => terminal.failWith(refusal, { ...planned, state: 'failed' }, describe);
  return () => {
    terminal.answer({ ...planned, state: 'planned' }, describe);
    return EXIT_CODES.done;
  };
}

async function restore(
  terminal: Terminal,
  wish: RecoveryWish,
  means: RecoveryMeans,
  passedOver: readonly PassedOver[],
): Promise<Answer> {
  const recovery = await recover(wish, means);
  const complete = isComplete(recovery);
  const state = complete ? 'restored' : 'degraded';
  return () => {
    terminal.answer({ ...recovery, passedOver, state }, () => describeRecovery(recovery, passedOver));
    return complete ? EXIT_CODES.done : EXIT_CODES.degraded;
  };
}

/** Copies that could not be used: told as they are met where there are others to try, and listed at the end. */
function listPassedOver(terminal: Terminal, tell: boolean) {
  const list: PassedOver[] = [];
  const add = (found: readonly PassedOver[]) => {
    for (const { backend, reason } of found) {
      if (list.some((each) => each.backend === backend && each.reason === reason)) continue;
      list.push({ backend, reason });
      if (tell) terminal.warn(`${backend} is passed over: ${reason}`);
    }
  };
  return { list: list as readonly PassedOver[], add };
}

async function withProgress(
  terminal: Terminal,
  work: (onProgress: RecoveryMeans['onProgress']) => Promise<Answer>,
): Promise<ExitCode> {
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
  let answer: Answer;
  try {
    answer = await work((phase, done, total) => (now = { phase, done, total }));
  } finally {
    ended.abort();
    await display;
  }
  return answer();
}
