/**
 * Reads from a WAL record when its transaction ended (`src/include/access/xact.h`, `xlogrecord.h`): the times that the
 * server compares with `recovery_target_time`. Pure.
 */
import type { WalFormat } from './wal-format.ts';
import type { SeenRecord } from './wal-records.ts';

const transactions = 1;
const operation = 0x70;
const commit = 0x00;
const abort = 0x20;
const commitPrepared = 0x30;
const abortPrepared = 0x40;
/** Up to 9.4: a commit with few fields. */
const commitCompact = 0x60;

/** Blocks of a record's header, from 9.5 on. */
const shortData = 255;
const longData = 254;
const replicationOrigin = 253;
const topTransaction = 252;

/** From 2000 to 1970. */
const epochMicros = 946_684_800_000_000n;
/** Servers up to 9.6 can be built to write times as floating-point numbers, which are no such times. */
const latestMicros = 4_102_444_800_000_000n;

/** Where the record's data begins; undefined if it does not begin within what is known of the record. */
function dataOffset(content: DataView): number | undefined {
  let at = 0;
  while (at < content.byteLength) {
    switch (content.getUint8(at)) {
      case shortData:
        return at + 2;
      case longData:
        return at + 5;
      case replicationOrigin:
        at += 3;
        break;
      case topTransaction:
        at += 5;
        break;
      default:
        return undefined;
    }
  }
  return undefined;
}

/** Up to 9.4 the record's header is followed by its data. */
function timeOffset(
  { recordHeader, alignment }: WalFormat,
  { info, content }: SeenRecord,
): number | undefined {
  const kind = info & operation;
  if (recordHeader === 24) {
    const endsOne = kind === commit || kind === abort || kind === commitPrepared || kind === abortPrepared;
    return endsOne ? dataOffset(content) : undefined;
  }
  if (kind === commit || kind === abort || kind === commitCompact) return 0;
  // The number of the transaction comes first.
  return kind === commitPrepared || kind === abortPrepared ? alignment : undefined;
}

/** In microseconds since 1970; undefined if the record ends no transaction. */
export function transactionEnd(format: WalFormat, record: SeenRecord): bigint | undefined {
  if (record.rmgr !== transactions) return undefined;
  const at = timeOffset(format, record);
  if (at === undefined || at + 8 > record.content.byteLength) return undefined;
  const micros = record.content.getBigInt64(at, format.littleEndian) + epochMicros;
  return micros >= epochMicros && micros < latestMicros ? micros : undefined;
}
