import type { PassedOver, RestoreCopy } from '../../core/restore/run.ts';
import type { OwnDirectory } from '../../core/restore/trees/trees.ts';
import type { CheckingKey, OpeningKey } from '../../core/seal/keys.ts';

/** What a recovery works with. */
export interface RecoveryMeans {
  /** The storages that were named, in the order in which they are tried. */
  readonly copies: readonly RestoreCopy[];
  /** Undefined: signatures are not checked. */
  readonly checkingKeys: readonly CheckingKey[] | undefined;
  readonly openingKeys: readonly OpeningKey[];
  /** Where copies lie, if that is on this machine: nothing is restored into there. */
  readonly ownDirectories: readonly OwnDirectory[];
  /** Names of the environment variables that there are. */
  readonly environment: readonly string[];
  readonly signal: AbortSignal;
  /** What is being done now, and how far it is. */
  readonly onProgress: (phase: string, bytes: number, totalBytes: number) => void;
  readonly warn: (text: string) => void;
  /** Told of every copy that could not be used, once for every reason. */
  readonly passOver: (passedOver: readonly PassedOver[]) => void;
}
