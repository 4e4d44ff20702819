import { randomBytes, sign, verify } from 'node:crypto';
import { HoldfastError } from '../errors.ts';
import type { CheckingKey, SigningKey } from './keys.ts';

/**
 * Proves that what `signing` signs is accepted by `checking`, and that a changed text is not. Throws KeyMissing when the
 * two are no pair.
 */
export function proveSigning(signing: SigningKey, checking: CheckingKey): void {
  const text = randomBytes(256);
  const signature = sign(null, text, signing.privateKey);
  const accepted = verify(null, text, checking.publicKey, signature);
  const changed = Buffer.concat([text, Buffer.from([0])]);
  if (accepted && !verify(null, changed, checking.publicKey, signature)) return;
  throw new HoldfastError('KeyMissing', `${checking.id} does not check what ${signing.id} signs: they are no pair`, {
    advice: 'Point privateKey and publicKey at the two halves of one pair.',
  });
}
