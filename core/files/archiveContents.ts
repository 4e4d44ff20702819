import { createHash, type Hash } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import { archiveDamaged } from './listArchive.ts';
import { createTarReader, type TarEntry } from './tarReader.ts';

/** An entry of an archive, with what is in it. */
export interface ArchiveContent {
  readonly entry: TarEntry;
  /** SHA-256 of what reading the file gives, lower-case hex; empty for what is no file. */
  readonly sha256: string;
}

/**
 * Reads a whole archive and gives the entries that `wants` keeps, in its order, each with the hash of its contents and with
 * its attributes. Throws ObjectDamaged for what is no whole archive, and what `wants` and the stream throw.
 */
export async function* archiveContents(
  stream: AsyncIterable<Buffer>,
  wants: (entry: TarEntry) => 'keep' | 'drop',
): AsyncGenerator<ArchiveContent, void> {
  /** What the reader has found in the chunk at hand. */
  let found: (TarEntry | Buffer)[] = [];
  const reader = createTarReader({
    onEntry: (entry) => {
      const verdict = wants(entry);
      if (verdict === 'keep') found.push(entry);
      return verdict;
    },
    onData: (bytes) => found.push(bytes),
    attributes: true,
    damaged: archiveDamaged,
  });
  let open: OpenEntry | undefined;
  for await (const chunk of stream) {
    reader.push(chunk);
    for (const each of found) {
      if (Buffer.isBuffer(each)) {
        await open?.add(each);
        continue;
      }
      if (open) yield await open.close();
      open = openEntry(each);
    }
    found = [];
  }
  reader.end();
  if (open) yield await open.close();
}

interface OpenEntry {
  add(bytes: Buffer): Promise<void>;
  close(): Promise<ArchiveContent>;
}

function openEntry(entry: TarEntry): OpenEntry {
  const hash = createHash('sha256');
  if (entry.sparse) return openSparse(entry, hash);
  return {
    add: async (bytes) => void hash.update(bytes),
    close: async () => ({ entry, sha256: entry.kind === 'file' ? hash.digest('hex') : '' }),
  };
}

const BLOCK = 512;
const LONGEST_NUMBER = 20;

/**
 * GNU tar's sparse format 1.0: numbers in lines of their own (how many pieces, then offset and length of each), filled up
 * to whole blocks, then the pieces one after the other. Where there is no piece there are zeros.
 */
function openSparse(entry: TarEntry, hash: Hash): OpenEntry {
  const numbers: number[] = [];
  let digits = '';
  let mapBytes = 0;
  let position = 0;
  let piece = 0;
  const mapIsRead = () => numbers.length > 0 && numbers.length === 1 + 2 * (numbers[0] ?? 0);
  const offsetOf = (index: number) => numbers[1 + 2 * index] ?? entry.bytes;
  const lengthOf = (index: number) => numbers[2 + 2 * index] ?? 0;

  const readMap = (bytes: Buffer): Buffer => {
    let at = 0;
    for (; at < bytes.length && !mapIsRead(); at += 1) {
      const character = String.fromCharCode(bytes[at] ?? 0);
      if (character !== '\n') digits += character;
      if (digits.length > LONGEST_NUMBER) throw archiveDamaged('the map of a sparse file that cannot be read');
      if (character !== '\n') continue;
      if (!/^\d+$/.test(digits)) throw archiveDamaged('the map of a sparse file that cannot be read');
      numbers.push(Number(digits));
      digits = '';
    }
    mapBytes += at;
    return bytes.subarray(at);
  };
  /** How many bytes the map's last block has left. */
  const padding = () => (mapIsRead() ? (BLOCK - (mapBytes % BLOCK)) % BLOCK : 0);

  const holeUntil = async (offset: number) => {
    if (offset < position || offset > entry.bytes) throw archiveDamaged('a sparse file whose pieces overlap');
    await hashZeros(hash, offset - position);
    position = offset;
  };

  return {
    add: async (bytes) => {
      let rest = mapIsRead() ? bytes : readMap(bytes);
      const filling = Math.min(padding(), rest.length);
      mapBytes += filling;
      rest = rest.subarray(filling);
      while (rest.length > 0 && piece < (numbers[0] ?? 0)) {
        const [offset, length] = [offsetOf(piece), lengthOf(piece)];
        if (offset + length < position) throw archiveDamaged('a sparse file whose pieces overlap');
        if (position < offset) await holeUntil(offset);
        const taken = rest.subarray(0, offset + length - position);
        hash.update(taken);
        position += taken.length;
        rest = rest.subarray(taken.length);
        if (position >= offset + length) piece += 1;
      }
    },
    close: async () => {
      await holeUntil(entry.bytes);
      return { entry, sha256: hash.digest('hex') };
    },
  };
}

const ZEROS = Buffer.alloc(2 ** 20);
/** Others on this thread must not wait for a hole of terabytes. */
const ZEROS_AT_ONCE = 16;

async function hashZeros(hash: Hash, bytes: number): Promise<void> {
  let left = bytes;
  for (let count = 1; left > 0; count += 1) {
    const taken = Math.min(left, ZEROS.length);
    hash.update(ZEROS.subarray(0, taken));
    left -= taken;
    if (count % ZEROS_AT_ONCE === 0) await turn();
  }
}
