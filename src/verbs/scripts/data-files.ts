/** Scripts that read files of a data directory: for a base backup, and to see what a server is. */
import { shellQuote } from '../../system/shell-quote.ts';

/** The bytes of a small file, in hexadecimal: a file may contain anything, even our own marker. */
export function readFileScript(path: string, maxBytes: number): string {
  return `od -An -v -tx1 -N${maxBytes} ${shellQuote(path)} 2>&1`;
}

/** The entries of a directory that are not listed. Paths are relative to it. */
interface Unlisted {
  readonly unread: readonly string[];
  readonly linksLeftAlone: readonly string[];
}

function findPatterns(rules: Unlisted): string {
  const literal = (path: string) => path.replaceAll(/[[\]?\\]/g, '\\$&');
  const unread = rules.unread.map((path) => `-path ${shellQuote(`./${literal(path)}`)}`);
  const links = rules.linksLeftAlone.map((path) => `-path ${shellQuote(`./${literal(path)}/*`)} -xtype l`);
  const all = [...unread, ...links];
  return all.length === 0 ? '' : `\\( ${all.join(' -o ')} \\) -prune -o`;
}

/**
 * Two functions of sh: the size of a file or directory, or why it cannot be looked at, and whether this reason is that it does not
 * exist. `[ -e … ]` is false for every other reason, too: a failing disk, a lost file system, a directory that is closed to us.
 */
const lookFunctions = [
  `size() { LC_ALL=C stat -L -c %s -- "$1" 2>&1; }`,
  `gone() { case $1 in *': No such file or directory' | *': Not a directory') ;; *) return 1 ;; esac; }`,
];

/** Prints the real path of a linked directory, in a line before the directory's own line. */
const ledTo = `-printf 'p 0 0 ' -exec sh -c 'printf "%s\\0" "$(cd -P -- "$1" 2>/dev/null && pwd -P)"' - {} \\;`;

/**
 * Lists a root. Each entry has one line with its kind, mode, size and path; paths are encoded so that any byte is
 * unambiguous. Links to directories are followed, because on another host they would point to nothing. Links to files
 * are listed as links. A capital letter means that the entry cannot be read. The real path of the root and of each
 * linked directory precedes its line. The last lines contain find's messages and its exit status.
 */
export function listScript(source: string, rules: Unlisted): string {
  const print = (kind: string) => `-printf '${kind} %m %s %P\\0'`;
  const tests = [
    `-type d \\( -readable -executable \\( \\( -path . -o -xtype l \\) ${ledTo} , ${print('d')} \\) -o ${print('D')} -prune \\)`,
    `-xtype l ${print('l')}`,
    `-type f \\( -readable ${print('f')} -o ${print('F')} \\)`,
  ];
  const find = `find -L . ${findPatterns(rules)} \\( ${tests.join(' -o ')} \\)`;
  // tr ends each line where find ended a path. sed makes every byte of the path readable.
  const readable = `tr '\\n\\0' '\\0\\n' | LC_ALL=C sed -n 'l 0' >&3`;
  const place = shellQuote(source);
  return [
    ...lookFunctions,
    `{ s=$(size ${place}) || { gone "$s" && echo gone || printf 'E %s\\n' "$s"; exit 0; }`,
    `cd -- ${place} || exit 1`,
    `said=$({ { LC_ALL=C ${find}; printf 'Z %s\\0' "$?"; } | ${readable}; } 3>&4 2>&1)`,
    `printf '%s\\n' "$said" | sed 's/^/E /'; } 4>&1`,
  ].join('\n');
}

/**
 * A planned path as a word for the shell, whatever its bytes are. The dot at its end protects line feeds, which the
 * shell would remove there.
 */
export function dottedWord(path: string): string {
  if (/^[\x20-\x7e]*$/.test(path)) return shellQuote(`${path}.`);
  const bytes = [...Buffer.from(path, 'latin1')].map((byte) => `\\0${byte.toString(8).padStart(3, '0')}`);
  return `"$(printf '%b.' '${bytes.join('')}')"`;
}

/**
 * One line for each file: its size. A file that was removed has none. If a file cannot be looked at for any other reason, its line
 * says so: such a file may still be there.
 */
export function sizesScript(source: string, paths: readonly string[]): string {
  const place = shellQuote(source);
  return [
    ...lookFunctions,
    `cd -- ${place} 2>/dev/null || { s=$(size ${place}); gone "$s" && exit 0; echo "cannot enter the directory: $s"; exit 1; }`,
    'i=0',
    `for p in ${paths.map(dottedWord).join(' ')}; do p=./\${p%.}`,
    `if s=$(size "$p"); then echo "$i $s"; elif ! gone "$s"; then echo "$i ? $s"; fi`,
    'i=$((i + 1)); done; :',
  ].join('\n');
}

/** The word behind the bytes of a page that the file is long enough for. */
export const inFile = 'in-file';

/** A page in a file, by its place in the file. */
export interface PagePlace {
  readonly path: string;
  readonly offset: number;
  readonly bytes: number;
}

/**
 * Two lines for each page. A word behind the bytes says that the file is as long as the page needs: if bytes are
 * missing then, they could not be read, and the reason follows. A file may be truncated meanwhile, and od complains of
 * that, too: its message alone is no proof.
 */
export function pagesScript(dataDirectory: string, pages: readonly PagePlace[]): string {
  const look = ({ path, offset, bytes }: PagePlace): string => {
    const file = shellQuote(`${dataDirectory}/${path}`);
    // The times come first: a change between the two is visible in the page.
    return `LC_ALL=C stat -L -c 'times %Y %W' -- ${file} 2>&1
printf 'bytes '
{ e=$({ LC_ALL=C od -An -v -tx1 -j ${offset} -N ${bytes} ${file} | tr -d ' \\n' >&3; } 2>&1); } 3>&1
s=$(LC_ALL=C stat -L -c %s -- ${file} 2>&1)
[ "$s" -lt ${offset + bytes} ] 2>/dev/null || printf '%s' " ${inFile} $e" | tr '\\n' ' '
echo`;
  };
  return pages.map(look).join('\n');
}
