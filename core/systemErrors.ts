import { codeOf, HoldfastError, isHoldfastError, type ErrorType } from './errors.ts';

/*
 * What the system refuses to a program, errno(3), comes out of any step that works with files, and is seldom a fault of the
 * program. This is the one place that knows what such a refusal means. Who has a better word, as a storage or the spool
 * has, says it there; all others come to `explained` at the border, in an activity or a command.
 */

interface Meaning {
  readonly reason: string;
  readonly advice: string;
  /** Whether it may pass by itself, or by what others do. Unset: trying again does not help. */
  readonly passes?: true;
}

const ROOM: Meaning = {
  reason: 'no room is left on its file system',
  advice: 'Make room there. Where `df` shows enough, the inodes are used up: `df -i` shows them. Then run it again.',
  passes: true,
};
const PERMISSION: Meaning = {
  reason: 'this user may not do that',
  advice: `Give the user that Holdfast runs as the right to it and to all directories above it, or run Holdfast as a user who has it.`,
};
const DISK: Meaning = {
  reason: 'the disk, or the network mount, fails',
  advice: 'Look into the log of the kernel (dmesg) and check that disk or mount. Then run it again.',
  passes: true,
};
const FILES: Meaning = {
  reason: 'too many files are open',
  advice: 'Raise the limit of open files of this process (ulimit -n, LimitNOFILE=) or of the host (fs.file-max).',
  passes: true,
};
const GONE: Meaning = {
  reason: 'it is not there, or no longer',
  advice: 'See whether somebody has moved or removed it, or unmounted what it lay on. Then run it again.',
  passes: true,
};
const PLACE: Meaning = {
  reason: 'it cannot be done on this file system',
  advice: 'Choose another place for it: mount points and file systems of other kinds do not take everything.',
};

const MEANINGS: Readonly<Record<string, Meaning>> = {
  ENOSPC: ROOM,
  EDQUOT: { ...ROOM, reason: 'the disk quota is used up', advice: 'Free room or raise the quota. Then run it again.' },
  EFBIG: { ...PLACE, reason: 'the file is larger than its file system or a limit (ulimit -f) allows' },
  EACCES: PERMISSION,
  EPERM: PERMISSION,
  EROFS: {
    reason: 'its file system is mounted read-only',
    advice: 'Look into the log of the kernel (dmesg) for why, and mount it writable, or choose another place.',
  },
  EIO: DISK,
  ESTALE: DISK,
  ENODEV: DISK,
  ENXIO: DISK,
  EMFILE: FILES,
  ENFILE: FILES,
  ENOMEM: { reason: 'no memory is left', advice: 'Give this process, or the host, more memory.', passes: true },
  ENAMETOOLONG: {
    reason: 'the path is too long for this system',
    advice:
      'A name may have 255 bytes and a path 4095. Choose a place with a shorter path, or take the archive out as it is: `holdfast extract --as tar`.',
  },
  ELOOP: { reason: 'it is a symbolic link, or behind a loop of them', advice: 'Remove the link, or name its target.' },
  ENOENT: GONE,
  ENOTDIR: GONE,
  EBUSY: { ...PLACE, reason: 'it is in use, or a mount point', passes: true },
  EXDEV: { ...PLACE, reason: 'it lies on another file system' },
  EOPNOTSUPP: PLACE,
  ENOTSUP: PLACE,
};

/** What the calls of the network are named; who makes those says what their failures mean. */
const NETWORK = /^(connect|bind|listen|accept|getaddrinfo|shutdown|send|recv|getname)/;

/** What is to be done about a refusal of the system; undefined for anything else. */
export function systemAdvice(error: unknown): string | undefined {
  return meaningOf(error)?.advice;
}

export interface Explanation {
  /** The file or directory that was worked with, where the error itself names none. */
  readonly where?: string;
  readonly type?: ErrorType;
}

/** A refusal of the system as an error that says what refused, why, and what to do. Everything else as it is. */
export function explained(error: unknown, { where, type = 'HostFailed' }: Explanation = {}): unknown {
  const meaning = meaningOf(error);
  if (meaning === undefined) return error;
  const { syscall, path, dest } = error as NodeJS.ErrnoException & { readonly dest?: string };
  const what = [path ?? where ?? 'A file that the system does not name', dest].filter((each) => each !== undefined);
  const message = `${what.map(String).join(' -> ')}: ${meaning.reason} (${codeOf(error)} at ${syscall})`;
  return new HoldfastError(type, message, {
    advice: meaning.advice,
    cause: error,
    retryable: meaning.passes === true,
  });
}

/** Does something with a file or directory. What the system refuses there is thrown as `explained` gives it. */
export async function explaining<Result>(explanation: Explanation, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    throw explained(error, explanation);
  }
}

function meaningOf(error: unknown): Meaning | undefined {
  if (isHoldfastError(error) || !(error instanceof Error) || !('syscall' in error)) return undefined;
  if (typeof error.syscall !== 'string' || NETWORK.test(error.syscall)) return undefined;
  return MEANINGS[codeOf(error) ?? ''];
}
