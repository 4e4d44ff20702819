import { Client } from '@temporalio/client';
import type { NativeConnection } from '@temporalio/worker';
import type { Dependencies } from '../activities/dependencies.ts';
import { liveRunsOf } from '../activities/support/liveRuns.ts';
import { loggedTo } from '../activities/sweep.ts';
import { messageOf } from '../core/errors.ts';
import { sweepSpool } from '../core/sweep/sweepSpool.ts';

export interface OwnSpool extends Pick<Dependencies, 'configuration' | 'spool' | 'log'> {
  readonly connection: NativeConnection;
  readonly namespace: string;
  readonly signal: AbortSignal;
}

/**
 * What runs that died with an earlier worker left in this host's spool. The periodic sweep reaches one host only, the one
 * that takes it; every host has a start. Never rejects: a worker is needed more than a tidy spool.
 */
export async function sweepOwnSpool({
  configuration,
  spool,
  log,
  connection,
  namespace,
  signal,
}: OwnSpool): Promise<void> {
  const client = new Client({ connection, namespace });
  const liveRuns = () => liveRunsOf(client, configuration.temporal.taskQueue);
  const rules = { minimumAge: configuration.maintenance.sweepAfter, dryRun: false, listed: 0 };
  const logged = loggedTo(log.child({ spool: spool.path }), rules);
  try {
    await sweepSpool({ ...rules, ...logged, spool, liveRuns, now: new Date(), signal });
  } catch (error) {
    if (!signal.aborted) log.warn({ reason: messageOf(error) }, 'the spool could not be swept');
  }
}
