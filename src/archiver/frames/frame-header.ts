/** The header of a zstd frame (RFC 8878, 3.1.1.1), as far as it shows what the frame contains. Pure. */

/** The number of bytes of a frame that must be read to judge it. */
export const frameHeaderBytes = 18;

const magic = 0xfd2f_b528;
const checksumFlag = 0b100;
const reservedBit = 0b1000;
const dictionaryBits = 0b11;
const singleSegmentFlag = 0b10_0000;

/** zstd needs this much memory to unpack it; it refuses 128 MiB and more by itself. */
const largestWindow = 8 * 1024 * 1024;

export type FrameHeader =
  | {
      readonly kind: 'frame';
      /** The number of bytes that it unpacks to. */
      readonly size: number;
    }
  | { readonly kind: 'no-frame'; readonly reason: string };

function noFrame(reason: string): FrameHeader {
  return { kind: 'no-frame', reason };
}

/** The content size, whose width depends on the two highest bits of the descriptor. */
function readSize(view: DataView, at: number, width: 1 | 2 | 4 | 8): number {
  switch (width) {
    case 1:
      return view.getUint8(at);
    case 2:
      return view.getUint16(at, true) + 256;
    case 4:
      return view.getUint32(at, true);
    case 8:
      return Number(view.getBigUint64(at, true));
  }
}

function windowOf(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >> 3));
  return base + (base / 8) * (descriptor & 7);
}

/** Accepts only frames that zstd makes of a file: the size and a checksum of the content are in it, no dictionary is needed. */
export function parseFrameHeader(bytes: Uint8Array): FrameHeader {
  if (bytes.length < frameHeaderBytes) return noFrame(`too short: ${bytes.length} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0, true) !== magic) return noFrame('it does not begin as a zstd frame');
  const descriptor = view.getUint8(4);
  if ((descriptor & (reservedBit | dictionaryBits)) !== 0)
    return noFrame('it needs a dictionary, or a newer zstd');
  if ((descriptor & checksumFlag) === 0) return noFrame('it has no checksum of its content');
  const isSingle = (descriptor & singleSegmentFlag) !== 0;
  const width = ([isSingle ? 1 : 0, 2, 4, 8] as const)[(descriptor >> 6) as 0 | 1 | 2 | 3];
  if (width === 0) return noFrame('it does not say the size of its content');
  const size = readSize(view, isSingle ? 5 : 6, width);
  if (!isSingle && windowOf(view.getUint8(5)) > largestWindow)
    return noFrame('unpacking it takes too much memory');
  return { kind: 'frame', size };
}
