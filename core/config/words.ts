/** Words of the configuration that commands need before any of it is read: this file loads nothing. */

export const BACKUP_KINDS = ['full', 'database', 'media', 'logs', 'config'] as const;
export const TIERS = ['daily', 'weekly', 'monthly', 'manual', 'pre-restore'] as const;

export type BackupKind = (typeof BACKUP_KINDS)[number];
export type Tier = (typeof TIERS)[number];
