import type pg from 'pg';
import { connect, type DatabaseAccess } from './access.ts';

export interface BlockerWatch {
  /** Who was last seen in the way of the watched session, in words; undefined when nobody was. */
  lastSeen(): string | undefined;
  stop(): Promise<void>;
}

const FIRST_LOOK = 100;
const LOOK_INTERVAL = 500;

interface Blocker {
  readonly pid: number;
  readonly application: string | null;
  readonly role: string | null;
  readonly state: string | null;
  readonly query_age: number | null;
  readonly wanted: string | null;
}

/**
 * Looks, from a session of its own, at who keeps backend `pid` waiting for a lock. Who it was can only be asked while
 * the wait lasts. The text of queries is left out: it can hold the application's data.
 */
export function watchBlockers(access: DatabaseAccess, pid: number): BlockerWatch {
  let seen: string | undefined;
  const stopping = new AbortController();
  const looking = (async () => {
    if (!(await pause(FIRST_LOOK, stopping.signal))) return;
    const client = await connect(access, stopping.signal);
    try {
      do seen = (await describeBlockers(client, pid)) ?? seen;
      while (await pause(LOOK_INTERVAL, stopping.signal));
    } finally {
      await client.end();
    }
    // Naming the blocker is a help, never a reason to fail: the wait itself is judged by its own timeout.
  })().catch(() => undefined);
  return {
    lastSeen: () => seen,
    stop: async () => {
      stopping.abort();
      await looking;
    },
  };
}

async function describeBlockers(client: pg.Client, pid: number): Promise<string | undefined> {
  const { rows } = await client.query<Blocker>(
    `select b.pid, nullif(a.application_name, '') as application, a.usename as role, a.state,
            extract(epoch from clock_timestamp() - a.query_start)::int as query_age,
            (select string_agg(l.relation::regclass::text, ', ') from pg_locks l
              where l.pid = $1 and not l.granted and l.locktype = 'relation') as wanted
       from unnest(pg_blocking_pids($1)) as b(pid) left join pg_stat_activity a on a.pid = b.pid
      order by a.query_start limit 3`,
    [pid],
  );
  return rows.length === 0 ? undefined : rows.map(describeBlocker).join('; ');
}

function describeBlocker(blocker: Blocker): string {
  const who = [
    `process ${blocker.pid}`,
    blocker.application === null ? undefined : `application ${blocker.application}`,
    blocker.role === null ? undefined : `role ${blocker.role}`,
    blocker.state ?? undefined,
    blocker.query_age === null ? undefined : `its query is ${blocker.query_age} s old`,
  ];
  return `${blocker.wanted ?? 'a table'} is held by ${who.filter((part) => part !== undefined).join(', ')}`;
}

/**
 * Whether a client program of ours waits behind somebody who waits behind the snapshot's locks. The server sees no
 * deadlock in it, because the snapshot's session waits for nothing; without us it would last until a timeout.
 */
export async function dumpIsStuckBehindSnapshot(
  client: pg.Client,
  snapshotPid: number,
  applicationName: string,
): Promise<boolean> {
  const { rows } = await client.query<{ stuck: boolean }>(
    `select exists (
       select from pg_stat_activity d, unnest(pg_blocking_pids(d.pid)) as waiter(pid)
        where d.application_name = $2 and d.pid <> $1 and d.datname = current_database()
          and $1 = any (pg_blocking_pids(waiter.pid))) as stuck`,
    [snapshotPid, applicationName],
  );
  return rows[0]?.stuck ?? false;
}

/** False when it was cut short. */
function pause(milliseconds: number, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve(false);
    const stop = () => {
      clearTimeout(timer);
      resolve(false);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', stop);
      resolve(true);
    }, milliseconds);
    signal.addEventListener('abort', stop, { once: true });
  });
}
