/**
 * The offsets of the fields of pg_control, by the number of its format (PG_CONTROL_VERSION in
 * `src/include/catalog/pg_control.h`). A number that is missing here is reported as unknown: reading at the offsets
 * of another release would be a guess.
 */

/** Offsets from the redo location in the copy of the checkpoint, on machines that align 64-bit integers to 8 bytes. */
interface ProgressOffsets {
  readonly nextXid: number;
  /** From 12 on the epoch is in the upper half of the number. */
  readonly nextXidBytes: 4 | 8;
  readonly time: number;
  readonly oldestActiveXid: number;
  readonly minRecoveryLsn: number;
}

export interface ControlFormat {
  /** Up to 9.2 a location is two 32-bit halves, the high one first. */
  readonly hasLsnHalves: boolean;
  /** Up to 10 the location of the checkpoint before the last one precedes the copy of the last. */
  readonly hasPriorCheckpoint: boolean;
  readonly progress: ProgressOffsets | undefined;
  /** Bytes between the version of the pages' checksums and the file's own; undefined where pages have none (before 9.3). */
  readonly behindChecksumVersion: number | undefined;
  /** From the constant that proves how floating-point numbers are stored to the size of a WAL segment. */
  readonly segmentSizeBehindFloat: 20 | 24;
}

const old = { hasPriorCheckpoint: true, progress: undefined, segmentSizeBehindFloat: 20 } as const;
const to92: ControlFormat = { ...old, hasLsnHalves: true, behindChecksumVersion: undefined };
const to96: ControlFormat = { ...old, hasLsnHalves: false, behindChecksumVersion: 0 };

/** A nonce of 32 bytes follows the checksums' version. */
const of10: ControlFormat = {
  hasLsnHalves: false,
  hasPriorCheckpoint: true,
  progress: { nextXid: 24, nextXidBytes: 4, time: 56, oldestActiveXid: 72, minRecoveryLsn: 88 },
  behindChecksumVersion: 32,
  segmentSizeBehindFloat: 20,
};
const of11: ControlFormat = { ...of10, hasPriorCheckpoint: false };
/** The next transaction's number has 64 bits, and what follows it moves. */
const of12: ControlFormat = {
  ...of11,
  progress: { nextXid: 24, nextXidBytes: 8, time: 64, oldestActiveXid: 80, minRecoveryLsn: 96 },
};
/** A byte for the signedness of characters precedes the nonce, and moves the file's own checksum by four. */
const of18: ControlFormat = { ...of12, behindChecksumVersion: 36 };
/**
 * A flag after wal_level moves the fields that follow. The checkpoint's copy ends with a state of the checksums of
 * its own. The number of pages in a file of pg_xact and the like precedes the sizes of the WAL.
 */
const of19: ControlFormat = {
  ...of18,
  progress: { nextXid: 32, nextXidBytes: 8, time: 72, oldestActiveXid: 88, minRecoveryLsn: 104 },
  segmentSizeBehindFloat: 24,
};

export const controlFormats: ReadonlyMap<number, ControlFormat> = new Map([
  [843, to92], // 8.4
  [903, to92], // 9.0, 9.1
  [922, to92], // 9.2
  [937, to96], // 9.3
  [942, to96], // 9.4, 9.5
  [960, to96], // 9.6
  [1002, of10],
  [1100, of11],
  [1201, of12],
  [1300, of12], // 13 to 16
  [1700, of12],
  [1800, of18],
  [1902, of19],
  [1903, of19],
  [1904, of19],
  [1905, of19],
]);
