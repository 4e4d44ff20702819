export { backup } from './backup.ts';
export { recordBackup } from './recordBackup.ts';
