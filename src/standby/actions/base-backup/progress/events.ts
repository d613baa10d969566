/** In the order in which a base backup goes through them; `verify` only where it was asked for. */
export type BackupPhase = 'checkpoint' | 'tablespaces' | 'data' | 'verify' | 'wal';

/** Progress that a base backup reports while it runs. Numbers cover the whole copy so far; in the phase `verify`, the verified part. */
export type BackupEvent =
  | { readonly kind: 'phase'; readonly phase: BackupPhase }
  /** The size of the copy; reported once, before the first byte. */
  | { readonly kind: 'planned'; readonly bytes: number; readonly files: number }
  /** The part that is done: moved, or found to be here already. */
  | { readonly kind: 'progress'; readonly bytes: number; readonly files: number };

export type OnBackupEvent = (event: BackupEvent) => void;
