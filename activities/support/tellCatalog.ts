import { HoldfastError, isHoldfastError } from '../../core/errors.ts';

/**
 * Does what notes a finished run in the catalog. A refusal of the catalog's server is one to try again after, too: a
 * database that is being restored is not there for a while, and what is to be noted is nowhere else.
 */
export async function tellCatalog(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!isHoldfastError(error, 'CatalogUnavailable')) throw error;
    const { message, advice, cause } = error;
    throw new HoldfastError('CatalogUnavailable', message, {
      ...(advice !== undefined && { advice }),
      cause,
      retryable: true,
    });
  }
}
