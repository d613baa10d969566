/** A group of rsync's flags with the harm that they would do to the data: `rsync_flags` must not contain them. */
export interface RefusedFlags {
  readonly reason: string;
  /** Long names, without their dashes. */
  readonly names: readonly string[];
}

export const refusedFlags: readonly RefusedFlags[] = [
  refuse('it deletes files on the sending side', 'remove-source-files remove-sent-files'),
  refuse(
    'it changes which files are deleted on the receiving side',
    'del delete delete-before delete-during delete-delay delete-after delete-excluded ' +
      'delete-missing-args force force-delete ignore-errors max-delete',
  ),
  refuse(
    'it leaves files out, and rsync reports success',
    'existing ignore-non-existing ignore-existing update size-only max-size min-size exclude exclude-from ' +
      'include include-from filter cvs-exclude files-from one-file-system prune-empty-dirs modify-window ' +
      'ignore-missing-args compare-dest stop-after stop-at time-limit',
  ),
  refuse('it copies nothing, and rsync reports success', 'dry-run list-only only-write-batch help version'),
  refuse(
    'it changes files under their final names, so that a broken transfer leaves half a file',
    'inplace append append-verify write-devices',
  ),
  refuse(
    'it puts files elsewhere or under other names',
    'link-dest copy-dest backup backup-dir suffix relative iconv write-batch read-batch',
  ),
  refuse(
    'it changes how symbolic links are copied, and tablespaces are symbolic links',
    'copy-links copy-dirlinks keep-dirlinks copy-unsafe-links safe-links munge-links copy-devices',
  ),
  refuse('the copy is not a file that a server can use', 'fake-super'),
  refuse(
    'pitrtools makes the connection: use the keys ssh, user and ssh_timeout',
    'rsh daemon server sender config dparam port address sockopts password-file',
  ),
  refuse('it changes how our own list of files is read', 'from0'),
  refuse('it passes flags to the other rsync that are not checked here', 'remote-option'),
];

function refuse(reason: string, names: string): RefusedFlags {
  return { reason, names: names.split(' ') };
}

function reasonAgainst(longName: string): string | undefined {
  return refusedFlags.find(({ names }) => names.includes(longName))?.reason;
}

const longNameOfShort: Readonly<Record<string, string>> = {
  b: 'backup',
  C: 'cvs-exclude',
  e: 'rsh',
  f: 'filter',
  F: 'filter',
  k: 'copy-dirlinks',
  K: 'keep-dirlinks',
  L: 'copy-links',
  m: 'prune-empty-dirs',
  M: 'remote-option',
  n: 'dry-run',
  R: 'relative',
  u: 'update',
  V: 'version',
  x: 'one-file-system',
  0: 'from0',
  '@': 'modify-window',
};

/** Turning these off only costs or saves time. Any other `--no-…` removes a flag that a safe copy needs. */
const harmlessNegations = new Set(
  (
    'compress z whole-file W human-readable h progress partial stats motd verbose v quiet itemize-changes i ' +
    'inc-recursive i-r blocking-io sparse S checksum c owner o group g fsync preallocate fuzzy y ' +
    'numeric-ids msgs2stderr hard-links H acls A xattrs X atimes U crtimes N open-noatime'
  ).split(' '),
);

/** Flags whose value may be the following word. */
const takesValue = new Set(
  (
    'bwlimit timeout contimeout compress-level zl compress-choice zc skip-compress checksum-choice cc ' +
    'checksum-seed block-size max-alloc protocol info debug log-file log-file-format out-format temp-dir ' +
    'partial-dir rsync-path outbuf chmod chown usermap groupmap copy-as stderr early-input'
  ).split(' '),
);
const shortTakesValue = ['B', 'T'];

/** One message for each word of `rsync_flags` that would lose or falsify data. */
export function findDangerousFlags(words: readonly string[]): string[] {
  const messages: string[] = [];
  let isValue = false;
  for (const word of words) {
    const message = isValue ? undefined : judgeWord(word);
    if (message !== undefined) messages.push(message);
    isValue = !isValue && expectsValue(word);
  }
  return messages;
}

function judgeWord(word: string): string | undefined {
  if (!/^-[^-]|^--[^-]/.test(word)) {
    return `"${word}" is not a flag, so rsync would take it for a file to copy`;
  }
  return word.startsWith('--') ? judgeLong(word.slice(2)) : judgeShort(word);
}

function judgeLong(text: string): string | undefined {
  const [name = ''] = text.split('=');
  const reason = reasonAgainst(name);
  if (reason !== undefined) return `--${name} is refused: ${reason}`;
  if (!name.startsWith('no-') || harmlessNegations.has(name.slice(3))) return undefined;
  return `--${name} is refused: it removes a flag that a safe copy needs`;
}

function judgeShort(word: string): string | undefined {
  for (const letter of word.slice(1)) {
    const reason = reasonAgainst(longNameOfShort[letter] ?? '');
    if (reason !== undefined) return `-${letter}${inside(word)} is refused: ${reason}`;
    if (shortTakesValue.includes(letter)) return undefined;
  }
  return undefined;
}

function inside(word: string): string {
  return word.length > 2 ? ` (in ${word})` : '';
}

function expectsValue(word: string): boolean {
  if (word.startsWith('--')) return takesValue.has(word.slice(2));
  return /^-[^-]*[BT]$/.test(word);
}
