/** Why a flag of rsync must not stand in `rsync_flags`: what it would do to the data. */
const reasons = {
  removesSource: 'it deletes files on the sending side',
  deletes: 'it deletes files at the receiving side on its own terms',
  skips: 'it leaves files out, and rsync says success',
  nothing: 'it copies nothing, and rsync says success',
  inPlace: 'it changes files under their final names, so that a broken transfer leaves half a file',
  elsewhere: 'it puts files elsewhere or under other names',
  links: 'it changes what symbolic links are, and tablespaces are reached through them',
  stored: 'what arrives is not the file as a server can use it',
  connection: 'the connection is made by us: see the keys ssh, user and ssh_timeout',
  protocol: 'it changes how our own list of files is read',
  unseen: 'it hands the other rsync flags that are not checked here',
} as const;

const refusedLong: ReadonlyMap<string, string> = new Map(
  Object.entries({
    removesSource: 'remove-source-files remove-sent-files',
    deletes:
      'del delete delete-before delete-during delete-delay delete-after delete-excluded ' +
      'delete-missing-args force force-delete ignore-errors max-delete',
    skips:
      'existing ignore-non-existing ignore-existing update size-only max-size min-size exclude exclude-from ' +
      'include include-from filter cvs-exclude files-from one-file-system prune-empty-dirs modify-window ' +
      'ignore-missing-args compare-dest stop-after stop-at time-limit',
    nothing: 'dry-run list-only only-write-batch help version',
    inPlace: 'inplace append append-verify write-devices',
    elsewhere: 'link-dest copy-dest backup backup-dir suffix relative iconv write-batch read-batch',
    links: 'copy-links copy-dirlinks keep-dirlinks copy-unsafe-links safe-links munge-links copy-devices',
    stored: 'fake-super',
    connection: 'rsh daemon server sender config dparam port address sockopts password-file',
    protocol: 'from0',
    unseen: 'remote-option',
  }).flatMap(([reason, names]) =>
    names.split(' ').map((name) => [name, reasons[reason as keyof typeof reasons]] as const),
  ),
);

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

/** Turned off, these only cost or save time; any other `--no-…` takes away what a copy here relies on. */
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

/** One message for each word of `rsync_flags` that would lose or fake data. */
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
  const reason = refusedLong.get(name);
  if (reason !== undefined) return `--${name} is refused: ${reason}`;
  if (!name.startsWith('no-') || harmlessNegations.has(name.slice(3))) return undefined;
  return `--${name} is refused: it takes away what a safe copy relies on`;
}

function judgeShort(word: string): string | undefined {
  for (const letter of word.slice(1)) {
    const reason = refusedLong.get(longNameOfShort[letter] ?? '');
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
