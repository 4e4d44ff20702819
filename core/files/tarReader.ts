/**
 * Reads the headers of a tar stream as it passes and leaves the data alone, so that what an archive REALLY holds can be
 * counted, and judged, at the price of one look per 512-byte header. Libraries (node-tar's Parser, tar-stream) hand out
 * every byte of data as a stream of its own, which costs several times as much as the rest of the pipeline.
 *
 * Understood is what Holdfast writes: the POSIX.1-2001 pax interchange format (IEEE Std 1003.1, `pax`, "ustar
 * Interchange Format" and "pax Header Block"), with GNU tar's sparse format 1.0 inside it (GNU tar manual, "Storing
 * Sparse Files", PAX Format version 1.0). Anything else is called damage: a reader that guesses can be made to see
 * other names than the program that extracts.
 */

export type EntryKind = 'file' | 'directory' | 'symlink' | 'hardlink' | 'fifo' | 'device';

export interface TarEntry {
  readonly kind: EntryKind;
  /** One character a byte (latin1): names need not be valid UTF-8. */
  readonly path: string;
  /** Target of a symlink or hardlink, one character a byte; empty otherwise. */
  readonly linkPath: string;
  /** What reading the file gives, in bytes; a sparse file's holes count. */
  readonly bytes: number;
  readonly sparse: boolean;
  /** Permission bits with set-user-id, set-group-id and sticky. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** When its contents were changed last, in milliseconds since 1970 with fractions. */
  readonly modified: number;
  /**
   * Only where they are asked for, and there are any: extended attributes and ACLs by the keywords that GNU tar gives them,
   * `SCHILY.xattr.<name>` and `SCHILY.acl.access` or `.default`; names and values one character a byte.
   */
  readonly attributes?: ReadonlyMap<string, string>;
}

export interface TarReaderOptions {
  /** Says of each entry whether it is handed on. May throw to stop everything before the entry is handed on. */
  readonly onEntry: (entry: TarEntry) => 'keep' | 'drop';
  /** Gets every byte of the entries kept, headers before data, and the archive's end. */
  readonly forward?: (bytes: Buffer) => void;
  /** Gets the stored data of the entry kept last, piece by piece; good until it returns. A sparse file's begins with its map. */
  readonly onData?: (bytes: Buffer) => void;
  /** Entries tell their extended attributes and ACLs, which can be large. */
  readonly attributes?: boolean;
  /** Makes the error that is thrown when the stream is no whole archive. */
  readonly damaged: (what: string) => Error;
}

export interface TarReader {
  push(chunk: Buffer): void;
  /** To be called after the last byte; throws when the archive is cut short. */
  end(): void;
}

const BLOCK = 512;
/** The values of a file's extended attributes stand in its pax header; Linux allows 64 KiB for each. */
const MAXIMUM_PAX_BYTES = 16 * 2 ** 20;
const KINDS: Readonly<Record<string, EntryKind>> = {
  '\0': 'file',
  '0': 'file',
  '1': 'hardlink',
  '2': 'symlink',
  '3': 'device',
  '4': 'device',
  '5': 'directory',
  '6': 'fifo',
};

type State = 'header' | 'pax' | 'data' | 'end';

export function createTarReader(options: TarReaderOptions): TarReader {
  const { forward, onData, damaged } = options;
  const block = Buffer.alloc(BLOCK);
  let blockFilled = 0;
  let state: State = 'header';
  let remaining = 0;
  /** Of `remaining`, what fills the last block up. */
  let padding = 0;
  let forwarding = true;
  /** The blocks of a pax header wait until the entry they describe has been judged. */
  let pending: Buffer[] = [];
  let paxBody: Buffer[] = [];
  let paxBytes = 0;
  let pax: Map<string, string> | undefined;

  const takeHeader = (header: Buffer) => {
    if (isZero(header)) {
      if (pax) throw damaged('an extended header without its entry');
      state = 'end';
      forward?.(Buffer.from(header));
      return;
    }
    assertHeader(header, damaged);
    const type = String.fromCharCode(header[156] ?? 0);
    const size = readNumber(header, 124, 12, damaged);
    if (type === 'x') {
      if (pax || size === 0 || size > MAXIMUM_PAX_BYTES) throw damaged('a misplaced or oversized extended header');
      paxBytes = size;
      remaining = padded(size);
      state = 'pax';
      if (forward) pending.push(Buffer.from(header));
      return;
    }
    const { entry, storedBytes } = describe(header, type, size, pax ?? new Map(), damaged);
    pax = undefined;
    forwarding = options.onEntry(entry) === 'keep';
    if (forward && forwarding) for (const bytes of [...pending, Buffer.from(header)]) forward(bytes);
    pending = [];
    remaining = padded(storedBytes);
    padding = remaining - storedBytes;
    if (remaining > 0) state = 'data';
  };

  const takePax = (bytes: Buffer) => {
    // Copied: the chunk's memory may be reused by the one who pushed it.
    const copy = Buffer.from(bytes);
    paxBody.push(copy);
    if (forward) pending.push(copy);
    remaining -= bytes.length;
    if (remaining > 0) return;
    pax = parsePax(Buffer.concat(paxBody).subarray(0, paxBytes), options.attributes === true, damaged);
    paxBody = [];
    state = 'header';
  };

  const push = (chunk: Buffer) => {
    let offset = 0;
    while (offset < chunk.length) {
      if (state === 'header') {
        const taken = Math.min(BLOCK - blockFilled, chunk.length - offset);
        if (taken === BLOCK) {
          takeHeader(chunk.subarray(offset, offset + BLOCK));
        } else {
          chunk.copy(block, blockFilled, offset, offset + taken);
          blockFilled += taken;
          if (blockFilled === BLOCK) {
            blockFilled = 0;
            takeHeader(block);
          }
        }
        offset += taken;
      } else if (state === 'end') {
        const rest = chunk.subarray(offset);
        if (!isZero(rest)) throw damaged('bytes after the end of the archive');
        forward?.(rest);
        offset = chunk.length;
      } else {
        const taken = Math.min(remaining, chunk.length - offset);
        const bytes = chunk.subarray(offset, offset + taken);
        offset += taken;
        if (state === 'pax') {
          takePax(bytes);
        } else {
          if (forwarding) forward?.(bytes);
          if (forwarding && remaining > padding) onData?.(bytes.subarray(0, remaining - padding));
          remaining -= taken;
          if (remaining === 0) state = 'header';
        }
      }
    }
  };

  return {
    push,
    end: () => {
      if (state !== 'end') throw damaged('the archive is cut short');
    },
  };
}

function describe(
  header: Buffer,
  type: string,
  size: number,
  pax: ReadonlyMap<string, string>,
  damaged: (what: string) => Error,
): { entry: TarEntry; storedBytes: number } {
  const kind = KINDS[type];
  if (!kind) throw damaged(`an entry of unknown type ${JSON.stringify(type)}`);
  const storedBytes = paxNumber(pax, 'size', damaged) ?? size;
  if (kind !== 'file' && storedBytes !== 0) throw damaged(`a ${kind} with data`);

  const sparse = [...pax.keys()].some((key) => key.startsWith('GNU.sparse.'));
  const realSize = paxNumber(pax, 'GNU.sparse.realsize', damaged);
  const sparseFormat = `${pax.get('GNU.sparse.major')}.${pax.get('GNU.sparse.minor')}`;
  if (sparse && (kind !== 'file' || sparseFormat !== '1.0' || realSize === undefined || !pax.has('GNU.sparse.name')))
    throw damaged('a sparse file in an unknown format');

  const prefix = readText(header, 345, 155);
  const plainPath = readText(header, 0, 100);
  const path = pax.get('GNU.sparse.name') ?? pax.get('path') ?? (prefix === '' ? plainPath : `${prefix}/${plainPath}`);
  if (path === '') throw damaged('an entry without a name');
  const attributes = new Map([...pax].filter(([keyword]) => keyword.startsWith('SCHILY.')));
  const linkPath = kind === 'symlink' || kind === 'hardlink' ? (pax.get('linkpath') ?? readText(header, 157, 100)) : '';
  return {
    entry: {
      kind,
      path,
      linkPath,
      sparse,
      bytes: kind === 'file' ? (realSize ?? storedBytes) : 0,
      mode: readNumber(header, 100, 8, damaged) & 0o7777,
      uid: paxNumber(pax, 'uid', damaged) ?? readNumber(header, 108, 8, damaged),
      gid: paxNumber(pax, 'gid', damaged) ?? readNumber(header, 116, 8, damaged),
      modified: paxTime(pax, damaged) ?? readSeconds(header, damaged) * 1000,
      ...(attributes.size > 0 && { attributes }),
    },
    storedBytes,
  };
}

function assertHeader(header: Buffer, damaged: (what: string) => Error): void {
  if (header.toString('latin1', 257, 263) !== 'ustar\0') throw damaged('a header that is not of the POSIX format');
  // The checksum field itself counts as eight spaces (POSIX, ustar, field chksum).
  let sum = 8 * 0x20;
  for (let index = 0; index < BLOCK; index++) if (index < 148 || index >= 156) sum += header[index] ?? 0;
  if (sum !== readNumber(header, 148, 8, damaged)) throw damaged('a header with a wrong checksum');
}

/** Octal text, or GNU's base-256 for what is too large for it. */
function readNumber(header: Buffer, start: number, length: number, damaged: (what: string) => Error): number {
  const first = header[start] ?? 0;
  if ((first & 0x80) !== 0) {
    if (first !== 0x80) throw damaged('a negative number in a header');
    let value = 0;
    for (let index = start + 1; index < start + length; index++) value = value * 256 + (header[index] ?? 0);
    if (!Number.isSafeInteger(value)) throw damaged('a number in a header that is too large');
    return value;
  }
  const text = readText(header, start, length).trim();
  if (!/^[0-7]*$/.test(text)) throw damaged('a number in a header that is none');
  return text === '' ? 0 : Number.parseInt(text, 8);
}

/** Seconds since 1970. Times before that are written in two's complement, in base 256. */
function readSeconds(header: Buffer, damaged: (what: string) => Error): number {
  if (header[136] !== 0xff) return readNumber(header, 136, 12, damaged);
  return Number(BigInt.asIntN(96, BigInt(`0x${header.toString('hex', 136, 148)}`)));
}

function readText(header: Buffer, start: number, length: number): string {
  const end = header.indexOf(0, start);
  return header.toString('latin1', start, end === -1 || end > start + length ? start + length : end);
}

/** Records of the form `<length> <keyword>=<value>\n`, the length in bytes counting the whole record. */
function parsePax(body: Buffer, withAttributes: boolean, damaged: (what: string) => Error): Map<string, string> {
  const records = new Map<string, string>();
  let offset = 0;
  while (offset < body.length) {
    const space = body.indexOf(0x20, offset);
    const digits = space === -1 ? '' : body.toString('latin1', offset, space);
    const length = /^[1-9]\d{0,8}$/.test(digits) ? Number(digits) : 0;
    const equals = body.indexOf(0x3d, space);
    const end = offset + length;
    if (length === 0 || end > body.length || equals === -1 || equals >= end || body[end - 1] !== 0x0a)
      throw damaged('an extended header that cannot be read');
    const keyword = body.toString('latin1', space + 1, equals);
    // Only the values that are asked for are kept; extended attributes can be large.
    const value = () => body.toString('latin1', equals + 1, end - 1);
    if (withAttributes && /^SCHILY\.(xattr\.|acl\.(access|default)$)/.test(keyword)) records.set(keyword, value());
    if (/^(path|linkpath|size|uid|gid|mtime|GNU\.sparse\..*)$/.test(keyword)) {
      const text = value();
      if (text.includes('\0')) throw damaged('a zero byte in a name');
      records.set(keyword, text);
    }
    offset = end;
  }
  return records;
}

function paxNumber(
  pax: ReadonlyMap<string, string>,
  keyword: string,
  damaged: (what: string) => Error,
): number | undefined {
  const text = pax.get(keyword);
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) throw damaged(`an extended header with a wrong ${keyword}`);
  return value;
}

function paxTime(pax: ReadonlyMap<string, string>, damaged: (what: string) => Error): number | undefined {
  const text = pax.get('mtime');
  if (text === undefined) return undefined;
  if (!/^-?\d{1,15}(\.\d*)?$/.test(text)) throw damaged('an extended header with a wrong mtime');
  return Number(text) * 1000;
}

function padded(bytes: number): number {
  return Math.ceil(bytes / BLOCK) * BLOCK;
}

const ZEROS = Buffer.alloc(64 * 1024);

function isZero(bytes: Buffer): boolean {
  for (let offset = 0; offset < bytes.length; offset += ZEROS.length) {
    const piece = bytes.subarray(offset, offset + ZEROS.length);
    if (!piece.equals(ZEROS.subarray(0, piece.length))) return false;
  }
  return true;
}
