import type { Configuration } from '../../core/config/schema.ts';
import { messageOf } from '../../core/errors.ts';
import { failure, ok, warning, type Check } from './finding.ts';

/** Is the server there, does it have the namespace, does a worker listen. */
export function temporalCheck(configuration: Configuration): Check {
  return {
    subject: 'temporal',
    run: async () => {
      const { connectTemporal, hasWorker } = await import('../temporal.ts');
      const temporal = await connectTemporal(configuration);
      const { address, namespace } = temporal.target;
      const { taskQueue } = configuration.temporal;
      try {
        const place = `${address}, namespace ${namespace}`;
        return (await hasWorker(temporal, taskQueue))
          ? [ok(`${place}; a worker listens on ${taskQueue}`)]
          : [warning(`${place}; no worker listens on task queue ${taskQueue}`, 'Start one with `holdfast worker`.')];
      } catch (error) {
        const advice = `Check that the namespace ${namespace} exists and may be used with these credentials.`;
        return [failure(`${address} answers, but not for namespace ${namespace}: ${messageOf(error)}`, advice)];
      } finally {
        await temporal.close();
      }
    },
  };
}
