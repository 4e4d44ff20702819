import { parentPort, type MessagePort } from 'node:worker_threads';
import { openPart } from '../repository/openPart.ts';
import { seal } from '../seal/seal.ts';
import { receiveChunks, sendChunks } from './chunkChannel.ts';
import { packError } from './packedError.ts';
import type { OpenTask, OpenVerdict, SealTask, Task } from './tasks.ts';

/** Where a work thread begins: it does tasks side by side until it is told to end. */
if (parentPort) serve(parentPort);

function serve(port: MessagePort): void {
  port.on('message', (task: Task) => {
    void (task.task === 'seal' ? sealHere(task) : openHere(task));
  });
}

async function sealHere({ options, input, output }: SealTask): Promise<void> {
  const sealed = seal(receiveChunks(input), options);
  // Its failure has been sent to the other side, where somebody waits for it.
  await sendChunks(output, sealed.ciphertext, () => sealed.totals()).catch(() => undefined);
}

async function openHere({ manifest, part, openingKeys, pgRestore, input, reply }: OpenTask): Promise<void> {
  const unwanted = new AbortController();
  reply.once('close', () => unwanted.abort(new Error('nobody waits for the verdict')));
  const ciphertext = receiveChunks(input);
  let verdict: OpenVerdict = {};
  try {
    await openPart(manifest, part, ciphertext, { openingKeys, pgRestore, signal: unwanted.signal });
  } catch (error) {
    verdict = { failure: packError(error) };
  } finally {
    // Whatever was not needed: this tells the sender so.
    await ciphertext.return();
  }
  reply.postMessage(verdict);
}
