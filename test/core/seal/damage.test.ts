import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { promisify } from 'node:util';
import { constants, gzip, zstdCompress } from 'node:zlib';
import type { SealContext } from '../../../core/seal/context.ts';
import { encrypt } from '../../../core/seal/encrypt.ts';
import { isHoldfastError, type HoldfastError } from '../../../core/errors.ts';
import type { OpeningKey } from '../../../core/seal/keys.ts';
import { unseal } from '../../../core/seal/unseal.ts';
import { chunked, CONTEXT, gather, newAesKey, newRsaKey, openBytes, sealBytes, seededRandom } from './sealing.ts';

const SEED = 20261120;
const MIB = 2 ** 20;

/** Opening must fail with an error that says what is wrong, and must never hand out all the bytes as good. */
async function refusal(
  ciphertext: Uint8Array,
  keys: readonly OpeningKey[],
  options: Parameters<typeof openBytes>[2] = {},
): Promise<HoldfastError> {
  try {
    await openBytes(ciphertext, keys, options);
  } catch (error) {
    assert.ok(isHoldfastError(error), `expected a HoldfastError, got ${String(error)}`);
    return error;
  }
  throw new assert.AssertionError({ message: 'it opened' });
}

/** Seals bytes that are already compressed, as a writer with other habits might have. */
async function sealCompressed(key: ReturnType<typeof newAesKey>, compressed: Buffer): Promise<Buffer> {
  return gather(encrypt(chunked(compressed) as AsyncIterable<Buffer>, [key], CONTEXT));
}

const zstdFrame = (bytes: Uint8Array) =>
  promisify(zstdCompress)(bytes, { params: { [constants.ZSTD_c_checksumFlag]: 1 } });

describe('[16] damage to a sealed part', () => {
  it('a flipped bit is found wherever it is: header, body and footer', async () => {
    const key = newAesKey();
    const rsa = newRsaKey();
    const ciphertext = await sealBytes(randomBytes(40_000), { recipients: [key, rsa.sealing] });
    const random = seededRandom(SEED);
    const anywhere = Array.from({ length: 200 }, () => Math.floor(random() * ciphertext.length));
    const header = Array.from({ length: 900 }, (_, position) => position);
    const footer = Array.from({ length: 60 }, (_, position) => ciphertext.length - 1 - position);
    for (const position of [...header, ...anywhere, ...footer]) {
      const flipped = Buffer.from(ciphertext);
      flipped[position] = (flipped[position] ?? 0) ^ (1 << Math.floor(random() * 8));
      const { type } = await refusal(flipped, [key]).catch((error: unknown) => {
        throw new Error(`a flipped bit at byte ${position} passed (seed ${SEED})`, { cause: error });
      });
      // Where the flip is in the name of the key itself, no key of that name is at hand.
      assert.ok(type === 'ObjectDamaged' || (type === 'KeyMissing' && position < 1000), `${type} at ${position}`);
    }
  });

  it('a flipped bit in a part of several encryption and compression frames is found', async () => {
    const key = newAesKey();
    const ciphertext = await sealBytes(randomBytes(9 * MIB), { recipients: [key] });
    const random = seededRandom(SEED);
    for (let round = 0; round < 8; round++) {
      const position = Math.floor(random() * ciphertext.length);
      const flipped = Buffer.from(ciphertext);
      flipped[position] = (flipped[position] ?? 0) ^ 1;
      assert.equal((await refusal(flipped, [key])).type, 'ObjectDamaged');
    }
  });

  it('a cut is found at every length', async () => {
    const key = newAesKey();
    const ciphertext = await sealBytes(randomBytes(3000), { recipients: [key] });
    const random = seededRandom(SEED);
    const lengths = [
      0,
      1,
      100,
      ciphertext.length - 1,
      ...Array.from({ length: 60 }, () => random() * ciphertext.length),
    ];
    for (const length of lengths) {
      assert.equal((await refusal(ciphertext.subarray(0, Math.floor(length)), [key])).type, 'ObjectDamaged');
    }
  });

  it('a cut at the border of two encryption frames is found', async () => {
    const key = newAesKey();
    const ciphertext = await sealBytes(randomBytes(3 * MIB), { recipients: [key] });
    // The last frame holds what is over 3 MiB: behind its header of 24 bytes, and a tag of 16 after it.
    for (const over of [0, 1, 16, 40]) {
      const cut = ciphertext.subarray(0, ciphertext.length - over - 1);
      assert.match((await refusal(cut, [key])).message, /ends within frame/);
    }
  });

  it('bytes added behind it are found', async () => {
    const key = newAesKey();
    const ciphertext = await sealBytes(randomBytes(3000), { recipients: [key] });
    for (const addition of [Buffer.alloc(1), randomBytes(100), ciphertext]) {
      const error = await refusal(Buffer.concat([ciphertext, addition]), [key]);
      assert.match(error.message, /bytes follow its final frame/);
    }
  });

  it('two encryption frames in each other’s place are found', async () => {
    const key = newAesKey();
    const ciphertext = await sealBytes(randomBytes(4 * MIB), { recipients: [key] });
    const frame = 4 + 12 + MIB + 16;
    const header = ciphertext.length - 4 * frame - tailLength(ciphertext, frame);
    const swapped = Buffer.from(ciphertext);
    ciphertext.copy(swapped, header, header + frame, header + 2 * frame);
    ciphertext.copy(swapped, header + frame, header, header + frame);
    assert.match((await refusal(swapped, [key])).message, /frame 2 stands where frame 1 belongs/);
  });

  for (const [what, other] of [
    ['another part of the same backup', { part: 'schema' }],
    ['the same part of another backup', { backup: '20261121T020000Z-aaaaaa' }],
    ['the same part of another source', { source: 'blog' }],
  ] as const) {
    it(`[24] ${what} in its place is found, though it is whole`, async () => {
      const key = newAesKey();
      const context: SealContext = { ...CONTEXT, ...other };
      const ciphertext = await sealBytes(randomBytes(3000), { recipients: [key], context });
      const error = await refusal(ciphertext, [key]);
      assert.equal(error.type, 'ObjectDamaged');
      assert.match(error.message, new RegExp(`sealed as something else.*${Object.values(other)[0]}`));
    });
  }
});

describe('damage inside the seal', () => {
  it('a message without its last compression frame does not open as a shorter one', async () => {
    const key = newAesKey();
    const [first, second] = [await zstdFrame(randomBytes(5000)), await zstdFrame(randomBytes(5000))];
    const whole = await sealCompressed(key, Buffer.concat([first, second]));
    assert.equal((await openBytes(whole, [key], { originalBytes: 10_000 })).length, 10_000);
    const shorter = await sealCompressed(key, first);
    assert.match((await refusal(shorter, [key], { originalBytes: 10_000 })).message, /5000 bytes where 10000/);
    const cut = await sealCompressed(key, Buffer.concat([first, second.subarray(0, -1)]));
    assert.equal((await refusal(cut, [key])).type, 'ObjectDamaged');
  });

  for (const type of ['zstd', 'gzip'] as const) {
    for (const [what, garbage] of [
      ['text', Buffer.from('garbage')],
      ['zeros', Buffer.alloc(100)],
      ['the beginning of a frame', Buffer.from([0x28, 0xb5, 0x2f])],
    ] as const) {
      it(`${what} behind the last ${type} frame is refused`, async () => {
        const key = newAesKey();
        const good = type === 'zstd' ? await zstdFrame(randomBytes(5000)) : await promisify(gzip)(randomBytes(5000));
        const ciphertext = await sealCompressed(key, Buffer.concat([good, garbage]));
        assert.equal((await refusal(ciphertext, [key], { compression: type })).type, 'ObjectDamaged');
      });
    }

    it(`an empty ${type} stream is refused: even nothing is one frame`, async () => {
      const key = newAesKey();
      const ciphertext = await sealCompressed(key, Buffer.alloc(0));
      assert.equal((await refusal(ciphertext, [key], { compression: type })).type, 'ObjectDamaged');
    });

    it(`a ${type} bomb stops at the size in the manifest`, async () => {
      const key = newAesKey();
      const zeros = Buffer.alloc(7 * MIB);
      const one = type === 'zstd' ? await zstdFrame(zeros) : await promisify(gzip)(zeros);
      const ciphertext = await sealCompressed(key, Buffer.concat(Array.from({ length: 40 }, () => one)));
      const opened = unseal(chunked(ciphertext), {
        compression: type,
        keys: [key],
        context: CONTEXT,
        originalBytes: 1000,
      });
      await assert.rejects(gather(opened.plaintext), /more than the 1000 bytes/);
      assert.ok(opened.totals().originalBytes <= 8 * MIB, 'it stops at the first frame that is too much');
    });
  }

  it('a zstd frame larger than the format allows is refused, whatever size it claims', async () => {
    const key = newAesKey();
    const zeros = Buffer.alloc(64 * MIB);
    const honest = await promisify(zstdCompress)(zeros, {
      pledgedSrcSize: zeros.length,
      params: { [constants.ZSTD_c_checksumFlag]: 1 },
    });
    const silent = await zstdFrame(zeros);
    for (const bomb of [honest, silent]) {
      assert.equal((await refusal(await sealCompressed(key, bomb), [key])).type, 'ObjectDamaged');
    }
  });

  it('a zstd frame without a checksum is refused', async () => {
    const key = newAesKey();
    const frame = await promisify(zstdCompress)(randomBytes(100));
    const error = await refusal(await sealCompressed(key, frame), [key]);
    assert.equal(error.type, 'ObjectDamaged');
    assert.match(error.message, /no checksum/);
  });
});

describe('[23] a wrong key', () => {
  it('is told apart from damage: the error names the keys that fit and those at hand', async () => {
    const [ops, escrow, mine] = [newAesKey(), newRsaKey(), newAesKey()];
    const ciphertext = await sealBytes(randomBytes(100), { recipients: [ops, escrow.sealing] });
    const error = await refusal(ciphertext, [mine]);
    assert.equal(error.type, 'KeyMissing');
    for (const id of [ops.id, escrow.opening.id, mine.id]) assert.match(error.message, new RegExp(id));
    assert.match((await refusal(ciphertext, [])).message, /none is at hand/);
  });

  it('does no harm beside the right one: the escrow key opens what the lost key did too', async () => {
    const [ops, escrow, other] = [newAesKey(), newRsaKey(), newAesKey()];
    const original = randomBytes(100);
    const ciphertext = await sealBytes(original, { recipients: [ops, escrow.sealing] });
    assert.ok((await openBytes(ciphertext, [other, escrow.opening])).equals(original));
  });
});

/** Bytes of the final frame of a message whose regular frames have `frame` bytes each. */
function tailLength(ciphertext: Buffer, frame: number): number {
  for (let offset = ciphertext.length - 40; offset > ciphertext.length - frame - 40; offset--) {
    if (ciphertext.readUInt32BE(offset) === 0xffffffff && ciphertext.readUInt32BE(offset + 4) === 5) {
      return ciphertext.length - offset;
    }
  }
  throw new Error('no final frame');
}
