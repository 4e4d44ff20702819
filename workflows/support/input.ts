import { ApplicationFailure } from '@temporalio/workflow';
import type { z } from 'zod';

/**
 * Checks what somebody typed into the Web UI's form. A bad input ends the run at once with `InvalidInput` and a message
 * that shows a right one.
 */
export function parseInput<Schema extends z.ZodType>(
  schema: Schema,
  input: unknown,
  example: string,
): z.output<Schema> {
  const parsed = schema.safeParse(input);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((issue) => `${issue.path.join('.') || 'input'}: ${issue.message}`);
  throw invalidInput(problems.join('; '), undefined, example);
}

/** Whoever typed the input sees the failure's message first, so what to do stands in it too. */
export function invalidInput(
  problem: string,
  advice: string | undefined,
  example: string,
  ...details: unknown[]
): ApplicationFailure {
  const sentences = [problem, advice].flatMap((text) => text?.replace(/[^.?]$/, '$&.') ?? []);
  const message = `${sentences.join(' ')} A right input is ${example}`;
  return ApplicationFailure.nonRetryable(message, 'InvalidInput', ...details);
}
