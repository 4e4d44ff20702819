import {
  ApplicationFailure,
  CancellationScope,
  CancelledFailure,
  ChildWorkflowFailure,
  executeChild,
  isCancellation,
  ParentClosePolicy,
  workflowInfo,
} from '@temporalio/workflow';
import type { BackupResult } from '../../core/backup/run.ts';
import type { RestorePlan, RestoreRunPhase, RestoreStep, SwapStep, TreeStep } from '../../core/restore/flow.ts';
import { aboutLeft } from '../../core/restore/database/leftAlone.ts';
import type { Difference, Reconciliation } from '../../core/restore/run.ts';
import { cutList } from '../../core/postgres/identifiers.ts';
import { backup } from '../backup.ts';
import { problemOf } from './problem.ts';
import { databaseStepOf, treeStepsOf, type RestoreRun } from './restoreRun.ts';
import {
  checkDatabase,
  createRoles,
  dropDead,
  dropUnfinished,
  reconcileDatabase,
  releaseDatabase,
  restoreDatabase,
  swapDatabases,
  treeSteps,
  undoSwap,
} from './restoreSteps.ts';

/**
 * The part of a restore that changes something, under the source's lock. What it was making is gone when this rejects,
 * and what is in place is what was there before.
 */
export async function performRestore(run: RestoreRun, show: () => void): Promise<void> {
  const { plan } = run;
  if (plan === undefined) throw new TypeError('what is restored was planned');
  if (plan.safetyBackup) await phase(run, show, 'safety backup', () => backUpBefore(run, plan));
  run.recoveryBegun = Date.now();
  try {
    const step = databaseStepOf(plan);
    const database = step && (await makeDatabase(run, step, show));
    const trees = treeStepsOf(plan);
    for (const tree of trees) await phase(run, show, 'files', () => makeTree(run, plan, tree));
    await putInPlace(run, { database, trees }, show);
    run.recoveryEnded = Date.now();
  } finally {
    await CancellationScope.nonCancellable(() => cleanUp(run, plan, show));
  }
}

/** What is left of it where it did not come to its end, and in any case what trees were unpacked in. */
async function cleanUp(run: RestoreRun, plan: RestorePlan, show: () => void): Promise<void> {
  const step = run.done ? undefined : databaseStepOf(plan);
  run.phase = 'clean-up';
  show();
  if (step)
    await attempt(run, `The unfinished database ${step.database.target} may still be there`, () =>
      dropUnfinished(step),
    );
  for (const tree of treeStepsOf(plan))
    await attempt(run, `Unfinished files of tree ${tree.place.tree} may still be there`, () =>
      treeSteps(plan.files?.hostQueue ?? '').dropTree(tree),
    );
}

/** A new database, equal to what was dumped, that still has its mark. */
async function makeDatabase(run: RestoreRun, step: RestoreStep, show: () => void): Promise<SwapStep> {
  const { target, replaces, createRoles: missing } = step.database;
  await attempt(run, 'What dead restores left could not be looked for', async () => {
    const { dropped, left } = await dropDead(step);
    run.warnings.push(
      ...dropped.map((name) => `database ${name}, which a restore that had died left unfinished, was dropped`),
      ...left.map(aboutLeft),
    );
  });
  if (run.input.createRoles && missing.length > 0)
    run.createdRoles = await phase(run, show, 'roles', () => createRoles(step));
  await phase(run, show, 'restore', async () => {
    run.restored = await restoreDatabase.executeWithOptions({ summary: `into ${target}` }, [step]);
  });
  const { oid, inPlace, subscriptions, reconciliation } = await phase(run, show, 'reconcile', () =>
    reconcileDatabase(step),
  );
  run.reconciliation = reconciliation;
  run.restoredSubscriptions = subscriptions;
  requireEqual(step, reconciliation);
  run.checks = await phase(run, show, 'checks', () => checkDatabase(step, target));
  // A new one is there to be looked at, whatever it is like.
  if (replaces === undefined) return { ...step, oid };
  requirePassed(run, 'It was not put in place.');
  if (inPlace !== replaces.oid) throw exchanged(replaces.name);
  return { ...step, oid };
}

/** An unpacked tree, equal to the archive. */
async function makeTree(run: RestoreRun, { files }: RestorePlan, step: TreeStep): Promise<void> {
  const { tree } = step.place;
  const { restoreTree, compareTree } = treeSteps(files?.hostQueue ?? '');
  const restored = await restoreTree.executeWithOptions({ summary: tree }, [step]);
  const comparison = await compareTree.executeWithOptions({ summary: tree }, [step, restored.directory]);
  run.trees.set(tree, { restored, comparison });
  if (!comparison.equal)
    throw unequal(`files of ${tree}`, step.backup.id, comparison.differenceCount, comparison.differences);
}

interface Made {
  readonly database: SwapStep | undefined;
  readonly trees: readonly TreeStep[];
}

/**
 * Nothing interrupts it any more, until either everything that was restored is in place or everything that was there
 * before; an abort that came in the last moment is heeded.
 */
async function putInPlace(run: RestoreRun, made: Made, show: () => void): Promise<void> {
  if (CancellationScope.current().consideredCancelled) throw new CancelledFailure('Stopped on request.');
  run.committed = true;
  await CancellationScope.nonCancellable(async () => {
    try {
      await phase(run, show, 'swap', () => exchange(run, made));
      if (made.database?.database.replaces) await checkInPlace(run, made.database, show);
      if (made.database && !run.swapped) await releaseDatabase(made.database);
      run.done = true;
    } catch (error) {
      run.problem ??= problemOf(error);
      await phase(run, show, 'undo', () => takeBack(run, made));
      const { message } = run.problem;
      run.problem = { ...run.problem, message: [message, ...backInPlace(run)].join('; ') };
      throw error;
    }
  });
}

async function exchange(run: RestoreRun, { database, trees }: Made): Promise<void> {
  if (database?.database.replaces) {
    await swapDatabases(database);
    run.swapped = true;
  }
  for (const step of trees) {
    const { placeTree } = treeSteps(run.plan?.files?.hostQueue ?? '');
    const placed = await placeTree.executeWithOptions({ summary: step.place.tree }, [step]);
    run.trees.set(step.place.tree, { ...run.trees.get(step.place.tree), placed });
  }
}

async function checkInPlace(run: RestoreRun, step: SwapStep, show: () => void): Promise<void> {
  // What was seen before it was in place says nothing about it now.
  run.checks = [];
  run.checks = await phase(run, show, 'checks', () => checkDatabase(step, step.database.name));
  requirePassed(run, 'It was taken back.');
}

function backInPlace({ setAside, setAsideTrees }: RestoreRun): string[] {
  return [
    ...(setAside
      ? [
          `the database of before is in place again as ${setAside.name}, and the restored one, with what was written into it meanwhile, is kept as ${setAside.setAsideAs}`,
        ]
      : []),
    ...setAsideTrees.map(
      ({ tree, setAsideAs }) =>
        `the files of ${tree} are as before, and the restored ones, with what was written into them meanwhile, are kept as ${cutList(setAsideAs)}`,
    ),
  ];
}

/** Also what failed half way: the answer that it was done may be what was lost. */
async function takeBack(run: RestoreRun, { database, trees }: Made): Promise<void> {
  run.undone = run.swapped || [...run.trees.values()].some(({ placed }) => placed);
  for (const step of trees.toReversed())
    await attempt(run, `The files of ${step.place.tree} could not be put back`, async () => {
      const taken = await treeSteps(run.plan?.files?.hostQueue ?? '').takeBackTree(step);
      if (taken.setAsideAs.length === 0) return;
      run.undone = true;
      run.setAsideTrees.push(taken);
    });
  const replaces = database?.database.replaces;
  if (replaces)
    await attempt(run, 'The swap could not be taken back', async () => {
      if ((await undoSwap(database)) === 'undone') {
        run.undone = true;
        run.setAside = replaces;
      }
      run.swapped = false;
    });
}

/** By the lock that the restore holds already. */
async function backUpBefore(run: RestoreRun, { source, id, safetyBackup }: RestorePlan): Promise<void> {
  const workflowId = `pre-restore-${source}-${id}`;
  run.safetyBackup = { workflowId };
  try {
    const result: BackupResult = await executeChild(backup, {
      workflowId,
      args: [
        // What is worth saving may be less than there was: that is why somebody restores.
        { source, ...safetyBackup, tier: 'pre-restore', acceptShrink: true },
        { holdsLock: true },
      ],
      parentClosePolicy: ParentClosePolicy.REQUEST_CANCEL,
      staticSummary: `Backup of ${source} before the restore ${workflowInfo().workflowId}`,
    });
    run.safetyBackup = { workflowId, id: result.id };
  } catch (error) {
    if (isCancellation(error)) throw error;
    const { type, message } = problemOf(error instanceof ChildWorkflowFailure ? error.cause : error);
    run.problem = {
      type,
      message: `What is in place could not be backed up: ${message}`,
      advice:
        'Nothing was changed. Mend it, or, where what is in place is not worth a backup, set safetyBackup to skip (--skip-safety-backup).',
    };
    throw ApplicationFailure.nonRetryable(run.problem.message, type);
  }
}

function requireEqual({ backup: { id }, database: { target } }: RestoreStep, found: Reconciliation): void {
  if (!found.equal) throw unequal(`database ${target}`, id, found.differenceCount, found.differences);
}

/** Says what is wrong by name: that a restore went wrong is no news without it. */
function unequal(
  what: string,
  backupId: string,
  count: number,
  differences: readonly Difference[],
): ApplicationFailure {
  const named = differences
    .filter(({ severity }) => severity === 'difference')
    .slice(0, 10)
    .map((each) => `${each.kind} ${each.object}: ${each.what} ${each.expected} -> ${each.found}`);
  return ApplicationFailure.nonRetryable(
    `What was restored as ${what} is not what backup ${backupId} holds, in ${count} things: ${named.join('; ')}`,
    'RestoreFailed',
    {
      advice: differences.some((each) => each.what === 'definition')
        ? `Nothing was changed. holdfast extract ${backupId} --part schema --as sql prints the dumped definitions, to look at what differs. Another backup may be without it.`
        : 'Nothing was changed. Look at the differences, and restore another backup.',
    },
  );
}

function requirePassed({ checks }: RestoreRun, consequence: string): void {
  const failed = checks.filter(({ passed }) => !passed);
  if (failed.length === 0) return;
  const named = failed.map(({ name, found }) => `"${name}" (found: ${found ?? 'nothing'})`);
  throw ApplicationFailure.nonRetryable(`The restored database does not pass ${named.join(', ')}`, 'RestoreFailed', {
    advice: `${consequence} Restore another backup, or restore into a new database (mode new) to look at it.`,
  });
}

function exchanged(name: string): ApplicationFailure {
  return ApplicationFailure.nonRetryable(
    `The database that the plan was to replace is no longer called ${name}`,
    'RefusedForSafety',
    { advice: 'Nothing was changed. Start the restore again, and look at its plan.' },
  );
}

async function phase<Result>(
  run: RestoreRun,
  show: () => void,
  name: RestoreRunPhase,
  work: () => Promise<Result>,
): Promise<Result> {
  run.phase = name;
  show();
  const begun = Date.now();
  try {
    return await work();
  } finally {
    run.durations[name] = (run.durations[name] ?? 0) + Date.now() - begun;
  }
}

async function attempt(run: RestoreRun, otherwise: string, work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (isCancellation(error)) throw error;
    run.warnings.push(`${otherwise}: ${problemOf(error).message}`);
  }
}
