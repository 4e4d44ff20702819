import { HoldfastError, isHoldfastError, messageOf } from '../errors.ts';
import { drain } from '../repository/asyncItems.ts';
import { objectKey } from '../repository/layout.ts';
import type { Manifest } from '../repository/manifest.ts';
import { readObjects, type KeyedObject, type ObjectFinding } from '../repository/readObjects.ts';
import type { Backend } from '../storage/backend.ts';
import type { ProveOptions } from './proveCopy.ts';
import type { Helpers } from './reference.ts';
import type { HealCopyStep } from './run.ts';

export interface DamageListener {
  /** Told of other copies that claim to be whole, and turned out damaged when something was to be taken from them. */
  readonly onDamaged: (backend: string, problem: string) => void;
}

/**
 * Reads every wanting object on other backends until it was found right on one. Throws RefusedForSafety, naming the parts
 * that are lost, where one is right nowhere; BackendUnreachable where a backend that is away may have it.
 */
export async function proveElsewhere(
  step: HealCopyStep,
  manifest: Manifest,
  wanting: readonly KeyedObject[],
  helpers: Helpers,
  { signal, onDamaged }: Pick<ProveOptions, 'signal'> & DamageListener,
): Promise<void> {
  const lost: LostObject[] = [];
  let someSilent = helpers.someSilent;
  for (const object of wanting) {
    const problems: string[] = [];
    let proven = false;
    for (const { name, backend, manifest: claimed } of helpers.all) {
      if (backend === undefined) continue;
      const answer = await lookAt(backend, object, signal);
      if (answer === 'right') {
        proven = true;
        break;
      }
      someSilent ||= answer.silent;
      if (claimed && !answer.silent) onDamaged(name, answer.problem);
      problems.push(answer.problem);
    }
    if (!proven) lost.push({ object, problems });
  }
  if (lost.length > 0) throw noGoodCopy(step, manifest, lost, someSilent);
}

/** An object that is right on no backend, with what was wrong on each. */
export interface LostObject {
  readonly object: KeyedObject;
  readonly problems: readonly string[];
}

/** Says which parts of which backup are lost, and why nobody could give them. */
export function noGoodCopy(
  { location, backend }: HealCopyStep,
  manifest: Manifest,
  lost: readonly LostObject[],
  someSilent: boolean,
): HoldfastError {
  const keys = new Set(lost.map(({ object }) => object.key));
  const parts = manifest.parts
    .filter(({ objects }) => objects.some(({ name }) => keys.has(objectKey(location, name))))
    .map(({ part }) => part);
  const why = lost.flatMap(({ problems }) => problems).join('; ');
  const what = `${parts.length === 1 ? 'the part' : 'the parts'} ${parts.join(', ')} of backup ${location.backup}`;
  if (someSilent) {
    return new HoldfastError(
      'BackendUnreachable',
      `${backend} cannot be healed now: no backend that answers has a good copy of ${what}. ${why}`,
      { advice: 'It goes on when the others answer.' },
    );
  }
  return new HoldfastError(
    'RefusedForSafety',
    `There is no good copy of ${what}: lost on ${backend} and on every other backend. ${why}`,
    {
      advice: `Nothing was changed. The other parts can still be read: holdfast extract ${location.backup} --part NAME. Make a new backup.`,
    },
  );
}

async function lookAt(
  backend: Backend,
  object: KeyedObject,
  signal: AbortSignal,
): Promise<'right' | { readonly problem: string; readonly silent: boolean }> {
  try {
    const findings: ObjectFinding[] = [];
    await drain(readObjects(backend, [object], (finding) => findings.push(finding), { signal }));
    const problem = findings[0]?.problem;
    return problem === undefined ? 'right' : { problem: problem.message, silent: false };
  } catch (error) {
    signal.throwIfAborted();
    if (!isHoldfastError(error)) throw error;
    return { problem: messageOf(error), silent: true };
  }
}
