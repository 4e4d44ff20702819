/** What the bytes of a part are before compression; decides its file extension and how it is opened. */
export type PartFormat = 'pg_dump-custom' | 'sql' | 'tar' | 'json';

export const PART_EXTENSIONS: Readonly<Record<PartFormat, string>> = {
  'pg_dump-custom': 'dump',
  sql: 'sql',
  tar: 'tar',
  json: 'json',
};

/**
 * Something that can be read once into a backup: a dump, an archive, an inventory.
 * `lane` says when it may run: parts of the lane `dump` share the plan's `jobs`, those of `beside` run next to them.
 */
export interface PartSource {
  /** `database`, `schema`, `globals`, `inventory`, `rows-1`.., or the name of a file tree. */
  readonly part: string;
  readonly format: PartFormat;
  readonly lane: 'dump' | 'beside';
  /** Starts reading. Stops every process it started when `signal` aborts. */
  open(signal: AbortSignal): PartStream;
}

/** One plaintext stream on its way into the seal. */
export interface PartStream {
  /** Read it once. A chunk is good until the next one is asked for: who keeps it longer copies it. */
  readonly plaintext: AsyncIterable<Uint8Array>;
  /**
   * Resolves when every process behind the stream ended well and every byte they wrote was handed out; rejects
   * otherwise. Only this decides whether the part is good: the end of the stream alone proves nothing.
   */
  readonly finished: Promise<PartFacts>;
}

/** What only the producer of a part knows about it. */
export interface PartFacts {
  /** Present for file trees. */
  readonly tree?: TreeReport;
}

/** What an archive holds, and what it could not hold as it was. Lists are cut at a fixed length; counts are exact. */
export interface TreeReport {
  readonly files: number;
  readonly directories: number;
  readonly links: number;
  /** Apparent size of the regular files in bytes. */
  readonly bytes: number;
  readonly changed: PathList;
  readonly vanished: PathList;
  readonly unreadable: PathList;
  /** Sockets, devices and others that an archive does not keep. */
  readonly skipped: PathList;
  /** Symbolic links that lead out of the tree. They are in the archive; a restore leaves them out unless it is asked for them. */
  readonly outsideLinks: PathList;
  /** FIFOs and devices; the same. */
  readonly specialFiles: PathList;
}

export interface PathList {
  readonly count: number;
  readonly paths: readonly string[];
}
