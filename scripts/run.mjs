#!/usr/bin/env node
// Runs a TypeScript script with the Node that the project pins, whatever Node the system has (20 or newer), and brings
// the npm packages first when one is missing or is not the version that package-lock.json wants.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const programs = join(root, 'node_modules', '.bin');
const [script, ...args] = process.argv.slice(2);

if (!packagesAreCurrent()) bringPackages();
runPinnedNode([join(root, script), ...args]);

function packagesAreCurrent() {
  // npm writes what it installed here. Optional packages are for other platforms and may be missing.
  const record = join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(record)) return false;
  const installed = readPackages(record);
  const wanted = Object.entries(readPackages(join(root, 'package-lock.json')));
  return wanted.every(
    ([path, { optional, version }]) => path === '' || optional || installed[path]?.version === version,
  );
}

function readPackages(lockFile) {
  return JSON.parse(readFileSync(lockFile, 'utf8')).packages;
}

function bringPackages() {
  console.error('Installing the npm packages of package-lock.json (npm ci, about a minute) ...');
  const npm = spawnSync('npm', ['ci', '--include=dev', '--no-audit', '--no-fund'], {
    cwd: root,
    stdio: ['ignore', 2, 2],
  });
  if (npm.status !== 0) process.exit(npm.status ?? 1);
}

function runPinnedNode(nodeArguments) {
  const child = spawn(join(programs, 'node'), nodeArguments, {
    stdio: 'inherit',
    env: { ...process.env, PATH: `${programs}${delimiter}${process.env.PATH}` },
  });
  // Ctrl-C reaches the whole foreground group by itself; a signal sent to this process alone is passed on.
  process.on('SIGINT', () => {});
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  child.on('exit', (code, signal) => process.exit(code ?? 128 + (constants.signals[signal] ?? 1)));
}
