/** How tables for people write sizes, times and ratios. */

const SIZE_STEPS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** A size in bytes as `12.3 MiB`. */
export function formatBytes(bytes: number | undefined): string {
  if (bytes === undefined) return '-';
  const step = bytes < 1024 ? 0 : Math.min(SIZE_STEPS.length - 1, Math.floor(Math.log2(bytes) / 10));
  const value = bytes / 1024 ** step;
  return `${step === 0 ? value : value.toFixed(value < 10 ? 2 : 1)} ${SIZE_STEPS[step]}`;
}

/** A duration in milliseconds as its two largest units: `850 ms`, `12.3 s`, `4m 05s`, `3h 12m`, `12d 4h`. */
export function formatDuration(milliseconds: number | undefined): string {
  if (milliseconds === undefined) return '-';
  if (milliseconds < 1_000) return `${Math.round(milliseconds)} ms`;
  const seconds = milliseconds / 1_000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}m ${String(Math.floor(seconds % 60)).padStart(2, '0')}s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours}h ${minutes % 60}m` : `${Math.floor(hours / 24)}d ${hours % 24}h`;
}

/** How long ago a time (ISO 8601) was. */
export function formatAge(time: string, now: Date): string {
  return formatDuration(Math.max(0, now.getTime() - Date.parse(time)));
}

/** Original to stored bytes as `3.21`. */
export function formatRatio(original: number | undefined, stored: number | undefined): string {
  return original === undefined || stored === undefined || stored === 0 ? '-' : (original / stored).toFixed(2);
}

/** How many of a thing: `1 backup`, `3 copies`. `many` is the plural where it is not made with an s. */
export function formatCount(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}
