import { isCancellation, proxyActivities } from '@temporalio/workflow';
import type { HealSteps } from '../../activities/healSteps.ts';
import type {
  CopyOutcome,
  HealDepth,
  HealedCopy,
  HealNote,
  HealSurvey,
  LostBackup,
  SurveyStep,
  Wound,
} from '../../core/heal/run.ts';
import type { ErrorType } from '../../core/errors.ts';
import { copyName, takeOutcome, takeSurvey, type HealRound } from './healRun.ts';
import { problemOf } from './problem.ts';
import { HEARTBEAT_TIMEOUT, longRunning, takenOver } from './steps.ts';

const { findWounds } = proxyActivities<HealSteps>({
  ...takenOver,
  startToCloseTimeout: '2h',
  heartbeatTimeout: HEARTBEAT_TIMEOUT,
});
const { healCopy } = proxyActivities<HealSteps>({ ...takenOver, ...longRunning });
/** What the catalog misses is told by the next look. */
const { noteHealing } = proxyActivities<HealSteps>({
  ...takenOver,
  startToCloseTimeout: '2m',
  heartbeatTimeout: HEARTBEAT_TIMEOUT,
});

/** Backups healed side by side. The copies of one follow each other: each may be what the next is healed from. */
const BACKUPS_AT_ONCE = 2;
/** Copies that fail on one backend before the others on it wait for the next look. */
const FAILURES_AT_MOST = 3;

export interface Healer {
  /** Copies that are being healed now, by name. */
  readonly underWay: ReadonlyMap<string, Wound>;
  /** Bytes read or written so far, by the copy's name. */
  readonly bytes: Map<string, number>;
  look(round: HealRound, step: SurveyStep): Promise<HealSurvey>;
  /** What was refused before is not tried again, until it is forgotten. */
  healAll(round: HealRound, wounds: readonly Wound[], depth: HealDepth): Promise<void>;
  forget(): void;
  /** Notes that nobody is at these copies any more, whole or not. */
  giveUp(round: HealRound): Promise<void>;
}

export function createHealer(show: () => void): Healer {
  const underWay = new Map<string, Wound>();
  const bytes = new Map<string, number>();
  const settled = new Map<string, HealedCopy>();

  const healOne = async (round: HealRound, wound: Wound, depth: HealDepth, failures: Map<string, number>) => {
    const { backend } = wound;
    const before = settled.get(copyName(wound));
    if (before) {
      takeOutcome(round, wound, before);
      return;
    }
    const away = wound.away ?? (failures.get(backend) ?? 0) >= FAILURES_AT_MOST;
    if (away !== false) {
      const message = away === true ? `${backend} failed for others just now` : away;
      takeOutcome(round, wound, { outcome: 'waiting', problem: { type: 'BackendUnreachable', message } });
      return;
    }
    underWay.set(copyName(wound), wound);
    show();
    try {
      const summary = `${wound.location.backup} on ${backend}`;
      const healing = await healCopy.executeWithOptions({ summary }, [{ ...wound, depth }]);
      const { outcome, from, objects, bytes: written, serverSideBytes, duration, depth: proven } = healing;
      takeOutcome(round, wound, { outcome, from, objects, bytes: written, serverSideBytes, duration, depth: proven });
      await note(round, [{ ...noteOf(wound, 'healed'), healing, at: healing.at }]);
    } catch (error) {
      if (isCancellation(error)) throw error;
      const { type, message } = problemOf(error);
      const outcome = OUTCOME_OF_TYPE[type] ?? 'failed';
      if (outcome === 'waiting') failures.set(backend, (failures.get(backend) ?? 0) + 1);
      const taken = takeOutcome(round, wound, { outcome, problem: { type, message } });
      if (outcome !== 'waiting') settled.set(copyName(wound), taken);
      // Nobody knew that anything was wrong with it; from here on it is a wound like any other.
      if (wound.condition === 'unproven' && outcome !== 'waiting') {
        const found = { ...noteOf(wound, 'found'), condition: 'damaged' as const, reason: message };
        await note(round, [found]);
      }
    } finally {
      underWay.delete(copyName(wound));
      show();
    }
  };

  return {
    underWay,
    bytes,
    look: async (round, step) => {
      const survey = await findWounds(step);
      takeSurvey(round, survey);
      await note(round, [
        ...survey.wounds.filter(({ condition }) => condition !== 'unproven').map((wound) => noteOf(wound, 'found')),
        ...survey.lost.flatMap(lossesOf),
      ]);
      return survey;
    },
    healAll: async (round, wounds, depth) => {
      const failures = new Map<string, number>();
      const byBackup = Map.groupBy(wounds, ({ location }) => location.backup).values();
      const worker = async () => {
        for (const group of byBackup) {
          for (const wound of group) await healOne(round, wound, depth, failures);
        }
      };
      await Promise.all(Array.from({ length: BACKUPS_AT_ONCE }, worker));
    },
    forget: () => settled.clear(),
    giveUp: async (round) => {
      const wanting = [...round.copies.values()].filter(({ outcome }) => outcome !== 'healed' && outcome !== 'whole');
      const at = new Date().toISOString();
      await note(round, [
        ...wanting.map(({ backup, backend, condition, reason }) => ({
          backup,
          backend,
          condition,
          reason,
          at,
          event: 'given-up' as const,
        })),
        ...round.lost.flatMap(lossesOf).map((loss) => ({ ...loss, event: 'given-up' as const })),
      ]);
    },
  };
}

const OUTCOME_OF_TYPE: Partial<Record<ErrorType, CopyOutcome>> = {
  RefusedForSafety: 'refused',
  BackendUnreachable: 'waiting',
  BackendRefused: 'waiting',
  Stalled: 'waiting',
};

function noteOf({ location, backend, condition, reason }: Wound, event: HealNote['event']): HealNote {
  return { backup: location.backup, backend, event, condition, reason, at: new Date().toISOString() };
}

function lossesOf({ backup, reason, backends }: LostBackup): HealNote[] {
  const at = new Date().toISOString();
  return backends.map((backend) => ({ backup, backend, event: 'found', condition: 'missing', reason, at }));
}

/** A copy is whole whether or not the catalog hears of it. */
async function note(round: HealRound, notes: readonly HealNote[]): Promise<void> {
  if (notes.length === 0) return;
  try {
    const unknown = await noteHealing(notes);
    for (const backup of unknown)
      round.warnings.add(`The catalog does not know ${backup}; its copies are as they are shown.`);
  } catch (error) {
    if (isCancellation(error)) throw error;
    round.warnings.add(`The catalog was not told: ${problemOf(error).message}`);
  }
}
