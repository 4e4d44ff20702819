import type { Configuration } from '../../core/config/schema.ts';
import { messageOf } from '../../core/errors.ts';
import { failure, ok, warning, type Check } from './finding.ts';

const CONNECT_TIMEOUT = 10_000;

/** Is the server there, does it have the namespace, does a worker listen. */
export function temporalCheck(configuration: Configuration): Check {
  return {
    subject: 'temporal',
    run: async () => {
      const { Connection } = await import('@temporalio/client');
      const { temporalTarget } = await import('../../worker/connection.ts');
      const { namespace, address, options } = await temporalTarget(configuration);
      const { tls, ...rest } = options;
      const settings = { ...rest, ...(tls !== undefined && { tls }), connectTimeout: CONNECT_TIMEOUT };
      const connection = await Connection.connect(settings).catch((error: unknown) => messageOf(error));
      if (typeof connection === 'string') {
        return [
          failure(
            `the server at ${address} cannot be reached: ${connection}`,
            'Start it or correct temporal.address; `holdfast worker --embedded` brings a server of its own.',
          ),
        ];
      }
      try {
        const { taskQueue } = configuration.temporal;
        const queue = { namespace, taskQueue: { name: taskQueue } };
        const { pollers } = await connection.workflowService.describeTaskQueue(queue);
        const reached = `${address}, namespace ${namespace}`;
        return (pollers ?? []).length > 0
          ? [ok(`${reached}; ${pollers?.length} worker(s) on ${taskQueue}`)]
          : [warning(`${reached}; no worker on task queue ${taskQueue}`, 'Start one with `holdfast worker`.')];
      } catch (error) {
        const advice = `Check that the namespace ${namespace} exists and may be used with these credentials.`;
        return [failure(`${address} answers, but not for namespace ${namespace}: ${messageOf(error)}`, advice)];
      } finally {
        await connection.close();
      }
    },
  };
}
