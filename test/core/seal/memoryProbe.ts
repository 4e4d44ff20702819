import { randomBytes } from 'node:crypto';
import { seal } from '../../../core/seal/seal.ts';
import { unseal } from '../../../core/seal/unseal.ts';
import { CONTEXT, newAesKey } from './sealing.ts';

/** Seals so many MiB, opens them again, and prints the peak of its resident memory in MiB. Run as a process of its own. */

const mebibytes = Number(process.argv[2]);
const block = randomBytes(65_536);

async function* plaintext(): AsyncGenerator<Buffer> {
  // A fresh buffer each time, as a pipe gives them.
  for (let chunk = 0; chunk < mebibytes * 16; chunk++) yield Buffer.from(block);
}

const key = newAesKey();
const sealed = seal(plaintext(), { compression: { type: 'zstd', level: 1 }, recipients: [key], context: CONTEXT });
const opened = unseal(sealed.ciphertext, { compression: 'zstd', keys: [key], context: CONTEXT });
let bytes = 0;
for await (const chunk of opened.plaintext) bytes += chunk.length;
if (bytes !== mebibytes * 2 ** 20) throw new Error(`${bytes} bytes came back`);
process.stdout.write(String(process.resourceUsage().maxRSS / 1024));
