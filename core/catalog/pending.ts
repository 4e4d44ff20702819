/** For people: of a run whose record waits. */
export const CATALOG_PENDING = 'the catalog cannot be reached; it is told as soon as it can.';
