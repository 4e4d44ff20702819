import {
  getDecryptionHelper,
  NodeAlgorithmSuite,
  NodeDefaultCryptographicMaterialsManager,
  type AlgorithmSuiteIdentifier,
  type EncryptedDataKey,
} from '@aws-crypto/material-management-node';
import { aadFactory, deserializeFactory, type HeaderInfo } from '@aws-crypto/serialize';
import { HoldfastError, isHoldfastError, messageOf } from '../errors.ts';
import { byteReader, type ByteReader } from './byteReader.ts';
import { encryptionContext, type SealContext } from './context.ts';
import { damaged } from './damaged.ts';
import { ALGORITHM_SUITE } from './encrypt.ts';
import { KEY_NAMESPACE, openingKeyring } from './keyrings.ts';
import type { OpeningKey } from './keys.ts';

/** Far above what dozens of recipients need; a header that claims more is not ours. */
const MAXIMUM_HEADER_BYTES = 2 ** 18;
/** The most compressed bytes in one encryption frame that this reader holds in memory. */
const MAXIMUM_ENCRYPTION_FRAME_BYTES = 2 ** 24;
const FINAL_FRAME_MARK = 0xffffffff;
const IV_BYTES = 12;
const TAG_BYTES = 16;

/**
 * Decrypts one AWS Encryption SDK message, frame by frame; no byte is handed out before its frame's tag was checked.
 *
 * Header, data keys, key derivation and commitment are the library's; the frames are walked here, because the
 * library's own stream accepts bytes after the final frame and gathers them without bound.
 * Format: "AWS Encryption SDK message format reference", message format version 2.
 *
 * Rejects with KeyMissing when none of the keys is a recipient, and with ObjectDamaged for everything else.
 */
export async function* decrypt(
  ciphertext: AsyncIterable<Uint8Array>,
  keys: readonly OpeningKey[],
  context: SealContext,
): AsyncGenerator<Buffer> {
  const source = ciphertext[Symbol.asyncIterator]();
  try {
    const reader = byteReader(source);
    const header = await readHeader(reader, context);
    yield* readFrames(reader, header, await openHeader(header, keys, context), context);
    if (!(await reader.atEnd())) throw damaged(context, 'bytes follow its final frame');
  } finally {
    await source.return?.();
  }
}

type OpenFrame = ReturnType<ReturnType<typeof getDecryptionHelper>['getDecipherInfo']>;

async function readHeader(reader: ByteReader, context: SealContext): Promise<HeaderInfo> {
  const { deserializeMessageHeader } = deserializeFactory(textOf, NodeAlgorithmSuite);
  let bytes: Buffer = Buffer.alloc(0);
  for (;;) {
    const more = await reader.readSome(MAXIMUM_HEADER_BYTES);
    if (more === undefined) throw damaged(context, 'it ends within its header');
    // A copy in any case: the chunk it came in is not ours any more when the next one is read.
    bytes = Buffer.concat([bytes, more]);
    const header = attempt(context, 'its header is malformed', () =>
      deserializeMessageHeader(bytes, { maxEncryptedDataKeys: false }),
    );
    if (header !== false) {
      reader.unread(bytes.subarray(header.rawHeader.byteLength + header.headerAuth.headerAuthLength));
      return header;
    }
    if (bytes.length > MAXIMUM_HEADER_BYTES) throw damaged(context, 'its header has no end');
  }
}

/** Checks that the message is what was expected, and unwraps its data key with whichever of the keys fits. */
async function openHeader(
  { messageHeader, rawHeader, headerAuth }: HeaderInfo,
  keys: readonly OpeningKey[],
  context: SealContext,
): Promise<OpenFrame> {
  // A message of a weaker suite could be forged by who was once given a data key.
  if (messageHeader.suiteId !== (ALGORITHM_SUITE as AlgorithmSuiteIdentifier) || !('suiteData' in messageHeader)) {
    throw damaged(context, 'it is not sealed the way Holdfast seals');
  }
  checkContext(messageHeader.encryptionContext, context);
  const { frameLength } = messageHeader;
  if (frameLength < 1 || frameLength > MAXIMUM_ENCRYPTION_FRAME_BYTES) {
    throw damaged(context, `its frames of ${frameLength} bytes are out of bounds`);
  }
  const fitting = keysNamed(messageHeader.encryptedDataKeys, keys, context);

  try {
    const material = await new NodeDefaultCryptographicMaterialsManager(await openingKeyring(fitting)).decryptMaterials(
      {
        suite: new NodeAlgorithmSuite(ALGORITHM_SUITE),
        encryptionContext: messageHeader.encryptionContext,
        encryptedDataKeys: [...messageHeader.encryptedDataKeys],
      },
    );
    const openFrame = getDecryptionHelper(material).getDecipherInfo(messageHeader.messageId, messageHeader.suiteData);
    openFrame(headerAuth.headerIv)
      .setAAD(Buffer.from(rawHeader))
      .setAuthTag(Buffer.from(headerAuth.headerAuthTag))
      .final();
    return openFrame;
  } catch (cause) {
    const kms = fitting.find((key) => key.type === 'kms');
    if (kms !== undefined) throw kmsRefused(kms.id, cause);
    throw damaged(context, 'its header was changed, or its data key does not unwrap', cause);
  }
}

async function* readFrames(
  reader: ByteReader,
  { messageHeader }: HeaderInfo,
  openFrame: OpenFrame,
  context: SealContext,
): AsyncGenerator<Buffer> {
  const { messageAAD, messageAADContentString } = aadFactory((text) => Buffer.from(text, 'utf8'));
  // One for all frames: what is decrypted from it is a copy.
  const room = Buffer.allocUnsafeSlow(messageHeader.frameLength);
  for (let number = 1; ; number++) {
    const frame = await readFrame(reader, room, number, context);
    const kind = messageAADContentString({ contentType: messageHeader.contentType, isFinalFrame: frame.final });
    const aad = messageAAD(messageHeader.messageId, kind, number, frame.content.length);
    const opened = attempt(context, `frame ${number} does not match its tag`, () => {
      const decipher = openFrame(frame.iv).setAAD(Buffer.from(aad)).setAuthTag(frame.tag);
      const plain = decipher.update(frame.content);
      decipher.final();
      return plain;
    });
    if (opened.length > 0) yield opened;
    if (frame.final) return;
  }
}

interface EncryptionFrame {
  readonly final: boolean;
  readonly iv: Buffer;
  readonly content: Buffer;
  readonly tag: Buffer;
}

async function readFrame(
  reader: ByteReader,
  room: Buffer,
  number: number,
  context: SealContext,
): Promise<EncryptionFrame> {
  const read = async (bytes: number) => {
    const result = await reader.read(bytes);
    if (result === undefined) throw endsWithin();
    return result;
  };
  const endsWithin = () => damaged(context, `it ends within frame ${number}`);
  const mark = (await read(4)).readUInt32BE();
  const final = mark === FINAL_FRAME_MARK;
  const sequence = final ? (await read(4)).readUInt32BE() : mark;
  if (sequence !== number) throw damaged(context, `frame ${sequence} stands where frame ${number} belongs`);
  const iv = Buffer.from(await read(IV_BYTES));
  const contentBytes = final ? (await read(4)).readUInt32BE() : room.length;
  if (contentBytes > room.length) throw damaged(context, 'its final frame is too long');
  const content = room.subarray(0, contentBytes);
  if (!(await reader.readInto(content))) throw endsWithin();
  return { final, iv, content, tag: await read(TAG_BYTES) };
}

/** Compared before anything is opened, to say plainly what stands in whose place; the header's tag then proves it. */
function checkContext(found: Readonly<Record<string, string>>, context: SealContext): void {
  const expected = encryptionContext(context);
  const names = new Set([...Object.keys(expected), ...Object.keys(found)]);
  const differences = [...names].filter((name) => found[name] !== expected[name]);
  if (differences.length > 0) {
    const told = differences.map((name) => `${name} is ${JSON.stringify(found[name] ?? 'absent')}`).join(', ');
    throw damaged(context, `it was sealed as something else: ${told}`);
  }
}

/** The keys at hand that the message names as recipients; at least one. */
function keysNamed(
  dataKeys: readonly EncryptedDataKey[],
  keys: readonly OpeningKey[],
  context: SealContext,
): OpeningKey[] {
  const wanted = dataKeys.map((dataKey) => recipientId(dataKey));
  const fitting = keys.filter((key) => wanted.includes(key.id));
  if (fitting.length > 0) return fitting;
  const atHand = keys.length === 0 ? 'none is at hand' : `at hand: ${keys.map((key) => key.id).join(', ')}`;
  throw new HoldfastError(
    'KeyMissing',
    `Part ${context.part} of backup ${context.backup} opens with ${wanted.join(' or ')}; ${atHand}.`,
    { advice: `Give one of these keys: ${wanted.join(', ')}. Any one of them is enough, the escrow key too.` },
  );
}

function kmsRefused(id: string, cause: unknown): HoldfastError {
  return new HoldfastError('KeyMissing', `The KMS key ${id} did not unwrap the data key: ${messageOf(cause)}`, {
    advice: 'Check the AWS credentials, the permission kms:Decrypt and the network; or open with another recipient.',
    cause,
    retryable: true,
  });
}

/** KMS names its key by ARN. */
function recipientId(dataKey: EncryptedDataKey): string {
  return dataKey.providerId === KEY_NAMESPACE ? rawKeyId(dataKey) : dataKey.providerInfo;
}

/** A raw AES key's provider info is its name followed by tag length, IV length and IV; a raw RSA key's is its name. */
function rawKeyId({ rawInfo, providerInfo }: EncryptedDataKey): string {
  return (
    /^(?:aes256|rsa)-[0-9a-f]{16}/.exec(rawInfo === undefined ? providerInfo : textOf(rawInfo))?.[0] ?? providerInfo
  );
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
}

function attempt<T>(context: SealContext, failure: string, action: () => T): T {
  try {
    return action();
  } catch (cause) {
    throw isHoldfastError(cause) ? cause : damaged(context, failure, cause);
  }
}
