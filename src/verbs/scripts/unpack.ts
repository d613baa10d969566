/**
 * The part of the commit script that unpacks the frames of a batch, and proves what comes out: each frame by its digest, its content
 * by the checksum that zstd verifies, and each segment once more by its first page header.
 */
import { endianness } from 'node:os';
import { firstLsnOf } from '../../postgres/lsn.ts';
import { longHeaderBytes } from '../../postgres/wal-header.ts';
import { parseWalName } from '../../postgres/wal-name.ts';
import { type CommitFile, type DeliveryPlace, inboxOf } from './delivery.ts';

/** A segment whose frame is in the inbox as `NAME.zst`. */
export interface FramedFile extends CommitFile {
  /** SHA-256 of the frame, in hexadecimal. */
  readonly digest: string;
}

/** The line before the reason why the frames of a batch were not unpacked; nothing was stored. */
export const notUnpackedWord = 'not-unpacked';

function hexOf(value: bigint, bytes: 4 | 8, isLittle: boolean): string {
  const hex = BigInt.asUintN(8 * bytes, value)
    .toString(16)
    .padStart(2 * bytes, '0');
  if (!isLittle) return hex;
  return (hex.match(/../g) ?? []).reverse().join('');
}

const any = (bytes: number): string => '??'.repeat(bytes);

/**
 * Patterns of sh for the first page header of a segment, in hexadecimal, one for each layout that there is (postgres/wal-header.ts).
 * A segment replays only on a machine with the byte order of the one that wrote it.
 */
function headerPatterns(
  { name: text, size }: CommitFile,
  systemIdentifier: string,
  isLittle = endianness() === 'LE',
): readonly string[] {
  const name = parseWalName(text);
  if (name.kind !== 'segment') throw new Error(`${text} is no segment`);
  const address = firstLsnOf(name, size);
  const start = (isLittle ? '??d?' : 'd???') + any(2) + any(4);
  const identity = hexOf(BigInt(systemIdentifier), 8, isLittle) + hexOf(BigInt(size), 4, isLittle);
  const whole = (layout: string): string =>
    start + layout + any(longHeaderBytes - (start + layout).length / 2);
  const one = hexOf(address, 8, isLittle);
  const halves = hexOf(address >> 32n, 4, isLittle) + hexOf(address, 4, isLittle);
  return [one + any(8) + identity, one + any(4) + identity, halves + identity].map(whole);
}

/** All files of a batch have the same layout. */
function batchPatterns(files: readonly FramedFile[], systemIdentifier: string): string {
  const ofFiles = files.map((file) => headerPatterns(file, systemIdentifier));
  return [0, 1, 2].map((layout) => ofFiles.map((patterns) => patterns[layout]).join('')).join(' | ');
}

/** A worker with fewer frames than this has nothing to flush while it unpacks others. */
const leastInTwoSteps = 4;

/** Cut in two; the first part is not the smaller one. */
function halves<T>(items: readonly T[]): readonly [readonly T[], readonly T[]] {
  const half = Math.ceil(items.length / 2);
  return [items.slice(0, half), items.slice(half)];
}

/** A function of sh that proves these frames and unpacks them, with the flags that it is called with. It prints why it failed. */
function worker(name: string, inbox: string, files: readonly FramedFile[]): string {
  const paths = (some: readonly FramedFile[]): string =>
    some.map((each) => `${inbox}/${each.name}.zst`).join(' ');
  const sums = files.map(({ name: text, digest }) => `${digest} *${inbox}/${text}.zst`).join('\n');
  // A hole would be space that is missing when the server writes over a copy of the file.
  const unpack = (some: readonly FramedFile[]): string =>
    `zstd -q -d "$@" --no-sparse --output-dir-flat "$inbox" ${paths(some)} 2>&1 || {
    echo 'zstd failed'
    return 1
  }`;
  const [first, second] = files.length < leastInTwoSteps ? [files, []] : halves(files);
  const begin = `${name}() {
  sums='${sums}'
  # Where there is one, it uses the instructions for SHA-256 that many processors have.
  [ "$(openssl dgst -sha256 -r ${paths(files)} 2>/dev/null)" = "$sums" ] || printf '%s\\n' "$sums" | sha256sum -c >/dev/null 2>&1 || {
    echo 'a frame arrived with other bytes'
    return 1
  }
  ${unpack(first)}
`;
  if (second.length === 0) return `${begin}}`;
  const flushed = first.map((each) => `${inbox}/.plain/${each.name}`).join(' ');
  // The kernel reports a failure only once: the flush of all files would not hear of this one.
  return `${begin}  { said=$(sync ${flushed} 2>&1) || printf '%s\\n${notUnpackedWord}\\n' "$said"; } &
  ${unpack(second)}
}`;
}

/**
 * From here on the files of the commit are those that were unpacked. They are in a directory of their own, where only this script
 * writes, and none is there before: zstd replaces nothing.
 */
export function unpackPart(place: DeliveryPlace, files: readonly FramedFile[]): string {
  const inbox = inboxOf(place);
  const [first, second] = halves(files);
  const both = second.length > 0;
  return `
packed="${files.map(({ name }) => `${inbox}/${name}.zst`).join(' ')}"
inbox=$inbox/.plain
unpacked="${files.map(({ name }) => `${inbox}/.plain/${name}`).join(' ')}"
doubt() {
  rm -f $packed $unpacked
  printf '${notUnpackedWord} %s\\n' "$(one_line "$*")"
  exit 0
}
[ -d "$inbox" ] || err=$(mkdir "$inbox" 2>&1) || doubt "$err"
for file in $unpacked; do
  [ ! -e "$file" ] || rm -f "$file"
done
${worker('one', inbox, first)}
${both ? worker('two', inbox, second) : ''}
# Two at once: the commits of a lane come one after the other, and each waits for its zstd.
unpack() {
  err=$({
    one "$@" || echo '${notUnpackedWord}' &
${both ? `    two "$@" || echo '${notUnpackedWord}'\n` : ''}    wait
  })
  case $err in *${notUnpackedWord}*) ;; *) return 0 ;; esac
  err=$(printf '%s\\n' "$err" | sed '/^${notUnpackedWord}$/d')
  return 1
}
# Threads that write beside the one that unpacks would only take the processors from other standbys here; before 1.5.3 there are none.
unpack --no-asyncio || case $err in
  *ncorrect*arameter*) unpack || doubt "$err" ;;
  *) doubt "$err" ;;
esac
set -- $(head -q -c ${longHeaderBytes} $unpacked 2>/dev/null | od -An -v -tx1)
fields=$IFS
IFS=
heads=$*
IFS=$fields
case $heads in
  ${batchPatterns(files, place.systemIdentifier)}) ;;
  *) doubt 'a frame has another content than its name says' ;;
esac
`;
}
