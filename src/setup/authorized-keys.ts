/**
 * Adds lines to authorized_keys, here or on another host. All of them come by one write at the end of the file: another process that
 * adds lines at the same time loses nothing, and what else is in the file stays as it is, as do its mode and owner.
 */
import { dirname } from 'node:path';
import { messageOf, PitrError } from '../errors.ts';
import { ensureDirectory, readIfExists } from '../system/durable.ts';
import { appendPrivately } from '../system/files.ts';
import { quoted } from '../system/printable.ts';
import type { ProgramDeps } from '../system/program-deps.ts';
import { shellQuote } from '../system/shell-quote.ts';
import type { SshTarget } from '../system/ssh.ts';
import { isAuthorized, type PublicKey } from './public-key.ts';

const limitMs = 20_000;

/** A key and the line in authorized_keys that lets it in. */
export interface KeyLine {
  readonly key: PublicKey;
  readonly line: string;
}

/** Adds the lines of keys that are not in the authorized_keys of this user yet. */
export async function authorizeHere(path: string, lines: readonly KeyLine[]): Promise<void> {
  await ensureDirectory(dirname(path));
  try {
    const before = (await readIfExists(path))?.toString('utf8') ?? '';
    const added = lines.filter(({ key }) => !isAuthorized(before, key)).map(({ line }) => `${line}\n`);
    // A last line without a line feed must not swallow ours.
    const gap = before === '' || before.endsWith('\n') ? '' : '\n';
    if (added.length > 0) await appendPrivately(path, gap + added.join(''));
  } catch (error) {
    throw new PitrError(`cannot append to "${path}"`, { detail: messageOf(error), cause: error });
  }
}

const noProgram = 40;
const presentWord = 'present';
const openWord = 'open';

/** Does the same on another host. Each line of its answer is about a key that is there, or a path that others can change. */
export function authorizeScript(lines: readonly KeyLine[], programs: readonly string[]): string {
  return [
    'exec 2>&1',
    ...programs.map((program) => `[ -x ${shellQuote(program)} ] || exit ${noProgram}`),
    'umask 077 && mkdir -p ~/.ssh && cd ~/.ssh || exit 1',
    'add=',
    'if [ -s authorized_keys ] && [ -n "$(tail -c 1 authorized_keys)" ]; then add="\n"; fi',
    'has() { [ -e authorized_keys ] && grep -v "^[[:blank:]]*#" authorized_keys | grep -qF "$1"; }',
    ...lines.map(
      ({ key: { type, blob }, line }, index) =>
        `if has ${shellQuote(`${type} ${blob}`)}; then echo ${presentWord} ${index}; else add="$add"${shellQuote(`${line}\n`)}; fi`,
    ),
    'if [ -n "$add" ]; then printf %s "$add" >> authorized_keys || exit 1; fi',
    'for path in .. . authorized_keys; do',
    '  case $(ls -ldn "$path") in ?????w* | ????????w*)',
    `    echo ${openWord} "$path" ;;`,
    '  esac',
    'done',
    ':',
  ].join('\n');
}

export interface SentKeys {
  /** They are there already: their lines were not changed. */
  readonly present: readonly PublicKey[];
  /** Others can write to these: by default sshd then takes no key from the file. */
  readonly open: readonly string[];
}

const shownPaths: Readonly<Record<string, string>> = {
  '..': '~',
  '.': '~/.ssh',
  authorized_keys: '~/.ssh/authorized_keys',
};

function readSent(lines: readonly KeyLine[], answer: readonly string[]): SentKeys {
  const words = answer.map((line) => line.split(' '));
  const after = (wanted: string) => words.filter(([word]) => word === wanted).map(([, word = '']) => word);
  return {
    present: after(presentWord).flatMap((index) => {
      const found = lines[Number(index)];
      return found === undefined ? [] : [found.key];
    }),
    open: after(openWord).flatMap((path) => shownPaths[path] ?? []),
  };
}

/** @param programs they must be there, because the lines name them */
export async function sendKeys(
  deps: ProgramDeps,
  target: SshTarget,
  lines: readonly KeyLine[],
  programs: readonly string[],
): Promise<SentKeys | { readonly reason: string }> {
  try {
    const used = await deps.withRemoteShell(deps, target, (shell) =>
      shell.run(authorizeScript(lines, programs), { limitMs }),
    );
    if (used.kind !== 'used') return { reason: used.reason };
    const { value } = used;
    if (value.kind === 'lost') return { reason: value.reason };
    if (value.status === 0) return readSent(lines, value.lines);
    return {
      reason:
        value.status === noProgram
          ? `it lacks one of ${programs.join(', ')}: install pitrtools there, at the same place as here`
          : quoted(value.lines.join('; ')) || `exit status ${value.status}`,
    };
  } catch (error) {
    return { reason: messageOf(error) };
  }
}
