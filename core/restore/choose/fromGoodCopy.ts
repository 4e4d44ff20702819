import { HoldfastError, isHoldfastError, messageOf, type ErrorType } from '../../errors.ts';
import type { Backend } from '../../storage/backend.ts';
import type { PassedOver, RestoreCopy } from '../run.ts';

/** What says that another copy may do: this one is missing, damaged, not what it should be, or its storage fails. */
const FAULTS_OF_A_COPY: readonly ErrorType[] = [
  'ObjectMissing',
  'ObjectDamaged',
  'ManifestInvalid',
  'BackendUnreachable',
  'BackendRefused',
];

/** A storage that is not configured rightly is one that cannot be opened. */
const FAULTS_OF_OPENING: readonly ErrorType[] = [...FAULTS_OF_A_COPY, 'InvalidConfiguration', 'InvalidInput'];

export interface FromGoodCopy<Result> {
  readonly result: Result;
  readonly backend: string;
  readonly passedOver: readonly PassedOver[];
}

/**
 * Does `use` with one copy after the other until one is good to its end. `use` undoes its own work when it fails. Any
 * failure that is not the copy's is thrown at once; when all copies fail, the last one's type with every reason.
 */
export async function fromGoodCopy<Result>(
  copies: readonly RestoreCopy[],
  use: (backend: Backend) => Promise<Result>,
  signal?: AbortSignal,
): Promise<FromGoodCopy<Result>> {
  const passedOver: PassedOver[] = [];
  let last: HoldfastError | undefined;
  for (const copy of copies) {
    signal?.throwIfAborted();
    try {
      const backend = await openCopy(copy);
      return { result: await use(backend), backend: copy.backend, passedOver };
    } catch (error) {
      signal?.throwIfAborted();
      const fault = error instanceof CopyCannotBeOpened ? error.cause : error;
      if (!(error instanceof CopyCannotBeOpened) && !isFaultOf(error, FAULTS_OF_A_COPY)) throw error;
      passedOver.push({ backend: copy.backend, reason: messageOf(fault) });
      last = fault as HoldfastError;
    }
  }
  throw noGoodCopy(passedOver, last);
}

class CopyCannotBeOpened extends Error {}

async function openCopy(copy: RestoreCopy): Promise<Backend> {
  try {
    return await copy.open();
  } catch (error) {
    throw isFaultOf(error, FAULTS_OF_OPENING) ? new CopyCannotBeOpened('', { cause: error }) : error;
  }
}

function isFaultOf(error: unknown, types: readonly ErrorType[]): error is HoldfastError {
  return isHoldfastError(error) && types.includes(error.type);
}

function noGoodCopy(passedOver: readonly PassedOver[], last: HoldfastError | undefined): HoldfastError {
  if (last !== undefined && passedOver.length === 1) return last;
  const reasons = passedOver.map(({ backend, reason }) => `${backend}: ${reason}`);
  return new HoldfastError(
    last?.type ?? 'ObjectMissing',
    reasons.length === 0 ? 'There is no copy to restore from' : `No copy can be used: ${reasons.join('; ')}`,
    { advice: 'Choose another backup with `holdfast list`.', ...(last && { cause: last }) },
  );
}
