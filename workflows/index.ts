export { backup } from './backup.ts';
export { recordBackup } from './recordBackup.ts';
export { sourceLock } from './sourceLock.ts';
export { sweep } from './sweep.ts';
export { verify } from './verify.ts';
