import type { S3Client, ServiceInputTypes, ServiceOutputTypes } from '@aws-sdk/client-s3';
import { SMITHY_CONTEXT_KEY, type FinalizeRequestMiddleware, type HandlerExecutionContext } from '@smithy/types';
import type { Pace } from './pace.ts';

/** Makes every try of every request that carries a body wait for its turn. */
export function paceBodies(client: S3Client, pace: Pace): void {
  const wait: FinalizeRequestMiddleware<ServiceInputTypes, ServiceOutputTypes> = (next, context) => async (args) => {
    await pace.take(bodyLength(args.request), signalOf(context));
    return next(args);
  };
  // Inside the retries, and before the signature, which is good for 15 minutes only.
  client.middlewareStack.addRelativeTo(wait, { name: 'pace', relation: 'after', toMiddleware: 'retryMiddleware' });
}

function bodyLength(request: unknown): number {
  const { body } = request as { body?: unknown };
  return body instanceof Uint8Array || typeof body === 'string' ? body.length : 0;
}

function signalOf(context: HandlerExecutionContext): AbortSignal | undefined {
  return context[SMITHY_CONTEXT_KEY]?.['abortSignal'] as AbortSignal | undefined;
}
