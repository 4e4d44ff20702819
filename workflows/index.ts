export { backup } from './backup.ts';
export { heal } from './heal.ts';
export { recordBackup } from './recordBackup.ts';
export { restore } from './restore.ts';
export { scan } from './scan.ts';
export { sourceLock } from './sourceLock.ts';
export { sweep } from './sweep.ts';
export { verify } from './verify.ts';
