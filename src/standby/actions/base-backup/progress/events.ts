/** In the order in which a base backup goes through them; `verify` only where it was asked for. */
export type BackupPhase = 'checkpoint' | 'tablespaces' | 'data' | 'verify' | 'wal';

/** What a base backup tells of itself while it runs, for whoever shows it. Numbers are of the whole copy so far; in the phase `verify` of what is verified. */
export type BackupEvent =
  | { readonly kind: 'phase'; readonly phase: BackupPhase }
  /** How much there is; told once, before the first byte. */
  | { readonly kind: 'planned'; readonly bytes: number; readonly files: number }
  /** How much of it is done: moved, or found to be here already. */
  | { readonly kind: 'progress'; readonly bytes: number; readonly files: number };

export type OnBackupEvent = (event: BackupEvent) => void;
