#!/usr/bin/env node
// Runs a TypeScript script with the Node that the project pins, whatever Node the system has (20 or newer), and brings
// the npm packages first when one is missing or is not the version that package-lock.json wants. Without a script it
// only brings the packages.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { constants } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const programs = join(root, 'node_modules', '.bin');
// npm writes down here what it installed.
const installRecord = join(root, 'node_modules', '.package-lock.json');
const [script, ...args] = process.argv.slice(2);

if (!packagesAreCurrent()) bringPackages();
if (script) runPinnedNode([join(root, script), ...args]);

function packagesAreCurrent() {
  if (!existsSync(installRecord)) return false;
  const installed = readPackages(installRecord);
  // Optional packages are for other platforms and may be missing.
  const wanted = Object.entries(readPackages(join(root, 'package-lock.json')));
  return wanted.every(
    ([path, { optional, version }]) =>
      path === '' || optional || (installed[path]?.version === version && existsSync(join(root, path))),
  );
}

function readPackages(lockFile) {
  return JSON.parse(readFileSync(lockFile, 'utf8')).packages;
}

function bringPackages() {
  console.error('Installing the npm packages of package-lock.json (about a minute) ...');
  // Not `npm ci`: it refuses the lock where a registry lacks optional packages of some other platform. The versions are
  // the lock's all the same, and --no-save leaves it as it is. The system's npm may be older than the packages like.
  // Without its own record npm looks at what is really there.
  rmSync(installRecord, { force: true });
  const npm = spawnSync(
    'npm',
    ['install', '--no-save', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error'],
    { cwd: root, stdio: ['ignore', 2, 2] },
  );
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
