import type { MessagePort } from 'node:worker_threads';
import type { Manifest, ManifestPart } from '../repository/manifest.ts';
import type { OpeningKey } from '../seal/keys.ts';
import type { SealOptions } from '../seal/seal.ts';
import type { ChannelEnd } from './chunkChannel.ts';
import type { PackedError } from './packedError.ts';

/** What a work thread is asked to do. Everything in it passes through structured clone; keys are key objects. */
export type Task = SealTask | OpenTask;

/** Compress and encrypt: plaintext comes in, ciphertext goes out, and the conclusion of `output` is its SealTotals. */
export interface SealTask {
  readonly task: 'seal';
  readonly options: Omit<SealOptions, 'signal'>;
  readonly input: ChannelEnd;
  readonly output: ChannelEnd;
}

/** Decrypt, decompress and read to the end, in its own format, the part whose ciphertext comes in. */
export interface OpenTask {
  readonly task: 'open';
  readonly manifest: Manifest;
  readonly part: ManifestPart;
  readonly openingKeys: readonly OpeningKey[];
  readonly pgRestore: string | undefined;
  readonly input: ChannelEnd;
  /** Takes an OpenVerdict; closed by who asked when he no longer wants to know. */
  readonly reply: MessagePort;
}

export interface OpenVerdict {
  readonly failure?: PackedError;
}
