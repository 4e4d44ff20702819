#!/usr/bin/env node
/**
 * Where `npx holdfast` and `npm link` come in, under whatever Node the system has. Holdfast needs Node 24, which runs
 * its TypeScript as it is; `npm ci` puts one into node_modules. So: this process if it is new enough, else that one.
 * Plain JavaScript, because an old Node has to read it.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import * as modules from 'node:module';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const REQUIRED_MAJOR = 24;

// Compression keeps libuv's four threads busy; file reads and writes must not queue behind it. Set before their first use.
process.env.UV_THREADPOOL_SIZE ??= '12';

if (majorOf(process.versions.node) >= REQUIRED_MAJOR) {
  // Halves the start of every command. In a directory of the user's own: what lies there is run.
  if (process.argv.includes('worker')) keepMemorySmall();
  const cache = userCache();
  if (cache !== undefined) modules.enableCompileCache(join(cache, 'holdfast', 'compiled'));
  const { main } = await import('./main.ts');
  await main(process.argv.slice(2));
} else {
  const node = bundledNode();
  if (node === undefined) refuse();
  else handOver(node);
}

/** @param {string} version */
function majorOf(version) {
  return Number.parseInt(version, 10);
}

/**
 * What a worker reads and sends becomes garbage by the gigabyte, and two things keep it in memory long after: glibc, which
 * keeps freed buffers in arenas of each thread (mallopt(3)), and V8, which looks for short-lived buffers only when its
 * young generation, 16 MB, is full of the small objects that hold them. One arena, large buffers handed back at once, and
 * a young generation of 1 MB: together some 150 MB less, at the same speed. Both are settled when a process begins, so this
 * one begins again: same process id, same files, nothing done yet. Whoever has chosen settings of his own keeps them.
 */
function keepMemorySmall() {
  if (process.platform !== 'linux' || process.execve === undefined) return;
  if (Object.keys(process.env).some((name) => name.startsWith('MALLOC_'))) return;
  const youngGeneration = '--max-semi-space-size=1';
  const flags = process.execArgv.some((flag) => flag.includes('semi-space')) ? [] : [youngGeneration];
  process.execve(process.execPath, [process.execPath, ...flags, ...process.execArgv, ...process.argv.slice(1)], {
    ...process.env,
    MALLOC_ARENA_MAX: '1',
    MALLOC_MMAP_THRESHOLD_: String(2 ** 18),
    MALLOC_TRIM_THRESHOLD_: String(2 ** 20),
  });
}

/** As the XDG Base Directory Specification has it; an account without a home has none. */
function userCache() {
  const { XDG_CACHE_HOME, HOME } = process.env;
  return XDG_CACHE_HOME || (HOME ? join(HOME, '.cache') : undefined);
}

/** The Node that the `node` package brings, looked for from where this file really is. */
function bundledNode() {
  try {
    const manifest = modules.createRequire(import.meta.url).resolve('node/package.json');
    const node = join(dirname(manifest), 'bin', 'node');
    return existsSync(node) ? node : undefined;
  } catch {
    return undefined;
  }
}

function refuse() {
  const root = dirname(dirname(fileURLToPath(import.meta.url)));
  console.error(
    `holdfast: error: this is Node ${process.versions.node}, and Holdfast needs ${REQUIRED_MAJOR} or newer`,
  );
  console.error(`holdfast: hint: Run 'npm ci' in ${root}, which brings one along, or install Node ${REQUIRED_MAJOR}.`);
  process.exitCode = 1;
}

/** @param {string} node */
function handOver(node) {
  const child = spawn(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: 'inherit' });
  for (const signal of /** @type {const} */ (['SIGTERM', 'SIGHUP', 'SIGINT', 'SIGQUIT'])) {
    process.on(signal, () => {
      if (!sentByTerminal(signal)) child.kill(signal);
    });
  }
  child.on('error', (error) => {
    console.error(`holdfast: error: ${node} could not be started: ${error.message}`);
    process.exitCode = 1;
  });
  child.on('exit', (code, signal) => {
    // What a shell reports for a process that a signal ended.
    process.exit(signal === null ? (code ?? 1) : 128 + constants.signals[signal]);
  });
}

/**
 * Ctrl-C goes to the whole foreground group, so the child has it already; a second one would mean "at once".
 * @param {NodeJS.Signals} signal
 */
function sentByTerminal(signal) {
  return (signal === 'SIGINT' || signal === 'SIGQUIT') && process.stdin.isTTY;
}
