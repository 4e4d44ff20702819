import { loadClientConnectConfig } from '@temporalio/envconfig';
import type { Configuration } from '../core/config/schema.ts';
import { resolveSecret } from '../core/config/secret.ts';

export interface TemporalTarget {
  readonly address: string;
  readonly namespace: string;
  /** For `NativeConnection.connect` and `Connection.connect` alike. */
  readonly options: {
    readonly address: string;
    readonly tls?: NonNullable<ReturnType<typeof loadClientConnectConfig>['connectionOptions']['tls']>;
    readonly apiKey?: string;
    readonly metadata?: Record<string, string>;
  };
}

const DEFAULT_ADDRESS = '127.0.0.1:7233';
const DEFAULT_NAMESPACE = 'default';

/**
 * Which Temporal server, by whose word: holdfast.yaml's, else the TEMPORAL_* variables and profiles that every Temporal
 * tool reads, else a local development server.
 */
export async function temporalTarget({ temporal }: Configuration): Promise<TemporalTarget> {
  const profile = loadClientConnectConfig();
  const { tls, apiKey, metadata } = profile.connectionOptions;
  const address = temporal.address ?? profile.connectionOptions.address ?? DEFAULT_ADDRESS;
  const namespace = temporal.namespace ?? profile.namespace ?? DEFAULT_NAMESPACE;
  const key = temporal.apiKey ? await resolveSecret(temporal.apiKey) : apiKey;
  return {
    address,
    namespace,
    options: {
      address,
      // Temporal Cloud's API keys are only sent over TLS.
      ...(tls ? { tls } : key !== undefined && { tls: true }),
      ...(typeof key === 'string' && { apiKey: key }),
      ...(metadata !== undefined && { metadata: metadata as Record<string, string> }),
    },
  };
}

/** Where a run can be looked at in the Web UI; the development server has its UI 1000 ports above. */
export function webUiLink(
  configuration: Configuration,
  target: TemporalTarget,
  workflowId: string,
  runId: string,
): string | undefined {
  const base = configuration.temporal.uiUrl ?? guessUi(target.address);
  if (base === undefined) return undefined;
  return `${base.replace(/\/$/, '')}/namespaces/${target.namespace}/workflows/${encodeURIComponent(workflowId)}/${runId}`;
}

/**
 * The Web UI's form that starts a workflow, filled with the input of a run that there was: the form takes no other. Of the
 * address it reads workflowType, taskQueue, workflowId and runId (2.50 to 2.53), and looks up that run's input. The id stays
 * as it is, for the history of one restore to stand in one place.
 */
export function startFormLink(
  configuration: Configuration,
  target: TemporalTarget,
  workflowType: string,
  run: { readonly workflowId: string; readonly runId?: string },
): string | undefined {
  const base = configuration.temporal.uiUrl ?? guessUi(target.address);
  if (base === undefined) return undefined;
  const values = new URLSearchParams({ workflowType, taskQueue: configuration.temporal.taskQueue });
  // Not all of it: who asks may hand in more than the form knows.
  values.set('workflowId', run.workflowId);
  if (run.runId !== undefined) values.set('runId', run.runId);
  return `${base.replace(/\/$/, '')}/namespaces/${target.namespace}/workflows/start-workflow?${values.toString()}`;
}

function guessUi(address: string): string | undefined {
  const [host, port] = [
    address.slice(0, address.lastIndexOf(':')),
    Number(address.slice(address.lastIndexOf(':') + 1)),
  ];
  const local = ['127.0.0.1', 'localhost', '[::1]'].includes(host);
  return local && Number.isInteger(port) ? `http://${host}:${port + 1000}` : undefined;
}
