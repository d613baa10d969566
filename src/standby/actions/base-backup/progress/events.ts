/** The phases of a base backup in their order. `verify` occurs only with --verify. */
export type BackupPhase = 'checkpoint' | 'tablespaces' | 'data' | 'verify' | 'wal';

/** The size of a copy, or of its completed part. */
export interface Amount {
  readonly bytes: number;
  readonly files: number;
}

/**
 * The progress that a base backup reports while it runs. Numbers cover the whole copy so far; in the phase `verify`
 * they cover the verified part.
 */
export type BackupEvent =
  | { readonly kind: 'phase'; readonly phase: BackupPhase }
  /** The size of the copy; reported once, before the first byte. */
  | ({ readonly kind: 'planned' } & Amount)
  /** The completed part: transferred, or found here already. */
  | ({ readonly kind: 'progress' } & Amount);

export type OnBackupEvent = (event: BackupEvent) => void;
