import { WithStartWorkflowOperation } from '@temporalio/client';
import type { Configuration } from '../core/config/schema.ts';
import { healWorkflowId, type HealInput, type HealProgress, type HealResult } from '../core/heal/run.ts';
import { complaintAbout, describeHealResult, exitCodeOfHeal, isHealResult, viewOfHeal } from './healResult.ts';
import { followRun, warnWithoutWorker } from './runWorkflow.ts';
import { connectTemporal } from './temporal.ts';
import { EXIT_CODES, type ExitCode, type Terminal } from './terminal.ts';

export interface RunHealOptions {
  readonly configuration: Configuration;
  readonly terminal: Terminal;
  readonly input: HealInput;
  readonly wait: boolean;
}

/**
 * Starts the heal of a source, or tells the one that runs, and stays until what was asked for was looked at and healed as
 * far as it could be. What has to wait for a backend the run goes on with by itself.
 */
export async function runHeal({ configuration, terminal, input, wait }: RunHealOptions): Promise<ExitCode> {
  const temporal = await connectTemporal(configuration);
  try {
    await warnWithoutWorker(temporal, configuration, terminal);
    const { workflow } = temporal.client;
    const workflowId = healWorkflowId(configuration.temporal.taskQueue, input.source);
    const how = {
      workflowId,
      taskQueue: configuration.temporal.taskQueue,
      args: [input],
      staticSummary: `Heal of ${input.source}`,
    };
    if (!wait) {
      const { signaledRunId: runId } = await workflow.signalWithStart('heal', {
        ...how,
        signal: 'wake',
        signalArgs: [input],
      });
      const link = await temporal.webUiLink(workflowId, runId);
      const run = { workflowId, runId, ...(link !== undefined && { link }) };
      terminal.answer({ started: true, ...run }, () => `Told ${workflowId}${link ? `\n${link}` : ''}`);
      return EXIT_CODES.done;
    }
    const startWorkflowOperation = new WithStartWorkflowOperation('heal', {
      ...how,
      workflowIdConflictPolicy: 'USE_EXISTING',
    });
    const result = workflow.executeUpdateWithStart('heal', { args: [input], startWorkflowOperation });
    // Whoever follows hears of it; until then it is no forgotten failure.
    result.catch(() => undefined);
    terminal.note(`${workflowId} looks`);
    const handle = workflow.getHandle(workflowId);
    return await followRun<HealResult, HealProgress>(
      { workflowId, query: () => handle.query('progress'), result: () => result },
      temporal,
      {
        terminal,
        view: viewOfHeal,
        isResult: isHealResult,
        describe: (healed) => describeHealResult(healed, terminal),
        exitCode: exitCodeOfHeal,
        complaint: complaintAbout,
      },
    );
  } finally {
    await temporal.close();
  }
}
