import { once } from 'node:events';
import { buildEncrypt } from '@aws-crypto/encrypt-node';
import {
  AlgorithmSuiteIdentifier,
  CommitmentPolicy,
  NodeDefaultCryptographicMaterialsManager,
} from '@aws-crypto/material-management-node';
import { HoldfastError, messageOf } from '../errors.ts';
import { encryptionContext, type SealContext } from './context.ts';
import { sealingKeyring } from './keyrings.ts';
import type { SealingKey } from './keys.ts';

/** AES-256-GCM, HKDF-SHA512 and key commitment, unsigned: the manifest's signature covers the bytes. */
export const ALGORITHM_SUITE = AlgorithmSuiteIdentifier.ALG_AES256_GCM_IV12_TAG16_HKDF_SHA512_COMMIT_KEY;

/** Compressed bytes in one encryption frame. The library's default of 4 KiB runs at less than half the speed. */
export const ENCRYPTION_FRAME_BYTES = 2 ** 20;

/**
 * Encrypts a stream into one AWS Encryption SDK message under a fresh data key, wrapped for every recipient.
 * Rejects with KeyMissing when the data key cannot be wrapped for one of them.
 */
export async function* encrypt(
  compressed: AsyncIterable<Buffer>,
  recipients: readonly SealingKey[],
  context: SealContext,
): AsyncGenerator<Buffer> {
  const { encryptStream } = buildEncrypt(CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT);
  const materials = new NodeDefaultCryptographicMaterialsManager(await sealingKeyring(recipients));
  const stream = encryptStream(materials, {
    suiteId: ALGORITHM_SUITE,
    frameLength: ENCRYPTION_FRAME_BYTES,
    encryptionContext: encryptionContext(context),
  });

  // The stream is never destroyed and never handed to a pipeline: torn down before its end it throws "Premature close"
  // where nobody can catch it. Left alone it is only memory, and goes with the last reference.
  const ready: Buffer[] = [];
  stream.on('data', (piece: Buffer) => {
    if (piece.length > 0) ready.push(piece);
  });
  const failure = new AbortController();
  stream.on('error', (error) => failure.abort(notSealed(recipients, error)));
  const ended = once(stream, 'end', { signal: failure.signal });
  ended.catch(() => undefined);

  for await (const chunk of compressed) {
    failure.signal.throwIfAborted();
    // After `drain` all of the chunk is encrypted and in `ready`, which so holds no more than one chunk.
    if (!stream.write(chunk)) await drained(stream, failure.signal);
    yield* ready.splice(0);
  }
  stream.end();
  await ended.catch(() => failure.signal.throwIfAborted());
  yield* ready.splice(0);
}

async function drained(stream: NodeJS.EventEmitter, failure: AbortSignal): Promise<void> {
  await once(stream, 'drain', { signal: failure }).catch((error: unknown) => {
    failure.throwIfAborted();
    throw error;
  });
}

function notSealed(recipients: readonly SealingKey[], cause: unknown): HoldfastError {
  return new HoldfastError(
    'KeyMissing',
    `Nothing could be sealed for ${recipients.map((key) => key.id).join(', ')}: ${messageOf(cause)}`,
    {
      advice:
        'For a KMS key check the AWS credentials, the permissions kms:GenerateDataKey and kms:Encrypt, the network.',
      cause,
      retryable: recipients.some((key) => key.type === 'kms'),
    },
  );
}
