export { backup } from './backup.ts';
export { recordBackup } from './recordBackup.ts';
export { verify } from './verify.ts';
