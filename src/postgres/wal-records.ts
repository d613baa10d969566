/**
 * Walks from one WAL record to the next and checks each one, as the server does when it replays them (`xlogreader.c`).
 * It determines where the WAL ends, and whether it ends there because nothing more was written or because it is
 * damaged. The caller passes one page after the other; no record is kept in memory.
 *
 * Locations are numbers here: no cluster writes 2^53 bytes of WAL.
 */
import { alignUp, type WalFormat } from './wal-format.ts';

export interface WalReading {
  /** The first byte after the last complete record; the start of the reading if there was none. */
  readonly end: number;
  /** Undefined if the WAL simply ends. */
  readonly damage: WalDamage | undefined;
}

interface WalDamage {
  readonly at: number;
  readonly reason: string;
}

export interface WalReader {
  /** `bytes` from `offset` on are the page at `address`. Pages before the first record's are not given. */
  readonly takePage: (bytes: Uint8Array, offset: number, address: number) => void;
  readonly result: () => WalReading;
  /** `ended`: no record follows, and only a later page can show that this is damage; `damaged`: no page changes the result. */
  readonly progress: () => 'reading' | 'ended' | 'damaged';
}

/** A complete record that was checked. */
export interface SeenRecord {
  /** Its resource manager. */
  readonly rmgr: number;
  readonly info: number;
  /** The bytes behind its header: up to `keptBytes` of it. */
  readonly content: DataView;
}

/** Enough for the headers and the first fields of a record that ends a transaction. */
const keptBytes = 64;

/** The position of a record's header in memory, and of some bytes behind it. */
interface Header {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly offset: number;
}

interface WholeRecord {
  readonly start: number;
  readonly length: number;
  readonly header: Header;
  /** The checksum of all that follows the header. */
  crc: number;
}

/** A record that is not complete yet; its header is a copy. */
interface OpenRecord extends WholeRecord {
  got: number;
}

interface Stop {
  readonly at: number;
  readonly reason: string;
  readonly isDamage: boolean;
}

interface State {
  readonly format: WalFormat;
  readonly onRecord: ((record: SeenRecord) => void) | undefined;
  /** The reading began inside a record, which is skipped. */
  isInside: boolean;
  /** The place where the next record begins, unless a record is open. */
  position: number;
  /** The start of the previous record. */
  previous: number | undefined;
  end: number;
  open: OpenRecord | undefined;
  stop: Stop | undefined;
}

interface Page {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly offset: number;
  readonly address: number;
}

const continuesRecord = 0x0001;
const hasLongHeader = 0x0002;
/** From the minor releases of 2021: the previous record was never completed, and is skipped. */
const leavesRecordOut = 0x0008;
const knownFlags = 0x000f;

/** `XLOG_SWITCH`: the rest of its segment is empty. */
const switchInfo = 0x40;

/** If a record's last bytes are missing, not even its checksum can say more about it. */
const tailBytes = 8;

function location(view: DataView, at: number, { littleEndian, highHalfFirst }: WalFormat): number {
  const first = view.getUint32(at, littleEndian);
  const second = view.getUint32(at + 4, littleEndian);
  return highHalfFirst || !littleEndian ? first * 0x1_0000_0000 + second : second * 0x1_0000_0000 + first;
}

function flagsOf({ view, offset }: Page, { littleEndian }: WalFormat): number {
  return view.getUint16(offset + 2, littleEndian);
}

function isZero(bytes: Uint8Array, from: number, to: number): boolean {
  for (let index = from; index < to; index++) if (bytes[index] !== 0) return false;
  return true;
}

/** The reason why this is not the expected page of WAL. */
function pageFault(page: Page, format: WalFormat): string | undefined {
  const { view, offset, address, bytes } = page;
  const magic = view.getUint16(offset, format.littleEndian);
  if (magic !== format.magic)
    return isZero(bytes, offset, offset + format.shortPageHeader)
      ? 'the page is empty'
      : 'it is no page of WAL';
  if (location(view, offset + 8, format) !== address) return 'the page is of another place in the WAL';
  const flags = flagsOf(page, format);
  if ((flags & ~knownFlags) !== 0) return 'the page has unknown flags';
  const isFirst = address % format.segmentSize === 0;
  return isFirst && (flags & hasLongHeader) === 0 ? 'the first page lacks its long header' : undefined;
}

function headerBytes(page: Page, format: WalFormat): number {
  return (flagsOf(page, format) & hasLongHeader) === 0 ? format.shortPageHeader : format.longPageHeader;
}

function stopAt(state: State, at: number, reason: string, isDamage: boolean): void {
  state.stop = { at, reason, isDamage };
}

/** The checksum covers the header last, without the checksum field itself. */
function hasRightChecksum(
  { checksum, checksumOffset, recordHeader, littleEndian }: WalFormat,
  record: Pick<WholeRecord, 'header' | 'crc'>,
): boolean {
  const { bytes, view, offset } = record.header;
  const from = checksumOffset === 0 ? 4 : 0;
  const to = checksumOffset === 0 ? recordHeader : checksumOffset;
  const crc = checksum.finish(checksum.add(record.crc, bytes, offset + from, offset + to));
  return crc === view.getUint32(offset + checksumOffset, littleEndian);
}

function isPrevious(state: State, start: number, previous: number): boolean {
  return state.previous === undefined ? previous < start : previous === state.previous;
}

function previousOf({ format }: State, { view, offset }: Header): number {
  return location(view, offset + format.previousOffset, format);
}

/** Whether the page contains a record after `at`: nobody could have written it without the record at `at`. */
function hasRecordBehind({ format }: State, page: Page, at: number): boolean {
  const { bytes, view, offset, address } = page;
  const { recordHeader, alignment, blockSize, totalLengthOffset, checksum } = format;
  for (let next = at + alignment; next + recordHeader <= blockSize; next += alignment) {
    const length = view.getUint32(offset + next + totalLengthOffset, format.littleEndian);
    if (length < recordHeader || next + length > blockSize) continue;
    const start = offset + next;
    if (location(view, start + format.previousOffset, format) >= address + next) continue;
    const crc = checksum.add(checksum.start, bytes, start + recordHeader, start + length);
    if (hasRightChecksum(format, { header: { bytes, view, offset: start }, crc })) return true;
  }
  return false;
}

function seenRecord(
  { rmgrOffset, infoOffset, recordHeader }: WalFormat,
  { header: { view, offset }, length }: WholeRecord,
): SeenRecord {
  const from = view.byteOffset + offset + recordHeader;
  return {
    rmgr: view.getUint8(offset + rmgrOffset),
    info: view.getUint8(offset + infoOffset),
    content: new DataView(view.buffer, from, Math.min(length - recordHeader, keptBytes)),
  };
}

/** @returns where on the page the next record begins; undefined where there is none */
function endRecord(state: State, page: Page, record: WholeRecord, end: number): number | undefined {
  const { format } = state;
  const { header, start } = record;
  if (!isPrevious(state, start, previousOf(state, header))) {
    stopAt(state, start, 'its record does not follow the one before', hasRecordBehind(state, page, end));
    return undefined;
  }
  if (!hasRightChecksum(format, record)) {
    const tail = Math.max(0, end - Math.min(tailBytes, record.length));
    const isCut = isZero(page.bytes, page.offset + tail, page.offset + format.blockSize);
    stopAt(state, start, 'its record has a wrong checksum', !isCut);
    return undefined;
  }
  state.previous = start;
  state.onRecord?.(seenRecord(format, record));
  const next = alignUp(end, format.alignment);
  const isSwitch =
    header.view.getUint8(header.offset + format.rmgrOffset) === 0 &&
    (header.view.getUint8(header.offset + format.infoOffset) & 0xf0) === switchInfo;
  const { segmentSize } = format;
  const behind = page.address + next;
  state.end = isSwitch ? Math.ceil(behind / segmentSize) * segmentSize : behind;
  state.position = state.end;
  return isSwitch ? undefined : next;
}

function openRecord(state: State, page: Page, at: number, length: number): void {
  const { format } = state;
  const { recordHeader, blockSize, checksum } = format;
  const got = blockSize - at;
  const start = page.address + at;
  const copy = new Uint8Array(recordHeader + keptBytes);
  copy.set(page.bytes.subarray(page.offset + at, page.offset + at + Math.min(got, copy.length)));
  const header = { bytes: copy, view: new DataView(copy.buffer), offset: 0 };
  if (got >= recordHeader && !isPrevious(state, start, previousOf(state, header))) {
    const isDamage = hasRecordBehind(state, page, at);
    stopAt(state, start, 'its record does not follow the one before', isDamage);
    return;
  }
  const from = page.offset + Math.min(at + recordHeader, blockSize);
  const crc = checksum.add(checksum.start, page.bytes, from, page.offset + blockSize);
  state.open = { start, length, header, got, crc };
}

/** The part of an open record that is on this page. */
function takePart(state: State, record: OpenRecord, page: Page, at: number): number | undefined {
  const { recordHeader, blockSize, checksum } = state.format;
  const part = Math.min(record.length - record.got, blockSize - at);
  const ofHeader = Math.min(part, Math.max(0, recordHeader - record.got));
  const kept = Math.min(part, Math.max(0, recordHeader + keptBytes - record.got));
  const from = page.offset + at;
  if (kept > 0) record.header.bytes.set(page.bytes.subarray(from, from + kept), record.got);
  record.crc = checksum.add(record.crc, page.bytes, from + ofHeader, from + part);
  record.got += part;
  if (record.got < record.length) return undefined;
  state.open = undefined;
  return endRecord(state, page, record, at + part);
}

/** @returns where on the page the next record begins; undefined where there is none */
function continueRecord(state: State, record: OpenRecord, page: Page, header: number): number | undefined {
  const { format } = state;
  const flags = flagsOf(page, format);
  const { remainderBytes, littleEndian } = format;
  if ((flags & leavesRecordOut) !== 0) {
    state.open = undefined;
    return header;
  }
  if ((flags & continuesRecord) === 0) {
    stopAt(state, record.start, 'the next page does not continue its record', true);
    return undefined;
  }
  const at = page.offset + (remainderBytes === 0 ? 16 : header);
  const left = page.view.getUint32(at, littleEndian);
  if (left === record.length - record.got) return takePart(state, record, page, header + remainderBytes);
  const reason = `the next page continues a record with ${left} bytes instead of ${record.length - record.got}`;
  stopAt(state, record.start, reason, true);
  return undefined;
}

function readRecords(state: State, page: Page, from: number): void {
  const { format } = state;
  const { blockSize, recordHeader, cutsHeaders, checksum } = format;
  let at: number | undefined = from;
  while (at !== undefined) {
    const room: number = blockSize - at;
    state.position = page.address + at;
    if (room === 0 || (!cutsHeaders && room < recordHeader)) {
      state.position = page.address + blockSize;
      return;
    }
    const start = page.offset + at;
    const length = page.view.getUint32(start + format.totalLengthOffset, format.littleEndian);
    if (length < recordHeader) {
      // Only zeros follow. Servers copy records into a page concurrently, so a later record may have arrived first.
      const isDamage = length > 0 && hasRecordBehind(state, page, at);
      stopAt(
        state,
        state.position,
        length === 0 ? 'there is no record' : `a record of ${length} bytes`,
        isDamage,
      );
      return;
    }
    if (length > room) {
      openRecord(state, page, at, length);
      return;
    }
    const header = { bytes: page.bytes, view: page.view, offset: start };
    const crc = checksum.add(checksum.start, page.bytes, start + recordHeader, start + length);
    at = endRecord(state, page, { start: state.position, length, header, crc }, at + length);
  }
}

/** Where the first record begins on a page that may continue one of which the beginning is unknown. */
function behindFirstPart(state: State, page: Page, header: number): number | undefined {
  const { alignment, blockSize, remainderBytes, littleEndian } = state.format;
  state.isInside = false;
  if ((flagsOf(page, state.format) & continuesRecord) === 0) return header;
  const left = page.view.getUint32(page.offset + (remainderBytes === 0 ? 16 : header), littleEndian);
  const behind = alignUp(header + remainderBytes + left, alignment);
  if (behind < blockSize) return behind;
  state.isInside = true;
  state.position = page.address + blockSize;
  return undefined;
}

function takeGoodPage(state: State, page: Page): void {
  const { format, open } = state;
  const header = headerBytes(page, format);
  if (open !== undefined) {
    const at = continueRecord(state, open, page, header);
    if (at !== undefined) readRecords(state, page, at);
    return;
  }
  if (state.isInside) {
    const behind = behindFirstPart(state, page, header);
    if (behind !== undefined) readRecords(state, page, behind);
    return;
  }
  const at = Math.max(state.position - page.address, header);
  if (at === header && (flagsOf(page, format) & continuesRecord) !== 0) {
    stopAt(state, state.position, 'the page continues a record that did not begin before it', true);
    return;
  }
  readRecords(state, page, at);
}

function takePage(state: State, page: Page): void {
  const { format, stop, open } = state;
  if (stop?.isDamage === true) return;
  // The rest of a segment after a switch has no meaning.
  if (open === undefined && page.address + format.blockSize <= state.position) return;
  const fault = pageFault(page, format);
  if (stop !== undefined) {
    // More WAL was written after this place: it cannot have been the end.
    if (fault === undefined) state.stop = { ...stop, isDamage: true };
    return;
  }
  if (fault === undefined) takeGoodPage(state, page);
  else stopAt(state, open?.start ?? page.address, fault, false);
}

export interface WalReaderOptions {
  /** Called for each record that is complete and good. Its content is valid only during the call. */
  readonly onRecord?: (record: SeenRecord) => void;
  /** `from` is a page that may begin inside a record. */
  readonly mayBeInside?: boolean;
}

/** @param from where a record begins, or a page */
export function createWalReader(
  format: WalFormat,
  from: number,
  { onRecord, mayBeInside = false }: WalReaderOptions = {},
): WalReader {
  const state: State = {
    format,
    onRecord,
    isInside: mayBeInside,
    position: from,
    previous: undefined,
    end: from,
    open: undefined,
    stop: undefined,
  };
  let view: DataView = new DataView(new ArrayBuffer(0));
  return {
    takePage: (bytes, offset, address) => {
      if (view.buffer !== bytes.buffer || view.byteOffset !== bytes.byteOffset)
        view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      takePage(state, { bytes, view, offset, address });
    },
    result: () => {
      const { stop, end } = state;
      return { end, damage: stop?.isDamage === true ? { at: stop.at, reason: stop.reason } : undefined };
    },
    progress: () => {
      if (state.stop === undefined) return 'reading';
      return state.stop.isDamage ? 'damaged' : 'ended';
    },
  };
}
